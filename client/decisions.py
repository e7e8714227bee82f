"""Delivered decisions for the query-strategy service: each is taken, and answered for.

    async with DeliveredDecisions("kafka:9092", group_id="query-strategy") as decisions:
        async for decision in decisions:
            ...  # decision.delivery.llm_prompt_summary
            await decision.ack()  # or: await decision.fail("why")

Why a decision is handed out once:

1. Only what was committed is read, in a consumer group.
2. An answer is on Kafka before the offset of its decision may be committed, and offsets are
   committed in order: never past a decision that is not answered for.
3. Whoever gets a partition reads back what this group has answered for in it lately. What comes
   again after that is answered again, in the same words, and not handed out.

So it is handed out twice only if a process ended before its answer was on Kafka, or if its
partition went to another process while it was in hand; the ``delivery_id`` is the same then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Literal, Self

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.errors import CommitFailedError, ConsumerStoppedError, IllegalStateError, KafkaError
from pydantic import ValidationError

from client.answered_before import answered_before
from client.answers import Answer, AnswerProducer
from client.consumer import Consumer
from client.in_hand import REMEMBERED, PartitionInHand
from schemas.delivery import Delivery, delivery_adapter
from schemas.errors import BrokerUnavailable
from schemas.topics import ACKS, DELIVERIES

log = logging.getLogger(__name__)

MOST_IN_HAND = 10_000
"""Decisions handed out and not answered for."""
_LONGEST_REASON = 500
_POLL_MS = 200
_COMMIT_SECONDS = 1.0
_STOP_SECONDS = 10.0


class DeliveredDecision:
    """A decision in hand. Answer for it once it has been used, or cannot be."""

    def __init__(
        self, delivery: Delivery, place: PartitionInHand, offset: int, service: DeliveredDecisions
    ) -> None:
        self.delivery = delivery
        self._place = place
        self._offset = offset
        self._service = service
        self._status: Literal["success", "fail"] | None = None

    async def ack(self) -> None:
        """It was taken. Returns once Kafka has the answer.

        Raises:
            BrokerUnavailable: Kafka does not take it: try again, or let it come again.
            RuntimeError: `fail` was called before.
        """
        await self._answer("success", "")

    async def fail(self, reason: str) -> None:
        """It cannot be used, and shall not come again; ``reason``: of up to 500 characters, for
        whoever reads the delivery log.

        Raises:
            BrokerUnavailable: Kafka does not take it: try again, or let it come again.
            RuntimeError: `ack` was called before.
        """
        await self._answer("fail", reason[:_LONGEST_REASON])

    async def _answer(self, status: Literal["success", "fail"], reason: str) -> None:
        if self._status not in {None, status}:
            raise RuntimeError(
                f"delivery {self.delivery.delivery_id} was answered with {self._status} before"
            )
        self._status, answer = status, Answer(status, reason)
        try:
            await self._service._answers.send(self.delivery, answer, self._place.tp.partition)
        except BaseException:
            self._status = None
            raise
        self._place.done(self._offset, self.delivery.delivery_id, answer)
        await self._service._commit_now_and_then()


class DeliveredDecisions(ConsumerRebalanceListener):  # type: ignore[misc]  # has no types
    """What the facilitator delivers, one after the other; several tasks may iterate over it.

    Args:
        bootstrap_servers: ``host:port``, comma-separated.
        group_id: processes of one group share the decisions; also who answers, in the log.
        kafka: aiokafka's options for the connection, such as ``security_protocol``,
            ``ssl_context``, ``sasl_mechanism``, ``sasl_plain_username``.

    Raises:
        BrokerUnavailable: on entering: Kafka or one of the two topics is not there.
        RuntimeError: while iterating: thousands were handed out and none was answered for.
    """

    def __init__(self, bootstrap_servers: str, *, group_id: str, **kafka: Any) -> None:
        self._kafka = {"bootstrap_servers": bootstrap_servers, **kafka}
        self._group_id = group_id
        self._places: dict[TopicPartition, PartitionInHand] = {}
        self._ready: deque[DeliveredDecision] = deque()
        self._fetching: asyncio.Task[None] | None = None
        self._fetched: deque[tuple[TopicPartition, list[ConsumerRecord]]] = deque()
        self._committed_at = 0.0
        self._closed = False

    async def __aenter__(self) -> Self:
        self._consumer = Consumer(
            **self._kafka,
            group_id=self._group_id,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )
        self._answers = AnswerProducer(self._kafka, self._group_id)
        try:
            await self._consumer.start()
            await self._answers.start()
            await self._check_topics()
        except (KafkaError, OSError) as error:
            await self._stop()
            raise BrokerUnavailable(
                f"no Kafka answers at {self._kafka['bootstrap_servers']} ({error!r})"
            ) from error
        except BaseException:
            await self._stop()
            raise
        self._consumer.subscribe([DELIVERIES], listener=self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """What is in hand and not answered for comes again, here or elsewhere."""
        self._closed = True
        await self._stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DeliveredDecision:
        while not self._closed:
            while self._ready:
                decision = self._ready.popleft()
                if self._is_ours(decision._place):
                    return decision
            if self._fetching is None or self._fetching.done():
                self._fetching = asyncio.create_task(self._fetch())
            # Whoever waits waits for the same fetch; if one gives up, nothing of it is lost.
            await asyncio.wait([self._fetching])
            if not self._fetching.cancelled():
                self._fetching.result()
        raise StopAsyncIteration

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Answers for what is in hand still go out; what was not handed out goes elsewhere."""
        await self._commit()
        self._places = {}
        self._fetched.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._places = {tp: PartitionInHand(tp) for tp in assigned}

    async def _fetch(self) -> None:
        try:
            if not self._fetched:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
                self._fetched.extend(fetched.items())
            while self._fetched:
                # Left in the queue until it is taken: after an error it is next again.
                await self._take(*self._fetched[0])
                if self._fetched:
                    self._fetched.popleft()
            await self._pass_markers()
        except ConsumerStoppedError:
            return
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka gives out no decisions: {error!r}") from error
        in_hand = sum(map(len, self._places.values())) - len(self._ready)
        if in_hand > MOST_IN_HAND:
            raise RuntimeError(
                f"{in_hand:,} decisions are neither acknowledged nor failed: call ack() or fail() "
                "on each, also on one that is not used"
            )
        await self._commit_now_and_then()

    async def _take(self, tp: TopicPartition, records: list[ConsumerRecord]) -> None:
        place = self._places.get(tp)
        if place is not None and place.answered is None:
            place.answered = await answered_before(
                self._kafka, tp.partition, self._group_id, REMEMBERED
            )
        if place is None or not self._is_ours(place):
            return  # fetched just before it went elsewhere
        again: list[tuple[Delivery, Answer]] = []
        for record in records:
            delivery = self._read(record)
            if delivery is not None and not place.holds(delivery.delivery_id):
                answer = place.answer_to(delivery.delivery_id)
                if answer is not None:
                    again.append((delivery, answer))
                else:
                    place.take(record.offset, delivery.delivery_id)
                    self._ready.append(DeliveredDecision(delivery, place, record.offset, self))
            place.taken_to = record.offset + 1
        for delivery, answer in again:
            await self._answers.send(delivery, answer, tp.partition)

    async def _pass_markers(self) -> None:
        """At the end of a transaction stands no record, but it counts as lag."""
        for place in list(self._places.values()):
            with contextlib.suppress(IllegalStateError):  # it is going elsewhere
                place.taken_to = await self._consumer.position(place.tp)

    def _read(self, record: ConsumerRecord) -> Delivery | None:
        try:
            # What a newer facilitator adds is passed over.
            return delivery_adapter.validate_json(record.value or b"", extra="ignore")
        except ValidationError as error:
            log.error(
                "what stands on %s partition %d at offset %d is no delivery, and was passed over: "
                "%s",
                *(record.topic, record.partition, record.offset, error.errors()[0]["msg"]),
            )
            return None

    async def _commit_now_and_then(self) -> None:
        if time.monotonic() - self._committed_at >= _COMMIT_SECONDS:
            await self._commit()

    async def _commit(self) -> None:
        """Up to the first decision of each partition that is not answered for."""
        self._committed_at = time.monotonic()
        reached = {
            place: place.done_to
            for place in self._places.values()
            if place.done_to is not None and place.done_to != place.committed
        }
        if not reached:
            return
        try:
            await self._consumer.commit({place.tp: offset for place, offset in reached.items()})
        except (CommitFailedError, IllegalStateError):
            log.info("partitions moved before a commit: what was answered for is known elsewhere")
        except KafkaError as error:
            log.warning("offsets are not committed yet: %r", error)
        else:
            for place, offset in reached.items():
                place.committed = offset

    def _is_ours(self, place: PartitionInHand) -> bool:
        return self._places.get(place.tp) is place

    async def _check_topics(self) -> None:
        cluster = await self._consumer._client.fetch_all_metadata()
        counts = {topic: cluster.partitions_for_topic(topic) for topic in (DELIVERIES, ACKS)}
        for topic, partitions in counts.items():
            if not partitions:
                raise BrokerUnavailable(f"topic {topic} is not there: run `learner topics create`")
        if counts[ACKS] != counts[DELIVERIES]:
            raise BrokerUnavailable(f"{ACKS} must have as many partitions as {DELIVERIES}")

    async def _stop(self) -> None:
        """Kafka may be away: then what is not committed is known from the answers."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        for step in (self._commit, self._consumer.stop, self._answers.stop):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(step(), _STOP_SECONDS)
