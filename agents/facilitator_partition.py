"""What a facilitator does for one partition: take it over, then round after round until it is
given up.

    take over   fence the owner before, restore the pending deliveries, go on reading after them
    each round  what has come in meanwhile ─► `streams.delivery` ─► one transaction ─► the table
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from agents import topics
from agents.event_record import recorded_at
from agents.facilitator_records import outgoing, restore_row
from agents.full_collections import collect_now_and_not_later
from agents.read_position import read_on_from
from agents.restore import restore
from agents.transactions import PartitionProducer
from config.settings import FacilitatorSettings, Settings
from schemas.delivery import Delivery, ReadPositions
from streams.decode import Record
from streams.delivery import DeliveryRules, Round, deliver
from streams.pending_deliveries import PendingDeliveries

log = structlog.get_logger(__name__)

OnStatus = Callable[[Delivery], object]
"""Called with every record of ``facilitator.log``, once Kafka has it."""

_MOST_RECORDS = 1_000
"""Of each kind in one round: what is folded between two looks at the event loop."""
_MOST_WAITING = 4_000
_ANSWERS_WAIT_SECONDS = 0.05
"""For more of them, or for a decision: one transaction for all, and none in a decision's way."""
_LOOK_AGAIN_SECONDS = 0.02
_WARN_SECONDS = 60.0
_TRANSACTION_MS = 10_000
"""Some are on ``learner.events``: if this process dies and no other comes, workers wait for it."""


