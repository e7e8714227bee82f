"""The audit: every store against a replay of the log, while everything runs.

1. the range: up to where learner.events ends now (or a time that was asked for)
2. wait until the worker has committed it, and each sink all that this led to
3. read every store back
4. replay the log to where it ends by then: what must stand there, and what may
5. compare; where something differs, once more for the fields
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from aiokafka import TopicPartition

from agents.sink import group_of, seed_records, topic_names
from agents.sink_records import made_record, record_of_event
from agents.topic_reader import read_topic
from agents.topics import DEAD_LETTERS, DECISIONS, EVENTS, EXAMPLES, TREE_VERSIONS
from agents.worker import rules
from audit.comparison import Comparison, RowId, TableReport, with_fields
from audit.expectation import PartitionReplay
from audit.kafka_log import KafkaLog, Offsets, as_event_record, kafka_log
from audit.rows import Row, StoreAudit
from config.settings import Settings
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import InvalidRecord
from schemas.event import event_adapter
from sinks.contract import SinkRecord

Step = Callable[[str], object]

ALWAYS = -1
"""In place of an event's offset: of what no event has caused."""

_REFUSABLE = (EVENTS, DECISIONS, EXAMPLES, TREE_VERSIONS, "profile", "behavior", "engagement")


class Asked(NamedTuple):
    """``since``, ``until``: events by when Kafka recorded them, the first included; ``None``: all.

    ``wait_seconds``: how long worker and sinks may take to be done with them. ``first``: how many
    differences of each table are shown field by field.
    """

    since: datetime | None = None
    until: datetime | None = None
    wait_seconds: float = 60.0
    first: int = 3


@dataclass
class StoreReport:
    """``behind``: what its sink had not committed when the audit stopped waiting."""

    store: str
    behind: int = 0
    tables: list[TableReport] = field(default_factory=list)

    @property
    def in_step(self) -> bool:
        return not self.behind and all(table.in_step for table in self.tables)

    def total(self, what: str) -> int:
        """Over all tables: rows, missing, extra, different or refused."""
        return sum(getattr(table, what) for table in self.tables)


async def run_audit(
    settings: Settings, audits: Sequence[StoreAudit], asked: Asked, on_step: Step
) -> list[StoreReport]:
    """See above; ``on_step`` is told what is under way.

    Raises:
        BrokerUnavailable, StoreUnavailable: somebody does not answer.
        InvalidInput: the log cannot be replayed: it does not begin at its beginning any more.
    """
    async with kafka_log(settings.kafka) as log:
        run = _Audit(settings, log, on_step)
        ends = await log.ends([EVENTS])
        must = ends if asked.until is None else await log.offsets_at(asked.until, ends)
        since = None if asked.since is None else await log.offsets_at(asked.since, ends)
        reports = await run.wait(audits, must, asked.wait_seconds)
        comparisons = [Comparison(audit.name, audit.tables) for audit in audits]
        for audit, comparison in zip(audits, comparisons, strict=True):
            on_step(f"reading {audit.name}")
            async for row in audit.stored():
                comparison.stored(row)
        on_step("replaying the log")
        async for offset, record in run.records(await log.ends([EVENTS])):
            _expect(audits, comparisons, offset, record, must, since)
        async for letter, record in run.letters():
            _expect(audits, comparisons, ALWAYS, record, must, since)
            store, missing = run.refused(letter)
            for audit, comparison in zip(audits, comparisons, strict=True):
                if audit.name == store and missing is not None:
                    for row in audit.expected(missing):
                        comparison.refused(row)
        for report, comparison in zip(reports, comparisons, strict=True):
            report.tables = comparison.reports(asked.first)
        await run.add_fields(audits, reports)
    return reports


def _expect(  # noqa: PLR0913, PLR0917  # what is known of one record
    audits: Sequence[StoreAudit],
    comparisons: Sequence[Comparison],
    offset: int,
    record: SinkRecord,
    must: Offsets,
    since: Offsets | None,
) -> None:
    at = TopicPartition(EVENTS, record.partition)
    always = offset == ALWAYS
    for audit, comparison in zip(audits, comparisons, strict=True):
        if record.topic not in audit.topics:
            continue
        for row in audit.expected(record):
            if always or offset < must[at]:
                compared = always or since is None or offset >= since[at]
                comparison.must(row, compared=compared)
            else:
                comparison.may(row)


