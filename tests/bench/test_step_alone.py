"""The step alone decides what a replay decides, in batches of any size."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bench.contender_process import Run
from bench.results_agree import digest, mark
from bench.step_alone import step_alone, total
from config.prompts import read_prompt_set
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.topics import EVENTS
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source
from streams.decode import Record
from streams.prompt import Prompts
from streams.replay import Replay
from streams.rules import Rules

NOW = datetime.now(UTC)
LINES = [*simulate(learners=3, days=10, seed=7), b"no event"]
RECORDS = [Record(at, routing_key(line), line, NOW) for at, line in enumerate(LINES)]


@pytest.mark.parametrize("batch_records", [1, 50, len(LINES)])
def test_it_makes_the_decisions_of_a_replay(batch_records: int) -> None:
    replay = Replay(seed_trees(), Rules(prompts=Prompts(read_prompt_set())), Source(EVENTS, 0))
    decided = [mark(encode(d)) for batch in replay.feed(RECORDS) for d in batch.decisions]
    run = step_alone(RECORDS, batch_records)
    assert len(decided) > 10
    assert run.decisions == digest(decided)
    assert run.events == max(len(RECORDS) - batch_records, 0) or len(RECORDS) == batch_records


def test_what_lies_between_two_batches_does_not_count() -> None:
    batches = [Run(10, 5.0, 6.0, 0.5), Run(5, 9.0, 9.5, 0.25)]
    assert total(batches, 10, "d") == Run(15, 0.0, 1.5, 0.75, 10, "d")
