"""What the guards are measured against has none, and still does the same work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FOLDED_TWICE = """
import json
from datetime import UTC, datetime

from bench.unguarded import PlainProducer, take_out_all_guards

take_out_all_guards()

from agents import partition_owner
from agents.topics import EVENTS
from config.seed_trees import seed_trees
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source
from streams.decode import Record
from streams.replay import Replay
from streams.rules import Rules

now = datetime.now(UTC)
lines = list(simulate(learners=3, days=10, seed=7))
records = [Record(at, routing_key(line), line, now) for at, line in enumerate(lines)]
replay = Replay(seed_trees(), Rules(), Source(EVENTS, 0))
first = [d.decision_id for batch in replay.feed(records) for d in batch.decisions]
for _ in replay.feed(records):
    pass
print(json.dumps({
    "records": len(records),
    "counts": replay.counts,
    "decisions": first,
    "ids_kept": len(replay.tables.values["seen"]),
    "plain": partition_owner.PartitionProducer is PlainProducer,
}))
"""


def test_events_count_twice_and_no_ids_are_kept() -> None:
    """In a process of its own: guards are taken out for good."""
    done = subprocess.run(
        [sys.executable, "-c", _FOLDED_TWICE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((".", "tests"))},
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["counts"] == {"folded": 2 * found["records"]}
    assert found["ids_kept"] == 0
    assert found["plain"]
    assert len(set(found["decisions"])) > 10
