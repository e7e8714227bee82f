"""Tables in memory are one partition's own, whoever else the worker has."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

from agents.partition_tables import PartitionTables, encoded
from config.seed_trees import seed_trees
from simulation.classroom import simulate
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees

TREES = compile_trees(seed_trees())
LINES = list(islice(simulate(learners=1, days=30, seed=3), 40))


def fold(tables: PartitionTables, partition: int, first: int, lines: list[bytes]) -> Batch:
    now = datetime.now(UTC)
    records = [Record(first + n, None, line, now) for n, line in enumerate(lines)]
    batch = process(records, tables, TREES, Rules(), Source("learner.events", partition))
    tables.apply(encoded(batch.tables.changed), first + len(lines), {})
    return batch


def test_a_learner_whose_events_come_in_two_partitions_loses_none_of_them() -> None:
    """Offsets of the one say nothing of the other, and giving one up leaves the other."""
    one, other = PartitionTables(), PartitionTables()
    assert fold(one, 0, 1_000, LINES[:20]).counts == {"folded": 20}
    assert fold(other, 1, 0, LINES[20:30]).counts == {"folded": 10}
    one.close()
    assert fold(other, 1, 10, LINES[20:]).counts == {"repeated": 10, "folded": 10}
