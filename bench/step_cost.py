"""What an event costs and makes in the step alone: figures of `bench/measured_costs.json`.

    PYTHONPATH=.:tests python -m bench.step_cost

No broker. Prints one JSON line. Each event is a batch of its own: with many learners in a partition
no two events of a batch share a state, so each writes all that it changes. Times are CPU's, with
the garbage collector off.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain, islice

import numpy as np
from aiokafka.codec import zstd_encode

from agents.partition_tables import encoded
from agents.prompt_sets import prompts_in
from agents.topics import EVENTS
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.example import TreeExample
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Source, process
from streams.decode import Record
from streams.delivery_records import (
    decode_decision,
    first_attempt,
    tells_the_learner_agent,
)
from streams.learning import Learning, OnlineTree
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables

LEARNERS = 2_000
_BEFORE = 100_000
_MEASURED = 40_000
QUANTILES = 21
"""Of the time of one event: the least, every twentieth of the way, and the longest but one in a
thousand, so that a pause of the machine is none of them."""


class Made:
    """Counts what comes of events."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.examples: list[TreeExample] = []
        self.event_bytes = self.changelog_records = self.changelog_bytes = 0
        self.decisions = self.decision_bytes = self.example_bytes = 0
        self.strategies = self.delivery_bytes = self.compressed_bytes = 0

    def figures(self) -> dict[str, object]:
        events = len(self.seconds)
        return {
            "events": events,
            "step_us_per_event": round(1e6 * float(np.mean(self.seconds)), 1),
            "step_time_quantiles": relative_quantiles(self.seconds),
            "event_bytes": round(self.event_bytes / events),
            "changelog_records_per_event": round(self.changelog_records / events, 2),
            "changelog_bytes_per_event": round(self.changelog_bytes / events),
            "compression": round(
                (self.changelog_bytes + self.decision_bytes) / self.compressed_bytes, 1
            ),
            "decisions_per_event": round(self.decisions / events, 2),
            "decision_bytes": round(self.decision_bytes / max(1, self.decisions)),
            "delivery_bytes": round(self.delivery_bytes / max(1, self.decisions)),
            "strategies_per_event": round(self.strategies / events, 2),
            "examples_per_event": round(len(self.examples) / events, 3),
            "example_bytes": round(self.example_bytes / max(1, len(self.examples))),
        }


def main() -> None:
    lines = simulate(LEARNERS, days=400, seed=5)
    tables = MemoryTables()
    run(islice(lines, _BEFORE), tables, 0)
    gc.collect()
    gc.disable()  # as good as in the worker: `agents.full_collections`
    made = run(islice(lines, _MEASURED), tables, _BEFORE)
    result = made.figures() | {"learn_us_per_example": learn_us(made.examples)}
    sys.stdout.write(json.dumps(result) + "\n")


def run(lines: Iterable[bytes], tables: MemoryTables, first_offset: int) -> Made:
    """Takes the events one by one through the step, and encodes what comes of each."""
    trees = compile_trees(seed_trees())
    rules = Rules(prompts=prompts_in(None))
    source, now, made = Source(EVENTS, 0), datetime.now(UTC), Made()
    for offset, line in enumerate(lines, first_offset):
        record = Record(offset, routing_key(line), line, now)
        began = time.thread_time()
        batch = process((record,), tables, trees, rules, source)
        changes = encoded(batch.tables.changed)
        decisions = [encode(decision) for decision in batch.decisions]
        examples = [encode(example) for example in batch.examples]
        made.seconds.append(time.thread_time() - began)
        tables.apply(batch.tables.changed)
        made.event_bytes += len(line)
        tables_bytes = [
            [key.encode() + raw for key, (raw, _) in table.items() if raw is not None]
            for table in changes.values()
        ]
        made.changelog_records += sum(map(len, tables_bytes))
        made.changelog_bytes += sum(map(len, chain.from_iterable(tables_bytes)))
        # As the worker's producer does it: what a topic gets of a batch, as one.
        topics_bytes = [b"".join(raws) for raws in (*tables_bytes, decisions) if raws]
        made.compressed_bytes += sum(len(zstd_encode(raw)) for raw in topics_bytes)
        made.decisions += len(decisions)
        made.decision_bytes += sum(map(len, decisions))
        for raw in decisions:
            decision = decode_decision(record._replace(value=raw))
            delivery = first_attempt(decision, now, now)
            made.delivery_bytes += len(encode(delivery))
            made.strategies += tells_the_learner_agent(delivery)
        made.examples += batch.examples
        made.example_bytes += sum(map(len, examples))
    return made


def relative_quantiles(seconds: Sequence[float]) -> list[float]:
    """``QUANTILES`` of them as multiples of their mean."""
    shares = np.minimum(np.linspace(0, 1, QUANTILES), 0.999)
    return [round(float(q), 2) for q in np.quantile(seconds, shares) / np.mean(seconds)]


def learn_us(examples: Sequence[TreeExample]) -> float:
    """Microseconds in which the trainer's model learns one of them, the scoring before included."""
    online = {tree_id: OnlineTree(tree, Learning()) for tree_id, tree in seed_trees().items()}
    began = time.thread_time()
    for example in examples:
        online[example.tree_id].learn(example)
    return round(1e6 * (time.thread_time() - began) / max(1, len(examples)), 1)


if __name__ == "__main__":
    main()
