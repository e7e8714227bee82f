"""Sends dead letters again, or drops them: each is settled once, whatever dies in between.

    1. fence   whoever was at it before: what they had begun is ended, and nothing more comes of it
    2. read    which letters are open now
    3. judge   each by the decoder that rejected it; what is rejected still stays where it is
    4. send    in one Kafka transaction, many at a time: the record onto its own topic, with its key
               and into its partition, and the mark that the letter is settled

A reader sees record and mark, or neither. Whoever is killed in 4 leaves the letter open; the next
run undoes what was begun, or Kafka does after `_TIMEOUT_MS`: until then the worker waits before it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

from aiokafka import TopicPartition

from agents.broker_errors import broker_errors
from agents.dead_letter_judge import Change, Into, Judge, Onto
from agents.dead_letter_log import Progress, contents, open_letters
from agents.dead_letter_stores import LetterStores, place_of
from agents.topics import DEAD_LETTERS, SETTLED_LETTERS
from agents.transactions import Outgoing, PartitionProducer
from config.settings import Settings
from schemas.dead_letter import DeadLetterReason, SettledLetter
from schemas.errors import RejectedEvent
from sinks.contract import SinkRecord
from streams.dead_letters import Choice, Letter, mark_of

_TIMEOUT_MS = 15_000
_MOST_LETTERS = 500
_MOST_BYTES = 4 * 1024 * 1024
"""Of one transaction; the last letter may go beyond."""


class Left(NamedTuple):
    """A letter that stays open, and why."""

    letter: Letter
    reason: DeadLetterReason
    detail: str


class Resent(NamedTuple):
    """How many letters were ``chosen``, of them ``resent`` (in a dry run: would be) and ``left``;
    what is in neither was deleted by Kafka meanwhile."""

    chosen: int
    resent: int
    left: int


class _Going:
    """Letters that go in one transaction."""

    def __init__(self) -> None:
        self.onto: list[tuple[Letter, Onto]] = []
        self.into: dict[str, list[tuple[Letter, SinkRecord]]] = defaultdict(list)
        self.count = self._bytes = 0

    def add(self, letter: Letter, where: Onto | Into) -> None:
        if isinstance(where, Onto):
            self.onto.append((letter, where))
        else:
            self.into[where.store].append((letter, where.record))
        self.count += 1
        self._bytes += letter.size

    @property
    def full(self) -> bool:
        return self.count >= _MOST_LETTERS or self._bytes >= _MOST_BYTES


Commit = Callable[[_Going], Awaitable[list[Left]]]


async def resend(  # noqa: PLR0913, PLR0917
    settings: Settings,
    choice: Choice,
    by: str,
    progress: Progress,
    on_left: Callable[[Left], object],
    change: Change | None = None,
    *,
    dry_run: bool = False,
) -> Resent:
    """Sends the open letters of a choice again, as far as they are valid now.

    A dry run judges them, asks no store, and disturbs nobody.

    Args:
        by: who does it.
        on_left: called for each that stays open.
        change: corrects letters before they are judged.

    Raises:
        BrokerUnavailable: Kafka does not answer: what was committed by then is settled, the rest is
            open, and the same again does the rest.
        Fenced: somebody else began to settle letters.
        InvalidInput: one asked for by its id is settled already, or not there.
    """
    async with LetterStores(settings) as stores:
        judge = Judge(settings, stores, change)
        if dry_run:
            return await _resend(settings, choice, judge, progress, on_left, _nothing)
        async with _settling(settings) as producer:

            async def commit(going: _Going) -> list[Left]:
                return await _commit(settings, producer, stores, going, by)

            return await _resend(settings, choice, judge, progress, on_left, commit)


async def drop(settings: Settings, choice: Choice, by: str, progress: Progress) -> int:
    """Marks the open letters of a choice as dropped; how many.

    Raises: as `resend`.
    """
    async with _settling(settings) as producer:
        letters = await open_letters(settings.kafka, choice, progress)
        with progress("dropping", len(letters)) as advance:
            for start in range(0, len(letters), _MOST_LETTERS):
                part = letters[start : start + _MOST_LETTERS]
                now = datetime.now(UTC)
                marks = [_marked(mark_of(letter, "dropped", by, now)) for letter in part]
                await _whole(settings, producer, marks)
                advance(len(part))
    return len(letters)


async def _resend(  # noqa: PLR0913, PLR0917
    settings: Settings,
    choice: Choice,
    judge: Judge,
    progress: Progress,
    on_left: Callable[[Left], object],
    commit: Commit,
) -> Resent:
    letters = await open_letters(settings.kafka, choice, progress)
    await judge.prepare(letters, progress)
    resent = left = 0
    going = _Going()

    async def go() -> None:
        nonlocal resent, left, going
        refused = await commit(going)
        for each in refused:
            on_left(each)
        left += len(refused)
        resent += going.count - len(refused)
        going = _Going()

    async with aclosing(contents(settings.kafka, letters)) as found:
        with progress("sending", len(letters)) as advance:
            async for letter, content in found:
                try:
                    going.add(letter, judge.destination(content))
                except RejectedEvent as rejected:
                    on_left(Left(letter, rejected.reason, rejected.detail))
                    left += 1
                if going.full:
                    await go()
                advance(1)
            if going.count:
                await go()
    return Resent(len(letters), resent, left)


async def _nothing(_: _Going) -> list[Left]:
    return []


async def _commit(
    settings: Settings, producer: PartitionProducer, stores: LetterStores, going: _Going, by: str
) -> list[Left]:
    """Stores first: a letter is settled once its store has the record."""
    left: list[Left] = []
    outgoing: list[Outgoing] = []
    now = datetime.now(UTC)
    for letter, where in going.onto:
        outgoing.append(Outgoing(where.topic, where.key, where.value, where.partition))
        outgoing.append(_marked(mark_of(letter, "resent", by, now, corrected=where.corrected)))
    for store, offered in going.into.items():
        refused = await stores.write(store, [record for _, record in offered])
        for letter, record in offered:
            why = refused.get(place_of(record))
            if why is not None:
                left.append(Left(letter, DeadLetterReason.STORE_REFUSED, why))
            else:
                outgoing.append(_marked(mark_of(letter, "resent", by, now)))
    if outgoing:
        await _whole(settings, producer, outgoing)
    return left


def _marked(mark: SettledLetter) -> Outgoing:
    value = mark.model_dump_json().encode()
    return Outgoing(SETTLED_LETTERS, mark.dead_letter_id.encode(), value, 0)


async def _whole(
    settings: Settings, producer: PartitionProducer, outgoing: Iterable[Outgoing]
) -> None:
    """Ctrl-C waits for the transaction: one that is left open would keep the worker waiting."""
    with broker_errors(settings.kafka):
        transaction = asyncio.ensure_future(producer.commit(outgoing))
        try:
            await asyncio.shield(transaction)
        except asyncio.CancelledError:
            await transaction
            raise


@asynccontextmanager
async def _settling(settings: Settings) -> AsyncIterator[PartitionProducer]:
    """The one producer that settles letters; whoever had one before is fenced."""
    only = TopicPartition(DEAD_LETTERS, 0)
    producer = PartitionProducer(settings.kafka, f"{settings.worker.app_id}-dlq", only, _TIMEOUT_MS)
    try:
        with broker_errors(settings.kafka):
            await producer.start()
        yield producer
    finally:
        await producer.stop()