class FacilitatorPartition:
    """One partition of ``learner.decisions`` and ``facilitator.acks``: `start`, `put`, `close`."""

    def __init__(
        self, settings: Settings, consumer: AIOKafkaConsumer, partition: int, on_status: OnStatus
    ) -> None:
        self.decisions = TopicPartition(topics.DECISIONS, partition)
        self.acks = TopicPartition(topics.ACKS, partition)
        self.counts: Counter[str] = Counter()
        self._settings = settings
        self._rules = delivery_rules(settings.facilitator)
        self._changelog = topics.changelog(settings.worker.app_id, topics.PENDING)
        self._consumer = consumer
        self._partition = partition
        self._on_status = on_status
        self._producer = PartitionProducer(
            settings.kafka, group_of(settings.worker.app_id), self.decisions, _TRANSACTION_MS
        )
        self._table = PendingDeliveries()
        self._waiting: dict[str, list[ConsumerRecord]] = {topics.DECISIONS: [], topics.ACKS: []}
        self._reading = self._closing = False
        self._first_ack_at = self._looked_at = 0.0
        self._ignored, self._warned_at = 0, -_WARN_SECONDS
        self._something = asyncio.Event()
        self._taken = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """Deliveries that are not answered for yet."""
        return len(self._table)

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """Up to where everything is done; empty before it has been taken over."""
        if not self._reading:
            return {}
        done = self._table.positions
        return {self.decisions: done.decisions, self.acks: done.acks}

    def start(self, leave: Callable[[BaseException], None]) -> None:
        """Takes over and works; an error of any kind goes to ``leave``."""

        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                leave(error)

        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(ended)

    def put(self, records: list[ConsumerRecord]) -> None:
        """Records of one of the two topics, in order; dropped while it is being taken over, since
        it is read from its own positions then."""
        if self._reading:
            if not self._waiting[topics.ACKS]:
                self._first_ack_at = asyncio.get_running_loop().time()
            self._waiting[records[0].topic] += records
            self._something.set()

    async def room(self) -> None:
        """Until it can take more."""
        while not self._closing and sum(map(len, self._waiting.values())) > _MOST_WAITING:
            self._taken.clear()
            await self._taken.wait()

    async def close(self) -> None:
        """Finishes the round in hand, and lets go."""
        self._closing = True
        self._something.set()
        self._taken.set()
        if self._running is not None:
            if not self._reading:
                self._running.cancel()
            await asyncio.wait([self._running])
        await self._producer.stop()

    async def _run(self) -> None:
        await self._take_over()
        collect_now_and_not_later()
        while not self._closing:
            await self._wait()
            await self._round()

    async def _take_over(self) -> None:
        await self._producer.start()
        restored = await restore(
            self._settings.kafka,
            [self._changelog],
            self._partition,
            lambda topic, key, raw, _: restore_row(self._table, topic, key, raw),
        )
        await self._seek()
        log.info(
            "partition taken over",
            partition=self._partition,
            restored=restored,
            pending=len(self._table),
        )

    async def _seek(self) -> None:
        """Reading goes on where the table stands, whatever the group has committed."""
        both, positions = (self.decisions, self.acks), self._table.positions
        begins = await self._consumer.beginning_offsets(both)
        ends = await self._consumer.end_offsets(both)
        starts = {}
        for tp, offset in ((self.decisions, positions.decisions), (self.acks, positions.acks)):
            starts[tp] = read_on_from(
                tp, offset or None, begins[tp], ends[tp], f"Delete and create {self._changelog} too"
            )
        self._table.positions = ReadPositions(starts[self.decisions], starts[self.acks])
        # No await from here on: what was fetched from elsewhere must not come in between.
        for tp, offset in starts.items():
            self._consumer.seek(tp, offset)
        self._consumer.resume(*both)
        self._reading = True

    async def _wait(self) -> None:
        """Until there is something to do: a decision, answers that have waited for long enough, a
        delivery that is due, the end."""
        loop = asyncio.get_running_loop()
        while not self._closing and not self._waiting[topics.DECISIONS]:
            left = self._seconds_left(loop.time())
            if left is not None and left <= 0:
                return
            self._something.clear()
            timer = None if left is None else loop.call_later(left, self._something.set)
            await self._something.wait()
            if timer is not None:
                timer.cancel()

    def _seconds_left(self, now: float) -> float | None:
        """Until something has to be done, if no decision comes in; ``None``: nothing."""
        lefts = []
        if self._waiting[topics.ACKS]:
            lefts.append(self._first_ack_at + _ANSWERS_WAIT_SECONDS - now)
        if (due_at := self._table.next_due_at) is not None:
            due = (due_at - datetime.now(UTC)).total_seconds()
            lefts.append(max(due, self._looked_at + _LOOK_AGAIN_SECONDS - now))
        return min(lefts, default=None)

    async def _round(self) -> None:
        self._looked_at = asyncio.get_running_loop().time()
        read_until = await self._answers_read_until()
        acks, decisions = self._take(topics.ACKS), self._take(topics.DECISIONS)
        now = datetime.now(UTC)
        done = deliver(acks, decisions, self._table, self._rules, self._partition, now, read_until)
        if not (acks or decisions or done.log):
            return
        await asyncio.wait_for(
            self._producer.commit(outgoing(done, self._changelog)),
            self._settings.worker.transaction_wait_seconds,
        )
        self._table.apply(done.changed)
        self._table.positions = done.positions
        self.counts += done.counts
        for delivery in done.log:
            self._on_status(delivery)
        self._warn(done)

    def _warn(self, done: Round) -> None:
        if done.counts["replayed"]:
            log.warning(
                "records were read before, and were passed over",
                partition=self._partition,
                records=done.counts["replayed"],
            )
        self._ignored += done.counts["ignored"]
        now = asyncio.get_running_loop().time()
        if self._ignored and now - self._warned_at > _WARN_SECONDS:
            log.warning(
                "answers to nothing that is pending: late, repeated, or in another partition than "
                "their delivery",
                partition=self._partition,
                answers=self._ignored,
            )
            self._ignored, self._warned_at = 0, now

    def _take(self, topic: str) -> list[Record]:
        waiting = self._waiting[topic]
        taken = [_record(record) for record in islice(waiting, _MOST_RECORDS)]
        del waiting[:_MOST_RECORDS]
        self._taken.set()
        return taken

    async def _answers_read_until(self) -> datetime | None:
        """Up to when nothing is left unread on ``facilitator.acks``; ``None`` while nothing is due.

        A delivery is timed out only by a fetch later than its time that brought no answer: after
        an outage its answer may still stand on Kafka.
        """
        due_at = self._table.next_due_at
        if due_at is None or due_at > datetime.now(UTC):
            return None
        fetched_ms = self._consumer.last_poll_timestamp(self.acks)
        end = self._consumer.last_stable_offset(self.acks)
        if fetched_ms is None or end is None or await self._consumer.position(self.acks) < end:
            return None
        if len(self._waiting[topics.ACKS]) > _MOST_RECORDS:
            return None
        return datetime.fromtimestamp(fetched_ms / 1000, UTC)


def delivery_rules(facilitator: FacilitatorSettings) -> DeliveryRules:
    """The settings as the pure part takes them."""
    return DeliveryRules(
        ack_timeout=timedelta(seconds=facilitator.ack_timeout_seconds),
        backoff=facilitator.backoff,
        attempts=facilitator.attempts,
    )


def group_of(app_id: str) -> str:
    """The facilitators' consumer group, and the prefix of their transactional ids."""
    return f"{app_id}-facilitator"


def _record(record: ConsumerRecord) -> Record:
    return Record(
        record.offset,
        record.key,
        record.value or b"",
        recorded_at(record.timestamp),
    )
