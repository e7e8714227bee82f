"""The audit: every store against a replay of the log, while everything runs.

1. the range: up to where learner.events ends now (or a time that was asked for)
2. wait until the worker has committed it, the facilitator has delivered what was decided, and each
   sink has kept all that this led to
3. read every store back
4. replay the log to where it ends by then: what must stand there, and what may; of deliveries and
   letters, which no replay foretells, what stands on their topics
5. compare; where something differs, once more for the fields
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import structlog
from pydantic import ValidationError

from agents.event_record import as_event_record
from agents.facilitator_partition import group_of as facilitator_group
from agents.sink import group_of, seed_records, topic_names
from agents.sink_records import made_record, record_of_event
from agents.topic_reader import read_topic
from agents.topics import (
    CHAT,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY_LOG,
    EVENTS,
    EXAMPLES,
    PROMPT_SETS,
    TREE_VERSIONS,
)
from agents.worker import rules
from audit.comparison import Comparison, RowId, TableReport, with_fields
from audit.deliveries import FacilitatorAudit, delivery_records
from audit.expectation import PartitionReplay
from audit.kafka_log import KafkaLog, Offsets, kafka_log
from audit.rows import Row, StoreAudit
from audit.span import ALWAYS, Place, Span
from config.settings import Settings
from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import InvalidRecord
from schemas.event import event_adapter
from sinks.contract import SinkRecord

Step = Callable[[str], object]

log = structlog.get_logger(__name__)

_REFUSABLE = (
    *(EVENTS, DECISIONS, CHAT, DELIVERY_LOG, EXAMPLES, TREE_VERSIONS, PROMPT_SETS),
    *("profile", "behavior", "engagement"),
)
_NOT_FORETOLD = (DELIVERY_LOG, DEAD_LETTERS)
"""Topics that are taken as they are."""

_NEVER_RAN = (
    f"nothing on {DELIVERY_LOG}: the facilitator has never run, so no decision was looked for there"
)


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
    """``behind``: what its sink had not committed when the audit stopped waiting. ``note``: what
    was not compared and why, "" if all was."""

    store: str
    behind: int = 0
    tables: list[TableReport] = field(default_factory=list)
    note: str = ""

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
        span = await run.span([EVENTS], asked)
        await run.wait_for_worker(span, asked.wait_seconds)
        delivering = await _facilitator(log, audits)
        reports = await run.wait(delivering, asked.wait_seconds)
        span = span.and_also(await run.span(_NOT_FORETOLD, asked))
        reports += await run.wait(audits, asked.wait_seconds)
        for audit, report in zip(audits, reports[len(delivering) :], strict=True):
            if not delivering and DELIVERY_LOG in audit.topics:
                report.note = _NEVER_RAN
                break
        audits = [*delivering, *audits]
        comparisons = [Comparison(audit.name, audit.tables) for audit in audits]
        for audit, comparison in zip(audits, comparisons, strict=True):
            on_step(f"reading {audit.name}")
            async for row in audit.stored():
                comparison.stored(row)
        on_step("replaying the log")
        async for offset, record in run.records(await log.ends([EVENTS])):
            _expect(audits, comparisons, span.place(EVENTS, record.partition, offset), record)
        async for record in run.deliveries():
            place = span.place(DELIVERY_LOG, record.partition, record.offset)
            _expect(audits, comparisons, place, record)
        async for letter, offset, record in run.letters():
            place = span.place(DEAD_LETTERS, record.partition, offset)
            _expect(audits, comparisons, place, record)
            store, missing = run.refused(letter)
            for audit, comparison in zip(audits, comparisons, strict=True):
                if audit.name == store and missing is not None:
                    for row in audit.expected(missing):
                        comparison.refused(row)
        for report, comparison in zip(reports, comparisons, strict=True):
            report.tables = comparison.reports(asked.first)
        await run.add_fields(audits, reports)
    return reports


async def _facilitator(log: KafkaLog, audits: Sequence[StoreAudit]) -> list[StoreAudit]:
    """Its log is audited where a store is that keeps deliveries, once it has run."""
    wanted = any(DELIVERY_LOG in audit.topics for audit in audits)
    has_run = wanted and any((await log.ends([DELIVERY_LOG])).values())
    return [FacilitatorAudit(log)] if has_run else []


def _expect(
    audits: Sequence[StoreAudit],
    comparisons: Sequence[Comparison],
    place: Place,
    record: SinkRecord,
) -> None:
    for audit, comparison in zip(audits, comparisons, strict=True):
        if record.topic not in audit.topics:
            continue
        for row in audit.expected(record):
            if place is Place.AFTER:
                comparison.may(row)
            else:
                comparison.must(row, compared=place is Place.WITHIN)


class _Audit:
    def __init__(self, settings: Settings, log: KafkaLog, on_step: Step) -> None:
        self._settings = settings
        self._log = log
        self._on_step = on_step

    async def span(self, topics: Sequence[str], asked: Asked) -> Span:
        """What was asked for, in offsets; up to now if nothing was."""
        ends = await self._log.ends(topics)
        until = ends if asked.until is None else await self._log.offsets_at(asked.until, ends)
        return Span(
            {} if asked.since is None else await self._log.offsets_at(asked.since, ends), until
        )

    async def wait_for_worker(self, span: Span, seconds: float) -> None:
        """Until the worker has done what the range asks of it, or time is up."""
        self._on_step("waiting for the worker")
        await self._log.until_done(self._settings.worker.app_id, span.until, seconds)

    async def wait(self, audits: Sequence[StoreAudit], seconds: float) -> list[StoreReport]:
        """Until each has taken what stands on its topics now, or time is up."""
        app_id = self._settings.worker.app_id
        reports = []
        for audit in audits:
            by_facilitator = audit.name == FacilitatorAudit.name
            whom = "facilitator" if by_facilitator else f"sink of {audit.name}"
            self._on_step(f"waiting for the {whom}")
            group = facilitator_group(app_id) if by_facilitator else group_of(app_id, audit.name)
            ends = await self._log.ends(topic_names(app_id, audit.topics))
            behind = await self._log.until_done(group, ends, seconds)
            reports.append(StoreReport(audit.name, behind))
        return reports

    async def records(self, ends: Offsets) -> AsyncIterator[tuple[int, SinkRecord]]:
        """Every record that must have come of the log up to ``ends``, versions first."""
        decided = await self._log.decided()
        for seed in seed_records():
            yield ALWAYS, seed
        for tree in decided.versions.values():
            if tree.version:
                raw = tree.model_dump_json().encode()
                yield ALWAYS, made_record(TREE_VERSIONS, 0, -1, None, raw)
        for adoption in (told for adopted in decided.adoptions.values() for told in adopted):
            if adoption.prompt_version in decided.prompt_sets:
                raw = encode(decided.prompt_sets[adoption.prompt_version])
                made = made_record(PROMPT_SETS, adoption.partition, -1, None, raw)
                yield adoption.offset, made
        for tp, end in sorted(ends.items()):
            replay = PartitionReplay(tp.partition, decided, rules(self._settings.worker))
            async for records in self._log.records(tp, end):
                for record in records:
                    for made in replay.take(as_event_record(record)):
                        yield record.offset, made

    async def deliveries(self) -> AsyncIterator[SinkRecord]:
        """All that stands on ``facilitator.log`` by now."""
        async for record in delivery_records(self._log, await self._log.ends([DELIVERY_LOG])):
            yield record

    async def letters(self) -> AsyncIterator[tuple[DeadLetter, int, SinkRecord]]:
        """Dead letters that no replay of events can foretell, with their offsets: of sinks and of
        the facilitator."""
        async for record in read_topic(self._settings.kafka, DEAD_LETTERS):
            try:
                letter = DeadLetter.model_validate_json(record.value or b"")
            except ValidationError:
                log.warning("record on learner.dlq is no dead letter", offset=record.offset)
                continue
            if letter.reason is DeadLetterReason.STORE_REFUSED or letter.topic != EVENTS:
                made = made_record(DEAD_LETTERS, record.partition, -1, None, record.value)
                yield letter, record.offset, made

    def refused(self, letter: DeadLetter) -> tuple[str, SinkRecord | None]:
        """Which store refused what; ``None`` if it was no record of ours, so nobody expects it."""
        if letter.reason is not DeadLetterReason.STORE_REFUSED:
            return "", None
        store = letter.detail.partition(":")[0]
        topic = topic_names(self._settings.worker.app_id, _REFUSABLE).get(letter.topic)
        if topic is None:
            return store, None
        if topic == EVENTS:
            try:
                event = event_adapter.validate_json(letter.raw)
            except ValidationError:
                return store, None
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

        def take(record: SinkRecord) -> None:
            for audit, ids, rows in zip(audits, wanted, expected, strict=True):
                if record.topic in audit.topics and ids:
                    rows |= {(r.table, r.id): r for r in _of(ids, audit.expected(record))}

        async for _, record in self.records(ends):
            take(record)
        async for record in self.deliveries():
            take(record)
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
