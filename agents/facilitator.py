"""The facilitator: delivers decisions to the query-strategy service, and follows what becomes of
them.

A plain consumer of ``learner.decisions`` and ``facilitator.acks`` (docs/decisions/0019). One task
reads, and one task for each partition works (`agents.facilitator_partition`), so that what comes in
while a transaction is under way is the next one. Several processes share the partitions.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from agents import topics
from agents.broker_errors import broker_errors
from agents.facilitator_partition import FacilitatorPartition, OnStatus, group_of
from agents.group_progress import tell_group
from agents.kafka_client import committed_reader
from agents.topic_admin import partition_counts
from config.settings import Settings
from schemas.delivery import Delivery
from schemas.errors import BrokerUnavailable, LearnerError

log = structlog.get_logger(__name__)

SOURCES = (topics.DECISIONS, topics.ACKS)
_SESSION_MS = 10_000
_POLL_MS = 200
_PROGRESS_SECONDS = 1.0


@dataclass
class FacilitatorProgress:
    """``counts`` since the start, as in `streams.delivery.Round`; ``pending``: not answered for
    yet, in the ``partitions`` that this process has now."""

    counts: Counter[str] = field(default_factory=Counter)
    pending: int = 0
    partitions: int = 0


async def run_facilitator(
    settings: Settings,
    stop: asyncio.Event,
    on_progress: Callable[[FacilitatorProgress], object] | None = None,
    on_status: OnStatus | None = None,
) -> FacilitatorProgress:
    """Works until ``stop`` is set.

    Args:
        on_progress: called about once a second.
        on_status: called with each record of ``facilitator.log`` once Kafka has it; ``pending``
            is a delivery that was sent, with its latencies.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or our topics are not there.
        InvalidRecord: the table of pending deliveries cannot be used: the text says what to do.
        Exception: whatever it had to leave for. What was under way is in doubt then: end the
            process without any further clean-up.
    """
    await _check_topics(settings)
    facilitator = Facilitator(settings, on_status or _nobody)
    with broker_errors(settings.kafka):
        await facilitator.start()
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stopping.done():
            await asyncio.wait(
                (stopping, facilitator.failed),
                timeout=_PROGRESS_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if facilitator.failed.done():
                facilitator.failed.result()
            await facilitator.commit_positions()
            if on_progress is not None:
                on_progress(facilitator.progress)
    except LearnerError:  # nothing is in doubt
        await facilitator.stop()
        raise
    finally:
        stopping.cancel()
    await facilitator.stop()
    done = facilitator.progress
    if on_progress is not None:
        on_progress(done)
    return done


class Facilitator(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The group's member. ``failed`` gets the first error of any of its parts."""

    def __init__(self, settings: Settings, on_status: OnStatus) -> None:
        self._settings = settings
        self._on_status = on_status
        self._partitions: dict[int, FacilitatorPartition] = {}
        self._past_counts: Counter[str] = Counter()
        self._committed: dict[TopicPartition, int] = {}
        self._reader: asyncio.Task[None] | None = None
        self._giving_up = asyncio.Lock()
        self._stopping = False
        self._consumer = committed_reader(
            settings.kafka,
            group_id=group_of(settings.worker.app_id),
            group_instance_id=settings.worker.instance_id,
            # Of both topics the same partitions: `_check_topics` says that they have as many.
            partition_assignment_strategy=(RangePartitionAssignor,),
            auto_offset_reset="earliest",
            session_timeout_ms=_SESSION_MS,
        )
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def progress(self) -> FacilitatorProgress:
        owned = self._partitions.values()
        return FacilitatorProgress(
            sum((partition.counts for partition in owned), self._past_counts),
            sum(partition.pending for partition in owned),
            len(owned),
        )

    async def start(self) -> None:
        """Joins the group; partitions are taken over as they are assigned."""
        try:
            await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        self._consumer.subscribe(list(SOURCES), listener=self)
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(self._reading_ended)

    async def stop(self) -> None:
        """Finishes what is in hand, gives every partition up, leaves the group."""
        self._stopping = True
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._give_up()
        await self._consumer.stop()

    async def commit_positions(self) -> None:
        """Tells the group how far it is, for those who look at its lag; the table alone decides
        where reading goes on."""
        reached = {
            tp: offset
            for partition in self._partitions.values()
            for tp, offset in partition.positions.items()
            if self._committed.get(tp) != offset
        }
        if not reached:
            return
        if await tell_group(self._consumer, reached):
            self._committed |= reached

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Whoever gets them starts from what is committed by now."""
        await self._give_up()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Only begins to take over: the group does not wait for it."""
        if self._stopping:
            return
        tps = set(assigned)
        numbers, of_acks = ({tp.partition for tp in tps if tp.topic == topic} for topic in SOURCES)
        if numbers != of_acks:
            self._leave(
                RuntimeError(
                    f"assigned partitions {sorted(numbers)} of {topics.DECISIONS}, but "
                    f"{sorted(of_acks)} of {topics.ACKS}: does another kind of consumer use the "
                    f"group {group_of(self._settings.worker.app_id)}?"
                )
            )
            return
        self._consumer.pause(*tps)
        for number in sorted(numbers):
            partition = FacilitatorPartition(
                self._settings, self._consumer, number, self._on_status
            )
            self._partitions[number] = partition
            partition.start(self._leave)

    async def _give_up(self) -> None:
        async with self._giving_up:
            owned = self._partitions
            await asyncio.gather(*(partition.close() for partition in owned.values()))
            await self.commit_positions()
            for partition in owned.values():
                self._past_counts += partition.counts
            self._partitions, self._committed = {}, {}
            if owned:
                log.info("partitions given up", partitions=sorted(owned))

    async def _read(self) -> None:
        while True:
            fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for tp, records in fetched.items():
                if tp.partition in self._partitions:
                    self._partitions[tp.partition].put(records)
            for partition in list(self._partitions.values()):
                await partition.room()

    def _reading_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._leave(error)

    def _leave(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)


async def _check_topics(settings: Settings) -> None:
    """All that goes with a partition has to have the same partitions."""
    counts = await partition_counts(settings.kafka)
    wanted = counts.get(topics.DECISIONS, 0)
    for topic in (
        *SOURCES,
        topics.DELIVERIES,
        topics.DELIVERY_LOG,
        topics.EVENTS,
        topics.DEAD_LETTERS,
        topics.changelog(settings.worker.app_id, topics.PENDING),
    ):
        if topic not in counts:
            raise BrokerUnavailable(f"topic {topic} is not there: run `learner topics create`")
        if counts[topic] != wanted:
            raise BrokerUnavailable(
                f"topic {topic} has {counts[topic]} partitions, {topics.DECISIONS} has {wanted}: "
                "they must have as many"
            )


def _nobody(_: Delivery) -> None:
    pass
