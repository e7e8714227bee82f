"""The learner agent: one Faust agent over ``learner.events``, one actor per partition."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, cast

import structlog
from aiokafka import TopicPartition
from faust.types import TP, EventT

from agents import topics
from agents.faust_mends import LearnerApp, ListConsumer, OwnRecoveryTables
from agents.full_collections import collect_now_and_not_later, not_while_restoring
from agents.kafka_client import faust_credentials
from agents.metrics_worker import WorkerMetrics
from agents.partition_owner import PartitionOwner
from config.settings import Settings
from streams.rules import Rules
from streams.step import Trees

log = structlog.get_logger(__name__)

MOST_RECORDS = 2_000
"""In one batch, give or take a list: what is folded between two looks at the event loop."""

Leave = Callable[[BaseException], None]
"""Ends the process (or the demo): after an error only a new start knows what was committed."""


class LearnerAgent:
    """The app, its four tables and its agent; ``trees`` is asked before each batch."""

    def __init__(  # noqa: PLR0913  # all that a worker is made of
        self,
        settings: Settings,
        rules: Rules,
        trees: Callable[[], Trees],
        leave: Leave,
        partitions: int,
        *,
        metrics: WorkerMetrics | None = None,
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._trees = trees
        self._leave = leave
        self._metrics = metrics or WorkerMetrics()
        self._metrics.started(partitions, trees)
        self._owners: dict[TP, PartitionOwner] = {}
        self._past_counts: Counter[str] = Counter()
        self.app = _app(settings)
        self.app.leave = leave
        self.app.take_over = self._take_over
        self.app.positions = self._positions
        self.app.reading_from = self._reading_from
        # Faust plans by them who gets which partition; what they say each owner keeps itself.
        for name in topics.TABLES:
            self.app.Table(name, partitions=partitions, key_type=bytes, value_type=bytes)
        events = self.app.topic(
            topics.EVENTS, key_serializer="raw", value_serializer="raw", partitions=partitions
        )
        self.app.agent(events, name="learner", isolated_partitions=True)(self._fold_lists)

    @property
    def counts(self) -> Counter[str]:
        """What happened to the records so far, by outcome."""
        return sum((owner.counts for owner in self._owners.values()), self._past_counts)

    @property
    def ready(self) -> bool:
        """Whether partitions are owned and being read."""
        return bool(self._owners) and not self.app.rebalancing

    async def _fold_lists(self, stream: Any) -> None:
        stream = stream.noack()
        async for event in stream.events():
            events = [event, *self._queued(stream, event)]
            lists = [e.message.value for e in events]
            try:
                self._metrics.committed(lists, *await self._owners[event.message.tp].handle(lists))
            except BaseException as error:
                self._leave(error)
                # Never let Faust restart the actor: it would go on after a batch in doubt.
                await asyncio.Event().wait()
            for done in events:
                self.app.consumer.ack(done.message)

    def _queued(self, stream: Any, first: Any) -> list[EventT[Any]]:
        """What came in while the batch before was on its way; of this generation only."""
        consumer, queue = self.app.consumer, stream.channel.queue
        more: list[EventT[Any]] = []
        room = MOST_RECORDS - len(first.message.value.records)
        while room > 0 and not queue.empty() and self.app.flow_control.is_active():
            event = queue.get_nowait()
            room -= len(event.message.value.records)
            if event.message.generation_id == first.message.generation_id:
                event.message.tracked = True
                consumer.track_message(event.message)
                more.append(event)
        return more

    async def _take_over(self, sources: set[TP]) -> None:
        not_while_restoring()
        for tp in set(self._owners) - sources:
            await self._give_up(tp)
        for tp in sorted(sources - set(self._owners)):
            owner = PartitionOwner(
                self._settings,
                TopicPartition(tp.topic, tp.partition),
                self._trees,
                self._rules,
            )
            began = time.monotonic()
            try:
                await owner.take_over()
            except BaseException:
                await owner.give_up()  # another rebalance came in between, or Kafka is away
                raise
            self._owners[tp] = owner
            self._metrics.taken_over(
                tp.partition, time.monotonic() - began, partial(self._behind, tp)
            )
            log.info("partition taken over", partition=tp.partition, restored=owner.restored)
        collect_now_and_not_later()

    def _positions(self) -> dict[TP, int | None]:
        return {tp: owner.position for tp, owner in self._owners.items()}

    def _reading_from(self, starts: Mapping[TP, int]) -> None:
        for tp, offset in starts.items():
            self._owners[tp].expect(offset)

    def _behind(self, tp: TP) -> int | None:
        owner = self._owners.get(tp)
        if owner is None or owner.position is None:
            return None
        return cast(ListConsumer, self.app.consumer).behind(tp, owner.position)

    async def _give_up(self, tp: TP) -> None:
        owner = self._owners.pop(tp)
        self._past_counts += owner.counts
        self._metrics.given_up(tp.partition)
        await owner.give_up()
        log.info("partition given up", partition=tp.partition)

    async def start(self) -> None:
        """Joins the group; partitions are taken over as they are assigned."""
        self.app.finalize()
        await self.app.start()

    async def stop(self) -> None:
        """Finishes the batch in hand, leaves the group, gives every partition up."""
        await self.app.stop()
        for tp in list(self._owners):
            await self._give_up(tp)


def _app(settings: Settings) -> LearnerApp:
    kafka, worker = settings.kafka, settings.worker
    return LearnerApp(
        worker.app_id,
        broker=[f"kafka://{server}" for server in kafka.bootstrap_servers.split(",")],
        broker_credentials=faust_credentials(kafka),
        store="memory://",
        TableManager=OwnRecoveryTables,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=kafka.partitions,
        broker_session_timeout=10,
        broker_heartbeat_interval=3,
        broker_commit_interval=0.5,
        broker_max_poll_records=500,
        broker_check_crcs=kafka.check_crcs,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=worker.instance_id,
        stream_buffer_maxsize=16,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        web_enabled=False,
        autodiscover=False,
    )
