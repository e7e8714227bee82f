"""The worker's tables against a replay of the log, partition by partition, while it works.

1. read what the changelogs hold, and up to which event (the position stands beside the states)
2. replay the log to there: what must stand; and on to where the changelogs were read to by then:
   what may
3. compare, key by key and field by field

A partition that has lost its beginning (retention) cannot be replayed. What can still be said of
it is whether each event that is left was folded: its id must have been seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from aiokafka import TopicPartition

from agents.event_record import as_event_record
from agents.partition_reader import PartitionReader, partition_reader
from agents.topics import EVENTS, TABLES
from agents.worker import rules
from audit.comparison import Comparison, Difference, TableReport, with_fields
from audit.kafka_log import KafkaLog, kafka_log
from audit.rows import Row
from audit.run import Asked, Step, StoreReport
from audit.worker_rows import event_not_folded, row, row_of
from config.seed_trees import seed_trees
from config.settings import Settings
from schemas.errors import InvalidRecord
from streams.batch import Source
from streams.decided_replay import DecidedReplay
from streams.tables import TableValue

NAME = "worker"
"""What the tables are called where stores are named."""

V = TypeVar("V")
_Tables = Mapping[str, Mapping[str, TableValue]]


async def audit_worker(settings: Settings, asked: Asked, on_step: Step) -> StoreReport:
    """See above; ``on_step`` is told what is under way.

    Raises:
        BrokerUnavailable: nobody answers, or a topic is not there.
        InvalidInput: an adoption names a version or a prompt set that nobody has.
        InvalidRecord: a partition ends before what was folded of it: it was made anew.
    """
    report = StoreReport(NAME, tables=[TableReport(NAME, table) for table in TABLES])
    shorter: list[str] = []
    async with kafka_log(settings.kafka) as log:
        ends = await log.ends([EVENTS])
        until = ends if asked.until is None else await log.offsets_at(asked.until, ends)
        since = {} if asked.since is None else await log.offsets_at(asked.since, ends)
        on_step("waiting for the worker")
        await log.until_done(settings.worker.app_id, until, asked.wait_seconds)
        for tp, end in sorted(until.items()):
            on_step(f"replaying partition {tp.partition} of {EVENTS}")
            async with partition_reader(settings, tp.partition) as reader:
                audit = _PartitionAudit(settings, tp.partition, reader, log, asked.first)
                found = await audit.run(since.get(tp, 0), end)
                report.behind += audit.behind
                if reader.begin:
                    shorter.append(_beginning(tp, reader))
            for table, more in zip(report.tables, found, strict=True):
                _add(table, more, asked.first)
    if shorter:
        report.note = (
            f"{', '.join(shorter)}: Kafka has dropped what came before (retention), so these "
            "tables cannot be worked out again. Compared there was only that each event which is "
            "left was folded (seen)"
        )
    return report


class _PartitionAudit:
    """``behind``: events before the end that the worker has not folded."""

    def __init__(
        self,
        settings: Settings,
        partition: int,
        reader: PartitionReader,
        log: KafkaLog,
        first: int,
    ) -> None:
        self._partition = partition
        self._reader = reader
        self._log = log
        self._rules = rules(settings.worker)
        self._first = first
        self.behind = 0

    async def run(self, since: int, end: int) -> list[TableReport]:
        """Of each table; ``since``: what no event from there on has changed is not compared."""
        before, after = await self._reader.read_changelogs()
        if after is not None and after > await self._reader.end():
            raise InvalidRecord(
                f"{EVENTS} partition {self._partition} has been folded up to {after}, but ends "
                f"at {await self._reader.end()}: it was made anew"
            )
        must_until, may_until = min(before or 0, end), after or 0
        if self._reader.begin:
            reports = await self._without_beginning(max(since, self._reader.begin), must_until)
        else:
            reports = await self._compared(since, must_until, may_until)
        async for records in self._reader.events(end):
            self.behind += sum(record.offset >= may_until for record in records)
        return reports

    async def _compared(self, since: int, must_until: int, may_until: int) -> list[TableReport]:
        comparison = Comparison(NAME, TABLES)
        stored = self._reader.states()
        for table, key, raw in _each(stored):
            comparison.stored(row(table, key, raw))
        source = Source(EVENTS, self._partition)
        # After the changelogs: what decided an event was told in the transaction that folded it.
        replay = DecidedReplay(seed_trees(), self._rules, source, await self._log.decided())
        touched: set[tuple[str, str]] = set()
        async for records in self._reader.events(must_until):
            for record in records:
                changed = replay.take(as_event_record(record)).tables.changed
                if since and record.offset >= since:
                    touched |= {(table, key) for table, key, _ in _each(changed)}
        # A state is never edited in place, so this stays as it is while the replay goes on.
        must = {table: dict(values) for table, values in replay.tables.values.items()}
        for table, key, value in _each(must):
            compared = not since or (table, key) in touched
            comparison.must(row_of(table, key, value), compared=compared)
        async for records in self._reader.events(may_until):
            for record in records:
                for change in _each(replay.take(as_event_record(record)).tables.changed):
                    comparison.may(row_of(*change))
        reports = comparison.reports(self._first)
        for report in reports:
            report.first = [_with_fields(d, stored, must) for d in report.first]
        return reports

    async def _without_beginning(self, since: int, until: int) -> list[TableReport]:
        reports = {table: TableReport(NAME, table) for table in TABLES}
        stored, report = self._reader.states(), reports["seen"]
        async for records in self._reader.events(until):
            for record in records:
                if record.offset < since:
                    continue
                page = event_not_folded(as_event_record(record), stored, self._rules)
                report.rows += page is None
                if page is not None:
                    report.missing += 1
                    if len(report.first) < self._first:
                        fields = {"event at offset": (None, record.offset)}
                        report.first.append(Difference("seen", page, "missing", fields))
        return list(reports.values())


def _each(tables: Mapping[str, Mapping[str, V]]) -> Iterator[tuple[str, str, V]]:
    """Table, key and value."""
    for table, rows in tables.items():
        for key, value in rows.items():
            yield table, key, value


def _with_fields(
    difference: Difference, stored: Mapping[str, Mapping[str, bytes]], must: _Tables
) -> Difference:
    table, key = difference.table, difference.id
    raw, value = stored[table].get(key), must[table].get(key)
    there: Row | None = None if raw is None else row(table, key, raw)
    return with_fields(difference, there, row_of(table, key, value))


def _add(to: TableReport, more: TableReport, first: int) -> None:
    for what in ("rows", "missing", "extra", "different"):
        setattr(to, what, getattr(to, what) + getattr(more, what))
    to.first = [*to.first, *more.first][:first]


def _beginning(tp: TopicPartition, reader: PartitionReader) -> str:
    when = "" if reader.begins_at is None else f" ({reader.begins_at:%Y-%m-%d %H:%M} UTC)"
    return f"{tp.topic} partition {tp.partition} goes back to offset {reader.begin} only{when}"
