"""A record that a store refused, offered to that store once more.

Its topic has it already, so it goes nowhere but into the store. Who is killed between that and the
mark has written what the next try writes again: that changes nothing (`sinks.contract`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Self

from agents.refused_records import write_apart
from agents.sink import topic_names
from agents.sink_records import event_record, made_record
from config.settings import Settings
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import (
    InvalidRecord,
    InvalidSetting,
    RejectedEvent,
    StoreUnavailable,
)
from schemas.topics import CHAT, EVENTS
from sinks.contract import Sink, SinkRecord
from sinks.registry import STORES, sink_of
from streams.decode import Record
from streams.rules import Rules

_BY_LATEST_MESSAGE = ("postgres", "mongodb")
Place = tuple[str, int, int]
"""Topic, partition and offset."""


class LetterStores:
    """Each store connected when the first record goes there."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sinks: dict[str, Sink] = {}
        self._ready: set[str] = set()
        self._away: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for sink in self._sinks.values():
            await sink.close()

    def record_of(self, letter: DeadLetter, now: datetime, rules: Rules) -> tuple[str, SinkRecord]:
        """Which store refused it, and the record as its sink takes it.

        Raises:
            RejectedEvent: it is none; why.
        """
        store = letter.detail.partition(":")[0]
        if store not in STORES:
            raise _refused(f"{store[:100]!r} is no store of ours")
        try:
            names = topic_names(self._settings.worker.app_id, self._sink(store).topics)
        except InvalidSetting as error:
            raise _refused(str(error)) from None
        name = names.get(letter.topic)
        if name is None:
            raise _refused(f"{store} keeps nothing of {letter.topic}")
        if name == CHAT and store in _BY_LATEST_MESSAGE:
            raise _refused(
                f"{store} keeps sessions by their latest message and would pass over an earlier "
                f"one: `learner rebuild {store}` writes it in its place"
            )
        if name == EVENTS:
            record = Record(letter.offset, letter.key or b"", letter.raw, now)
            return store, event_record(letter.partition, record, rules)
        try:
            made = made_record(name, letter.partition, letter.offset, letter.key, letter.raw)
        except InvalidRecord as error:
            raise _refused(str(error)) from None
        return store, made

    async def write(self, store: str, records: Sequence[SinkRecord]) -> dict[Place, str]:
        """What the store does not take, with its words: all, if it does not answer."""
        left: dict[Place, str] = {}

        async def write(part: Sequence[SinkRecord]) -> bool:
            try:
                if store not in self._away:
                    await (await self._ready_sink(store)).write(part)
            except StoreUnavailable as error:
                self._away[store] = str(error)
            if store in self._away:
                left.update({place_of(record): self._away[store] for record in part})
            return True

        async def refused(record: SinkRecord, reason: str) -> None:
            left[place_of(record)] = f"{store}: {reason}"

        await write_apart(records, write, refused)
        return left

    def _sink(self, store: str) -> Sink:
        if store not in self._sinks:
            self._sinks[store] = sink_of(store, self._settings)
        return self._sinks[store]

    async def _ready_sink(self, store: str) -> Sink:
        sink = self._sink(store)
        if store not in self._ready:
            await sink.setup()
            self._ready.add(store)
        return sink


def place_of(record: SinkRecord) -> Place:
    return record.topic, record.partition, record.offset


def _refused(detail: str) -> RejectedEvent:
    return RejectedEvent(DeadLetterReason.STORE_REFUSED, detail)
