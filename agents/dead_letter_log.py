"""Reads dead letters: first which there are and what became of them, then the records of some.

Nothing but the letters' outlines is held: records are read again, one by one, when they are needed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import ValidationError

from agents.broker_errors import broker_errors
from agents.event_record import recorded_at
from agents.kafka_client import committed_reader
from agents.topic_reader import partitions_of, read_to_end, read_topic, seek_since
from agents.topics import DEAD_LETTERS, SETTLED_LETTERS
from config.settings import KafkaSettings
from schemas.dead_letter import DeadLetter, SettledLetter
from schemas.errors import InvalidInput
from streams.dead_letters import Choice, ChosenLetters, Letter, letter_at

log = structlog.get_logger(__name__)

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows how far something is: ``with progress(what, total) as advance: … advance(count)``."""

_TELL_EVERY = 500
_WAIT_MS = 200
_WORTH_A_SEEK = 2_000
"""Offsets between two letters that are wanted, beyond which reading on would take longer."""


async def chosen_letters(kafka: KafkaSettings, choice: Choice, progress: Progress) -> list[Letter]:
    """The letters of a choice, in the order of their partitions and offsets.

    What is no dead letter of ours is passed over, and logged.

    Raises:
        BrokerUnavailable: nobody answers, or a topic is not there.
    """
    chosen = ChosenLetters(choice)
    async with _reader(kafka) as consumer:
        partitions = await partitions_of(consumer, DEAD_LETTERS)
        consumer.assign(partitions)
        starts = await seek_since(consumer, partitions, choice.since)
        ends = await consumer.end_offsets(partitions)
        total = sum(max(0, end - starts[tp]) for tp, end in ends.items())
        with progress("reading letters", total) as advance:
            count = 0
            async for record in read_to_end(consumer, partitions):
                count += 1
                if count % _TELL_EVERY == 0:
                    advance(_TELL_EVERY)
                content = _content(record.value, record.partition, record.offset)
                if content is not None:
                    at = recorded_at(record.timestamp)
                    chosen.written(letter_at(record.partition, record.offset, at, content))
    # After the letters, so that one is never shown as open that was settled meanwhile.
    async for record in read_topic(kafka, SETTLED_LETTERS):
        if record.value is not None:
            chosen.settled(SettledLetter.model_validate_json(record.value))
    return sorted(chosen, key=lambda letter: (letter.partition, letter.offset))


async def open_letters(kafka: KafkaSettings, choice: Choice, progress: Progress) -> list[Letter]:
    """Those of a choice that nobody has settled.

    Raises:
        BrokerUnavailable: see `chosen_letters`.
        InvalidInput: one that was asked for by its id is settled, or not there.
    """
    by_id = choice.ids is not None
    found = await chosen_letters(kafka, choice._replace(only_open=not by_id), progress)
    for letter in found if by_id else ():
        if letter.mark is not None:
            raise InvalidInput(
                f"letter {letter.dead_letter_id} was {letter.state} by {letter.mark.settled_by} at "
                f"{letter.mark.settled_at:%Y-%m-%d %H:%M:%S} UTC: leave it out"
            )
    missing = (choice.ids or frozenset()) - {letter.dead_letter_id for letter in found}
    if missing:
        raise InvalidInput(
            f"there is no letter {min(missing)} on {DEAD_LETTERS}, or no longer: see `learner dlq "
            "list`"
        )
    return found


async def contents(
    kafka: KafkaSettings, letters: Iterable[Letter]
) -> AsyncGenerator[tuple[Letter, DeadLetter], None]:
    """The letters with their records, partition by partition in order; without those that Kafka
    has deleted meanwhile.

    Raises:
        BrokerUnavailable: nobody answers.
    """
    by_partition: dict[int, list[Letter]] = defaultdict(list)
    for letter in letters:
        by_partition[letter.partition].append(letter)
    async with _reader(kafka) as consumer:
        for partition, wanted in sorted(by_partition.items()):
            wanted.sort(key=lambda letter: letter.offset)
            tp = TopicPartition(DEAD_LETTERS, partition)
            async for found in _contents(consumer, tp, wanted):
                yield found


async def _contents(
    consumer: AIOKafkaConsumer, tp: TopicPartition, wanted: list[Letter]
) -> AsyncIterator[tuple[Letter, DeadLetter]]:
    consumer.assign([tp])
    begin = (await consumer.beginning_offsets([tp]))[tp]
    end = (await consumer.end_offsets([tp]))[tp]
    left = iter([letter for letter in wanted if begin <= letter.offset < end])
    letter = next(left, None)
    if letter is not None:
        consumer.seek(tp, letter.offset)
    while letter is not None:
        for record in (await consumer.getmany(tp, timeout_ms=_WAIT_MS)).get(tp, ()):
            while letter is not None and letter.offset < record.offset:
                letter = next(left, None)  # deleted meanwhile
            if letter is not None and letter.offset == record.offset:
                content = _content(record.value, record.partition, record.offset)
                if content is not None:
                    yield letter, content
                letter = next(left, None)
        position = await consumer.position(tp)
        while letter is not None and letter.offset < position:
            letter = next(left, None)
        if letter is not None and letter.offset - position > _WORTH_A_SEEK:
            consumer.seek(tp, letter.offset)


def _content(value: bytes | None, partition: int, offset: int) -> DeadLetter | None:
    try:
        return DeadLetter.model_validate_json(value or b"")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        log.warning(
            "no dead letter: passed over",
            place=f"{DEAD_LETTERS}/{partition}/{offset}",
            reason=first["msg"],
        )
        return None


@asynccontextmanager
async def _reader(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaConsumer]:
    # Where letters were deleted meanwhile, reading goes on at the first that is left.
    consumer = committed_reader(kafka, auto_offset_reset="earliest")
    try:
        with broker_errors(kafka):
            await consumer.start()
            yield consumer
    finally:
        await consumer.stop()
