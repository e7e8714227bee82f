"""The pure step as benchmarks run it: decode, fold, decide, encode, take over. No Kafka."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import NamedTuple

from agents.prompt_sets import prompts_in
from agents.topics import EVENTS
from config.seed_trees import seed_trees
from schemas.contract import encode
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.step import Trees
from streams.tables import MemoryTables, encode_value

BATCH = 40
"""Events; what a busy worker commits at once."""
_SOURCE = Source(EVENTS, 0)
_TAKEN_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""When Kafka took every record: fixed, so that the same work is the same each time."""
_LEARNERS, _DAYS, _SEED = 60, 120, 1


class Work(NamedTuple):
    """Records to fold, in batches, from where ``tables`` stand.

    The values in tables are never edited in place, so `fresh` work can be done again and again.
    """

    tables: MemoryTables
    batches: Sequence[Sequence[Record]]
    trees: Trees

    @property
    def events(self) -> int:
        return sum(map(len, self.batches))


def work(
    tables: MemoryTables,
    records: Iterable[Record],
    batch: int = BATCH,
    trees: Mapping[TreeId, TreeDocument] | None = None,
) -> Work:
    """Judged by the seed trees unless others are given."""
    records = iter(records)
    batches = list(iter(lambda: list(islice(records, batch)), []))
    compiled = compile_trees(trees or seed_trees())
    return Work(tables, batches, compiled)


def class_work(before: int, events: int, batch: int = BATCH) -> Work:
    """The ``events`` that a simulated class sends after its first ``before``."""
    lines = simulate(_LEARNERS, _DAYS, _SEED)
    stream = as_records(lines)
    tables = MemoryTables()
    do(work(tables, islice(stream, before)))
    return work(tables, islice(stream, events), batch)


def as_records(lines: Iterable[bytes], first: int = 0) -> Iterator[Record]:
    """The lines at one offset after the other, from ``first`` on."""
    for offset, line in enumerate(lines, first):
        yield Record(offset, routing_key(line), line, _TAKEN_AT)


def do(given: Work) -> None:
    """All of it; changes its tables.

    Raises:
        AssertionError: a record was not folded, so another work would be measured.
    """
    rules = _rules()
    for records in given.batches:
        batch = process(records, given.tables, given.trees, rules, _SOURCE)
        assert batch.counts["folded"] == len(records), batch.counts
        encode_batch(batch)
        given.tables.apply(batch.tables.changed)


@cache
def _rules() -> Rules:
    """With a worker's own prompts."""
    return Rules(prompts=prompts_in(None))


def fresh(given: Work) -> Work:
    """The same work, with tables of its own."""
    tables = MemoryTables()
    tables.values = {name: dict(values) for name, values in given.tables.values.items()}
    return given._replace(tables=tables)


def encode_batch(batch: Batch) -> int:
    """As the worker does before it sends them; how many bytes there are."""
    size = 0
    for changes in batch.tables.changed.values():
        size += sum([len(encode_value(value)) for value in changes.values() if value is not None])
    for made in (batch.decisions, batch.chat, batch.examples):
        size += sum([len(encode(record)) for record in made])
    return size
