"""What we change in Faust's own behaviour, all in one place; each change has a test that shows
what happens without it (``tests/agents/test_faust_mends.py``, ``docs/decisions/0005``).

1. `ListConsumer.getmany`: one Faust message carries the whole list of records fetched from a
   partition, with the positions before and after it; a list that cannot be delivered is given
   back by a seek.
2. `ListConsumer._next_lists`: the set of active partitions is frozen before it crosses to
   the consumer's thread, and an empty one fetches nothing (aiokafka reads it as "every partition").
3. `ListConsumer.commit`, `ack`, `_add_gap`: where to read on is in our transactions; Faust keeps
   no list of acked offsets, nor of the gaps that transaction markers leave between them (it sorts
   all of them anew at each fetch, and never drops one: soon half of a worker's time). What the
   group is told serves only those who look at its lag.
4. `ListConsumerThread.seek_to_starts`: a partition is sought to where its own state says, or else
   to its beginning (aiokafka leaves one without a commit where prefetching had got to).
5. `ListConsumerThread`: reads ``read_committed`` and waits 50 ms for a fetch, not 1.5 s.
6. `OwnRecovery`: state is restored by `agents.restore`, after the old owner has been fenced, and
   partitions are sought *before* they are resumed (Faust resumes first, and loses what it
   fetches in between).
7. `LearnerApp._crash`: a crash of any part ends the process; Faust would stay up, half stopped.
8. `LearnerApp._create_directories`: no folder is made where the worker starts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, NamedTuple, cast

import faust
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP, ConsumerMessage, Message
from mode.utils.futures import notify

from agents.aiokafka_mends import sit_out_outages
from agents.group_progress import tell_group
from agents.read_position import read_on_from

FETCH_WAIT_MS = 50
_IF_MADE_ANEW = "Delete and create the changelogs of profile, behavior, engagement and seen too"


class RecordList(NamedTuple):
    """What one fetch brought from one partition: ``records`` stand in ``[start, end)``.

    ``start`` is where the reading stood after the list before, so a list that begins after the
    end of that one proves that something was skipped; a gap between offsets alone does not
    (transaction markers and compaction leave gaps too). ``seek`` counts our seeks up to then.
    """

    start: int
    end: int
    records: list[ConsumerRecord]
    seek: int


class ListConsumerThread(AIOKafkaConsumerThread):
    """Mends 1, 2, 4 and 5. Fetches and seeks run on one loop, so none happens inside another."""

    #: Seeks so far: what was fetched before the latest is stale.
    seeks = 0
    #: Per partition, the end of the last list handed out, or where it was sought.
    _handed_out: dict[TP, int]
    #: Per partition, the position after the last fetch, which may have passed markers only.
    _stands: dict[TP, int]

    def __post_init__(self) -> None:
        super().__post_init__()
        self._handed_out, self._stands = {}, {}

    def _create_worker_consumer(self, transport: Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        sit_out_outages(consumer._client)
        return consumer

    async def _fetch_records(  # type: ignore[override]  # a list stands for each partition
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: frozenset[TP],
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> dict[TP, RecordList]:
        active_partitions &= self._stands.keys()  # read nothing that was not sought
        if not active_partitions:
            return {}
        before, seeks = self._positions(consumer, active_partitions), self.seeks
        fetched = await super()._fetch_records(
            consumer, set(active_partitions), timeout, max_records
        )
        lists = {}
        for tp, after in self._positions(consumer, before).items():
            moved = seeks == self.seeks and before[tp] != self._stands.get(tp)
            start = before[tp] if moved else self._handed_out[tp]
            self._stands[tp] = after
            if fetched.get(tp):
                self._handed_out[tp] = after
                lists[tp] = RecordList(start, after, fetched[tp], self.seeks)
        return lists

    async def seek_to_starts(
        self, tps: set[TP], positions: Mapping[TP, int | None]
    ) -> dict[TP, int]:
        """Seeks each partition to its position, or, where there is none, to its beginning.

        Raises:
            InvalidRecord: a partition ends before its position.
        """
        consumer = self._ensure_consumer()
        starts: dict[TP, int] = await consumer.beginning_offsets(list(tps)) if tps else {}
        ends = await consumer.end_offsets(list(tps)) if tps else {}
        for tp, begin in starts.items():
            starts[tp] = read_on_from(tp, positions.get(tp), begin, ends[tp], _IF_MADE_ANEW)
        self._stands.clear()
        for tp, offset in starts.items():
            self.seek_back(tp, offset)
        self.seeks += 1
        return starts

    def seek_back(self, tp: TP, offset: int) -> None:
        """Seeks one partition, from this thread's loop."""
        self._ensure_consumer().seek(tp, offset)
        self._handed_out[tp] = self._stands[tp] = offset

    def behind(self, tp: TP, committed: int) -> int | None:
        """Offsets from ``committed`` to where what may be read ended at the last fetch.

        Where all that was handed out is committed, what was passed since (markers at the end of
        transactions) counts as read. ``None``: not fetched yet. May be asked from any thread.
        """
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(tp) if assignment is not None else None
        if state is None or state.lso is None:
            return None
        if self._handed_out.get(tp) == committed:
            committed = max(committed, self._stands.get(tp, committed))
        return max(0, int(state.lso) - committed)

    async def tell_group(self, positions: Mapping[TP, int]) -> bool:
        """Commits the positions to the consumer group, for those who look at its lag."""
        reached = {TopicPartition(*tp): at for tp, at in positions.items()}
        return await tell_group(self._ensure_consumer(), reached)

    @staticmethod
    def _positions(consumer: AIOKafkaConsumer, tps: Iterable[TP]) -> dict[TP, int]:
        assignment = consumer._subscription.subscription.assignment
        states = {tp: assignment.state_value(tp) for tp in tps}
        return {tp: state._position for tp, state in states.items() if state is not None}


