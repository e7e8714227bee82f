"""The step without Kafka: what of a worker's processor time nobody can take away.

The events of the topic are read beforehand; then, in batches as large as the worker's: decoding,
guard, folds, trees, and the encoding of states, decisions, examples, chat records and dead
letters. Its process is that of `bench.contender_process`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import chain

from agents.full_collections import collect_now_and_not_later
from bench.contender_process import Clock, Run, Told, tell, told
from bench.results_agree import digest, mark
from config.prompts import read_prompt_set
from config.seed_trees import seed_trees
from faults.committed_records import committed
from schemas.contract import encode
from schemas.topics import EVENTS
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.prompt import Prompts
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import MemoryTables, encode_value


def step_alone(records: Sequence[Record], batch_records: int) -> Run:
    """The run begins after the first batch, as the worker's does."""
    trees = compile_trees(seed_trees())
    rules = Rules(prompts=Prompts(read_prompt_set()))
    tables, source = MemoryTables(), Source(EVENTS, 0)
    marks: list[bytes] = []
    runs: list[Run] = []
    for begin in range(0, len(records), batch_records):
        clock = Clock(begin)
        some = records[begin : begin + batch_records]
        batch = process(some, tables, trees, rules, source)
        decisions = [encode(decision) for decision in batch.decisions]
        _encode_the_rest(batch)
        tables.apply(batch.tables.changed)
        runs.append(clock.stopped(begin + len(some)))
        marks += map(mark, decisions)
    return total(runs[1:] or runs, batch_records, digest(marks))


def _encode_the_rest(batch: Batch) -> list[bytes]:
    changed = chain.from_iterable(table.values() for table in batch.tables.changed.values())
    states = [encode_value(value) for value in changed if value is not None]
    letters = [letter.model_dump_json().encode() for letter in batch.dead_letters]
    return [*states, *letters, *map(encode, chain(batch.chat, batch.examples))]


def total(runs: Iterable[Run], batch_records: int, decisions: str) -> Run:
    """All batches as if there had been nothing between them."""
    events = seconds = cpu = 0.0
    for run in runs:
        events += run.events
        seconds += run.ended - run.began
        cpu += run.cpu_seconds
    return Run(int(events), 0.0, seconds, cpu, batch_records, decisions)


def records_of(told: Told) -> list[Record]:
    """What the worker is given, of one partition."""
    found = (
        Record(
            message.offset() or 0,
            message.key() or b"",
            message.value() or b"",
            datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC),
        )
        for message in committed(told.bootstrap, EVENTS, range(told.partitions))
    )
    return [record for record, _ in zip(found, range(told.events), strict=False)]


def main() -> None:
    task = told()
    records = records_of(task)
    collect_now_and_not_later()  # as a worker does
    tell(step_alone(records, task.batch_records))


if __name__ == "__main__":
    main()