class _Audit:
    def __init__(self, settings: Settings, log: KafkaLog, on_step: Step) -> None:
        self._settings = settings
        self._log = log
        self._on_step = on_step

    async def wait(
        self, audits: Sequence[StoreAudit], must: Offsets, seconds: float
    ) -> list[StoreReport]:
        """Until worker and sinks have done what the range asks of them, or time is up."""
        app_id = self._settings.worker.app_id
        self._on_step("waiting for the worker")
        await self._log.until_done(app_id, must, seconds)
        reports = []
        for audit in audits:
            self._on_step(f"waiting for the sink of {audit.name}")
            ends = await self._log.ends(topic_names(app_id, audit.topics))
            behind = await self._log.until_done(group_of(app_id, audit.name), ends, seconds)
            reports.append(StoreReport(audit.name, behind))
        return reports

    async def records(self, ends: Offsets) -> AsyncIterator[tuple[int, SinkRecord]]:
        """Every record that must have come of the log up to ``ends``, versions first."""
        versions, adoptions = await self._log.versions(), await self._log.adoptions()
        for seed in seed_records():
            yield ALWAYS, seed
        for tree in versions.values():
            if tree.version:
                raw = tree.model_dump_json().encode()
                yield ALWAYS, made_record(TREE_VERSIONS, 0, -1, None, raw)
        for tp, end in sorted(ends.items()):
            replay = PartitionReplay(
                tp.partition,
                adoptions.get(tp.partition, ()),
                versions,
                rules(self._settings.worker),
            )
            async for records in self._log.records(tp, end):
                for record in records:
                    for made in replay.take(as_event_record(record)):
                        yield record.offset, made

    async def letters(self) -> AsyncIterator[tuple[DeadLetter, SinkRecord]]:
        """The dead letters of sinks, which no replay can foretell."""
        async for record in read_topic(self._settings.kafka, DEAD_LETTERS):
            letter = DeadLetter.model_validate_json(record.value)
            if letter.reason is DeadLetterReason.STORE_REFUSED:
                yield letter, made_record(DEAD_LETTERS, record.partition, -1, None, record.value)

    def refused(self, letter: DeadLetter) -> tuple[str, SinkRecord | None]:
        """Which store refused what; ``None`` if it was no record of ours, so nobody expects it."""
        store = letter.detail.partition(":")[0]
        topic = topic_names(self._settings.worker.app_id, _REFUSABLE).get(letter.topic)
        if topic is None:
            return store, None
        if topic == EVENTS:
            event = event_adapter.validate_json(letter.raw)
            return store, record_of_event(letter.partition, letter.offset, event)
        try:
            at = letter.partition, letter.offset, letter.key, letter.raw
            return store, made_record(topic, *at)
        except InvalidRecord:
            return store, None

    async def add_fields(
        self, audits: Sequence[StoreAudit], reports: Sequence[StoreReport]
    ) -> None:
        """A second look at the rows that differ: the digests do not say how."""
        wanted = [
            {(d.table, d.id) for table in report.tables for d in table.first} for report in reports
        ]
        if not any(wanted):
            return
        self._on_step("looking at what differs")
        expected: list[dict[RowId, Row]] = [{} for _ in audits]
        ends = await self._log.ends([EVENTS])
        async for _, record in self.records(ends):
            for audit, ids, rows in zip(audits, wanted, expected, strict=True):
                if record.topic in audit.topics and ids:
                    rows |= {(r.table, r.id): r for r in _of(ids, audit.expected(record))}
        for audit, ids, rows, report in zip(audits, wanted, expected, reports, strict=True):
            stored = (
                {(r.table, r.id): r async for r in audit.stored() if (r.table, r.id) in ids}
                if ids
                else {}
            )
            for table in report.tables:
                table.first = [
                    with_fields(d, stored.get((d.table, d.id)), rows.get((d.table, d.id)))
                    for d in table.first
                ]


def _of(ids: set[RowId], rows: Iterator[Row]) -> Iterator[Row]:
    return (row for row in rows if (row.table, row.id) in ids)