class ListConsumer(Consumer):
    """Mends 1 to 4."""

    #: What the group knows, per partition.
    _told: dict[TP, int] = {}  # noqa: RUF012  # replaced, never edited: Faust builds the instance

    def _new_consumer_thread(self) -> ListConsumerThread:
        return ListConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def _reader(self) -> ListConsumerThread:
        return cast(ListConsumerThread, self._thread)

    def behind(self, tp: TP, committed: int) -> int | None:
        """See `ListConsumerThread.behind`."""
        return self._reader.behind(tp, committed)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109
        for tp, fetched in (await self._next_lists(timeout)).items():
            if not self.flow_active or self.should_stop or fetched.seek != self._reader.seeks:
                # A rebalance: everything is sought again before it is read again.
                return
            if tp in self._get_active_partitions() | self._buffered_partitions:
                yield tp, self._list_message(tp, fetched)
            else:
                await self._give_back(tp, fetched)

    async def _give_back(self, tp: TP, fetched: RecordList) -> None:
        async def seek() -> None:
            self._reader.seek_back(tp, fetched.start)

        await self._reader.call_thread(seek)

    async def _next_lists(self, wait: float) -> Mapping[TP, RecordList]:
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))
        active = frozenset(self._get_active_partitions())
        if not active:
            await self.sleep(FETCH_WAIT_MS / 1000)
            return {}
        fetched = await self._getmany(active_partitions=cast(Any, active), timeout=wait)
        return cast(Mapping[TP, RecordList], fetched)

    def _list_message(self, tp: TP, fetched: RecordList) -> Message:
        last = fetched.records[-1]
        message: ConsumerMessage = self._to_message(tp, last)
        message.key = None
        message.value = cast(Any, fetched)
        return cast(Message, message)

    def ack(self, message: Message) -> bool:
        if message.acked:
            return False
        message.acked = True
        self._unacked_messages.discard(message)
        notify(self._waiting_for_ack)
        return True

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Keeps none: they only serve Faust's own commits."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        positions = {
            tp: position
            for tp, position in cast("LearnerApp", self.app).positions().items()
            if position is not None and self._told.get(tp) != position
        }
        told = bool(positions) and await self._reader.call_thread(
            self._reader.tell_group, positions
        )
        if told:
            self._told = {**self._told, **positions}
        return told

    async def perform_seek(self) -> None:
        sources = {tp for tp in self.assignment() if not self._is_changelog_tp(tp)}
        starts = await self._reader.call_thread(
            self._reader.seek_to_starts, sources, cast("LearnerApp", self.app).positions()
        )
        self._told = {}
        # Faust drops what stands before its own read offset; it starts anew with each seek.
        self._read_offset.clear()
        cast("LearnerApp", self.app).reading_from(starts)


class ListTransport(Transport):
    Consumer = ListConsumer


class OwnRecovery(Recovery):
    """Mend 6: Faust's own recovery is told that there is nothing to recover."""

    async def _build_highwaters(self, *_: Any) -> None:
        self.active_highwaters.clear()

    async def _build_offsets(self, *_: Any) -> None:
        return

    async def _seek_offsets(self, *_: Any) -> None:
        return

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        app = cast("LearnerApp", self.app)
        consumer = app.consumer
        sources = {tp for tp in consumer.assignment() if not self._is_changelog_tp(tp)}
        await app.take_over(sources)
        if app.consumer_generation_id != generation_id:
            return
        await consumer.perform_seek()
        self.completed.set()
        await app.on_rebalance_complete.send()
        self._set_recovery_ended()
        consumer.resume_partitions(sources)
        app.flow_control.resume()
        consumer.resume_flow()
        await app._fetcher.maybe_start()
        self.tables.on_actives_ready()
        self.tables.on_standbys_ready()
        app.on_rebalance_end()


class OwnRecoveryTables(TableManager):
    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = OwnRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class LearnerApp(faust.App):
    """A Faust app with the mends.

    ``take_over`` gets the source partitions just assigned, before they are read; ``positions`` says
    where each is to be read on from, ``reading_from`` gets where that is; ``leave`` gets the error
    for which the process must end.
    """

    leave: Callable[[BaseException], None]
    take_over: Callable[[set[TP]], Awaitable[None]]
    positions: Callable[[], Mapping[TP, int | None]]
    reading_from: Callable[[Mapping[TP, int]], None]

    def _new_transport(self) -> Transport:
        return ListTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Makes none: state is in memory and on Kafka."""

    def _crash(self, reason: BaseException) -> None:
        super()._crash(reason)
        self.leave(reason)
