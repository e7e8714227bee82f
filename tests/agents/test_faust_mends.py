"""Each change to Faust's behaviour, beside what Faust (or aiokafka) does without it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from faust.tables.recovery import Recovery
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer
from faust.types import TP
from intervaltree import IntervalTree

from agents.faust_mends import (
    LearnerApp,
    ListConsumer,
    ListConsumerThread,
    OwnRecovery,
    RecordList,
)
from agents.topics import EVENTS
from config.settings import Settings
from schemas.errors import InvalidRecord

SOURCE = TP(EVENTS, 0)


def thread(kind: type[Any], consumer: AIOKafkaConsumer | None = None) -> Any:
    """A consumer thread around a consumer of ours, without its app."""
    made = object.__new__(kind)
    made._consumer = consumer
    made.consumer = SimpleNamespace(flow_active=True)
    made._handed_out, made._stands = {}, {}
    return made


async def filled(settings: Settings, count: int) -> AIOKafkaConsumer:
    """A started consumer assigned to partition 0, in which ``count`` records stand."""
    servers = settings.kafka.bootstrap_servers
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for number in range(count):
            await producer.send_and_wait(EVENTS, b"%d" % number, partition=0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        group_id=settings.worker.app_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    consumer.assign([TopicPartition(*SOURCE)])
    return consumer


class TestMend1AListIsOneMessage:
    async def test_a_list_knows_where_reading_stood(self, fresh_kafka: Settings) -> None:
        consumer = await filled(fresh_kafka, 7)
        try:
            mended = thread(ListConsumerThread, consumer)
            assert await mended.seek_to_starts({SOURCE}, {}) == {SOURCE: 0}
            first = await fetch_until(mended, 3)
            second = await fetch_until(mended, 500)
            assert (first.start, first.end, len(first.records)) == (0, 3, 3)
            assert (second.start, second.end, len(second.records)) == (3, 7, 4)
            assert first.seek == second.seek == 1
        finally:
            await consumer.stop()

    async def test_a_skip_by_somebody_else_shows(self, fresh_kafka: Settings) -> None:
        consumer = await filled(fresh_kafka, 7)
        try:
            mended = thread(ListConsumerThread, consumer)
            await mended.seek_to_starts({SOURCE}, {SOURCE: None})
            await fetch_until(mended, 3)
            consumer.seek(TopicPartition(*SOURCE), 5)
            assert (await fetch_until(mended, 500)).start == 5
        finally:
            await consumer.stop()


class TestMend2AnEmptySetFetchesNothing:
    async def test_aiokafka_takes_it_for_every_partition(self, fresh_kafka: Settings) -> None:
        consumer = await filled(fresh_kafka, 3)
        try:
            stock = thread(AIOKafkaConsumerThread, consumer)
            fetched: dict[Any, Any] = {}
            for _ in range(50):
                fetched = await stock._fetch_records(consumer, set(), 0.2, 500)
                if fetched:
                    break
            assert len(fetched[TopicPartition(*SOURCE)]) == 3
            await consumer.seek_to_beginning()
            mended = thread(ListConsumerThread, consumer)
            assert await mended._fetch_records(consumer, frozenset(), 0.2, 500) == {}
            never_sought = await mended._fetch_records(consumer, frozenset({SOURCE}), 0.2, 500)
            assert never_sought == {}
        finally:
            await consumer.stop()


class TestMend3FaustCommitsNothing:
    async def test_acks_are_not_kept_for_a_commit(self) -> None:
        app = SimpleNamespace(topics=SimpleNamespace(acks_enabled_for=lambda _: True))
        for kind, kept in ((Consumer, [4]), (ListConsumer, [])):
            consumer: Any = object.__new__(kind)
            consumer.app = app
            consumer._committed_offset = {SOURCE: None}
            consumer._acked, consumer._acked_index = {SOURCE: []}, {SOURCE: set()}
            consumer._unacked_messages, consumer._n_acked = set(), 0
            message = _Message(acked=False, tp=SOURCE, offset=4, topic=EVENTS)
            assert kind.ack(consumer, message)
            assert consumer._acked[SOURCE] == kept
            assert message.acked

    async def test_gaps_are_not_kept_for_a_commit(self) -> None:
        for kind, kept in ((Consumer, [(5, 8)]), (ListConsumer, [])):
            consumer: Any = object.__new__(kind)
            consumer._committed_offset = {SOURCE: None}
            consumer._gap = {SOURCE: IntervalTree()}
            await kind._add_gap(consumer, SOURCE, 5, 7)  # markers stand between two lists
            assert [(gap.begin, gap.end) for gap in consumer._gap[SOURCE]] == kept

    async def test_the_group_is_told_once(self) -> None:
        told: list[dict[TP, int]] = []
        positions: dict[TP, int | None] = {SOURCE: 7, TP(EVENTS, 1): None}

        async def tell_group(at: dict[TP, int]) -> bool:
            told.append(at)
            return len(told) > 1

        async def call_thread(call: Any, *args: Any) -> Any:
            return await call(*args)

        consumer: Any = object.__new__(ListConsumer)
        consumer.app = SimpleNamespace(positions=lambda: positions)
        consumer._thread = SimpleNamespace(call_thread=call_thread, tell_group=tell_group)
        assert [await consumer.commit() for _ in range(3)] == [False, True, False]
        positions[SOURCE] = 9
        assert await consumer.commit()
        assert told == [{SOURCE: 7}, {SOURCE: 7}, {SOURCE: 9}]


class TestMend4APartitionIsReadFromWhereItsStateSays:
    async def test_aiokafka_leaves_it_where_it_stands(self, fresh_kafka: Settings) -> None:
        consumer = await filled(fresh_kafka, 5)
        tp = TopicPartition(*SOURCE)
        try:
            while await consumer.position(tp) < 5:
                await consumer.getmany(timeout_ms=200)
            await consumer.seek_to_committed()
            assert await consumer.position(tp) == 5  # five events would never be folded
            mended = thread(ListConsumerThread, consumer)
            assert await mended.seek_to_starts({SOURCE}, {}) == {SOURCE: 0}
            assert await consumer.position(tp) == 0
        finally:
            await consumer.stop()

    async def test_whatever_the_group_has_committed(self, fresh_kafka: Settings) -> None:
        consumer = await filled(fresh_kafka, 5)
        try:
            mended = thread(ListConsumerThread, consumer)
            assert await mended.seek_to_starts({SOURCE}, {}) == {SOURCE: 0}
            assert await mended.tell_group({SOURCE: 1})
            assert await consumer.committed(TopicPartition(*SOURCE)) == 1
            assert await mended.seek_to_starts({SOURCE}, {SOURCE: 3}) == {SOURCE: 3}
            assert (await fetch_until(mended, 500)).start == 3
        finally:
            await consumer.stop()

    async def test_a_partition_that_ends_before_is_not_the_one_that_was_read(
        self, fresh_kafka: Settings
    ) -> None:
        consumer = await filled(fresh_kafka, 5)
        try:
            mended = thread(ListConsumerThread, consumer)
            with pytest.raises(InvalidRecord, match="read up to 6, but it ends at 5: it was made"):
                await mended.seek_to_starts({SOURCE}, {SOURCE: 6})
        finally:
            await consumer.stop()


class TestMend5ReadsOnlyWhatIsCommitted:
    async def test_faust_reads_uncommitted(self) -> None:
        app = LearnerApp("mend5", broker="kafka://127.0.0.1:1", web_enabled=False)
        made = thread(ListConsumerThread)
        made.consumer = SimpleNamespace(in_transaction=False)
        made.app = app
        transport = app._new_transport()
        stock = AIOKafkaConsumerThread._create_worker_consumer(made, transport)
        mended = made._create_worker_consumer(transport)
        assert (stock._isolation_level, stock._fetch_max_wait_ms) == ("read_uncommitted", 1500)
        assert (mended._isolation_level, mended._fetch_max_wait_ms) == ("read_committed", 50)


class TestMend6SeekComesBeforeResume:
    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            (Recovery, ["resume_partitions", "perform_seek", "resume_flow"]),
            (OwnRecovery, ["take_over", "perform_seek", "resume_partitions", "resume_flow"]),
        ],
    )
    async def test_the_order(self, kind: type[Recovery], expected: list[str]) -> None:
        calls: list[str] = []
        recovery = recovery_that_records(kind, calls)
        await recovery.on_recovery_completed(generation_id=1)
        assert calls == expected

    async def test_a_rebalance_meanwhile_reads_nothing(self) -> None:
        calls: list[str] = []
        recovery = recovery_that_records(OwnRecovery, calls)
        await recovery.on_recovery_completed(generation_id=2)
        assert calls == ["take_over"]


class TestMend7ACrashEndsTheProcess:
    def test_faust_stays_up(self) -> None:
        left: list[BaseException] = []
        error = RuntimeError("a part of Faust crashed")
        app = LearnerApp("mend7", broker="kafka://127.0.0.1:1", web_enabled=False)
        app.leave = left.append
        app._crash(error)
        assert left == [error]
        assert faust.App._crash is not LearnerApp._crash


class TestMend8NoFolderIsMade:
    def test_faust_makes_one_where_it_starts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        options = {"broker": "kafka://127.0.0.1:1", "web_enabled": False, "autodiscover": False}
        LearnerApp("mend8", **options)._create_directories()
        assert not list(tmp_path.iterdir())
        faust.App("stock8", **options)._create_directories()
        assert [folder.name for folder in tmp_path.iterdir()] == ["stock8-data"]


def recovery_that_records(kind: type[Recovery], calls: list[str]) -> Any:
    """A recovery whose app and consumer only note what is asked of them; generation is 1."""

    def noted(name: str) -> Any:
        return lambda *_: calls.append(name)

    async def noted_soon(name: str) -> None:
        calls.append(name)

    async def nothing(*_: Any) -> None:
        return

    consumer = SimpleNamespace(
        assignment=lambda: {SOURCE},
        resume_partitions=noted("resume_partitions"),
        perform_seek=lambda: noted_soon("perform_seek"),
        resume_flow=noted("resume_flow"),
    )
    app = SimpleNamespace(
        consumer=consumer,
        consumer_generation_id=1,
        on_rebalance_complete=SimpleNamespace(send=nothing),
        on_rebalance_end=lambda: None,
        flow_control=SimpleNamespace(resume=lambda: None),
        _fetcher=SimpleNamespace(maybe_start=nothing),
        take_over=lambda _: noted_soon("take_over"),
        assignor=SimpleNamespace(assigned_standbys=set),
        conf=SimpleNamespace(broker_request_timeout=1),
    )
    recovery: Any = object.__new__(kind)
    recovery.__dict__.update(
        app=app,
        completed=asyncio.Event(),
        log=SimpleNamespace(info=lambda *_: None, dev=lambda *_: None),
        tables=_Tables(),
        actives_for_table={},
        standbys_for_table={},
        _wait=lambda coro, timeout=None: coro,
        _set_recovery_ended=lambda: None,
        _is_changelog_tp=lambda _: False,
    )
    return recovery


class _Message(SimpleNamespace):
    __hash__ = object.__hash__


class _Tables(dict[str, Any]):
    def on_actives_ready(self) -> None: ...

    def on_standbys_ready(self) -> None: ...


async def fetch_until(mended: ListConsumerThread, count: int) -> RecordList:
    """The next list of the source, of at most ``count`` records."""
    for _ in range(50):
        consumer = mended._ensure_consumer()
        lists = await mended._fetch_records(consumer, frozenset({SOURCE}), 0.2, count)
        if lists:
            return lists[SOURCE]
    raise AssertionError("nothing was fetched")
