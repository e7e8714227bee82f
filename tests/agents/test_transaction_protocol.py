"""Kafka 4's transactions: on a real broker, on one without them, and the answers they bring."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ProducerFenced

from agents.cluster_features import FeaturesRequest_v3, features_of
from agents.embedded_kafka import EmbeddedKafka
from agents.topics import CHAT, DEAD_LETTERS, DECISIONS, EVENTS, changelog
from agents.transaction_protocol import TransactionalProducer, _EndTxnHandler
from agents.transaction_requests import EndTxn, Produce
from agents.transactions import MAX_BATCH_BYTES, Outgoing, PartitionProducer
from config.settings import Settings
from doctor.ask_kafka import changelogs
from faults.committed_records import committed_records

SOURCE = TopicPartition(EVENTS, 0)


def producer(bootstrap: str, transactional_id: str) -> TransactionalProducer:
    return TransactionalProducer(
        bootstrap_servers=bootstrap,
        transactional_id=transactional_id,
        transaction_timeout_ms=60_000,
    )


def records(topic: str, values: Sequence[int]) -> list[Outgoing]:
    return [Outgoing(topic, b"key", b"%d" % value) for value in values]


async def test_each_commit_brings_the_epoch_of_the_next(fresh_kafka: Settings) -> None:
    one = producer(fresh_kafka.kafka.bootstrap_servers, fresh_kafka.worker.app_id)
    await one.start()
    try:
        assert one.implicit
        epochs = []
        for number in range(3):
            epochs.append(one._txn_manager.producer_epoch)
            async with one.transaction():
                await one.send_and_wait(DECISIONS, b"%d" % number, partition=0)
        assert epochs == [epochs[0], epochs[0] + 1, epochs[0] + 2]
    finally:
        await one.stop()


async def test_all_of_a_transaction_is_read_or_nothing(fresh_kafka: Settings) -> None:
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    one = producer(bootstrap, fresh_kafka.worker.app_id)
    await one.start()
    try:
        for number in range(20):
            await one.begin_transaction()
            await one.send_and_wait(DECISIONS, b"%d" % number, partition=0)
            await one.send_and_wait(CHAT, b"%d" % number, partition=0)
            if number % 2:
                await one.abort_transaction()
            else:
                await one.commit_transaction()
    finally:
        await one.stop()
    for topic in (DECISIONS, CHAT):
        read = [int(message.value()) for message in committed_records(bootstrap, topic)[0]]
        assert read == list(range(0, 20, 2))


async def test_a_new_owner_fences_both_of_a_partitions_producers(fresh_kafka: Settings) -> None:
    zombie = PartitionProducer(fresh_kafka.kafka, fresh_kafka.worker.app_id, SOURCE)
    await zombie.start()
    await zombie.commit(records(DECISIONS, [1]))
    owner = PartitionProducer(fresh_kafka.kafka, fresh_kafka.worker.app_id, SOURCE)
    await owner.start()
    try:
        for _ in range(2):
            with pytest.raises(ProducerFenced):
                await zombie.commit(records(DECISIONS, [-1]))
            zombie._producer, zombie._resting = zombie._resting, zombie._producer
        for value in range(2, 6):
            await owner.commit(records(DECISIONS, [value]))
    finally:
        await zombie.stop()
        await owner.stop()
    read = committed_records(fresh_kafka.kafka.bootstrap_servers, DECISIONS)[0]
    assert [int(message.value()) for message in read] == [1, 2, 3, 4, 5]


async def test_what_is_committed_stands_compressed(fresh_kafka: Settings) -> None:
    topic = changelog(fresh_kafka.worker.app_id, "engagement")
    owner = PartitionProducer(fresh_kafka.kafka, fresh_kafka.worker.app_id, SOURCE)
    admin = AIOKafkaAdminClient(bootstrap_servers=fresh_kafka.kafka.bootstrap_servers)
    await owner.start()
    await admin.start()
    try:
        await owner.commit(records(topic, range(10_000)))
        facts = await changelogs(admin, fresh_kafka)
    finally:
        await admin.close()
        await owner.stop()
    sizes = {(fact.topic, fact.partition): fact.size for fact in facts}
    assert 0 < sizes[topic, SOURCE.partition] < 10_000 * len(b"key0000") / 2


async def test_a_record_larger_than_a_batch_goes_with_the_others(fresh_kafka: Settings) -> None:
    kafka = fresh_kafka.kafka
    one = PartitionProducer(kafka, fresh_kafka.worker.app_id, SOURCE)
    await one.start()
    values = [b"1", b"2" * 3 * MAX_BATCH_BYTES, b"3", b"4" * MAX_BATCH_BYTES, b"5"]
    try:
        await one.commit(Outgoing(DEAD_LETTERS, b"key", value) for value in values)
    finally:
        await one.stop()
    found = committed_records(kafka.bootstrap_servers, DEAD_LETTERS, kafka.partitions)
    assert [message.value() for message in found[0]] == values


async def test_without_them_it_is_aiokafkas_own_way() -> None:
    """The embedded broker has no `transaction.version`."""
    with EmbeddedKafka(Settings(_env_file=None)) as embedded:
        kafka = embedded.settings.kafka
        owner = PartitionProducer(kafka, "app", SOURCE)
        await owner.start()
        try:
            assert not owner._producer.implicit
            await owner.commit(records(DECISIONS, [1, 2]))
        finally:
            await owner.stop()
        read = committed_records(kafka.bootstrap_servers, DECISIONS)[0]
        assert [int(message.value()) for message in read] == [1, 2]


async def test_when_the_epochs_are_used_up_it_goes_on_with_the_new_id() -> None:
    one = producer("127.0.0.1:1", "id")
    transaction = one._txn_manager
    transaction.set_pid_and_epoch(7, 32_766)
    transaction.begin_transaction()
    transaction.increment_sequence_number(SOURCE, 5)
    transaction.committing_transaction()
    answer = EndTxn("id", 7, 32_766, True).prepare({}).RESPONSE_TYPE(0, 0, 8, 0)
    _EndTxnHandler(one._sender, True).handle_response(answer)
    assert (transaction.producer_id, transaction.producer_epoch) == (8, 0)
    assert transaction.sequence_number(SOURCE) == 0


def test_features_are_read_from_the_answers_tags() -> None:
    two_features = (
        b"\x03\x11metadata.version\x00\x1b\x00\x01\x00\x14transaction.version\x00\x02\x00\x00\x00"
    )
    tagged = b"\x01\x02" + bytes([len(two_features)]) + two_features
    raw = b"\x00\x00" + b"\x02\x00\x00\x00\x00\x00\x0d\x00" + b"\x00\x00\x00\x00" + tagged
    assert features_of(FeaturesRequest_v3.RESPONSE_TYPE.decode(BytesIO(raw))) == {
        "metadata.version": 27,
        "transaction.version": 2,
    }


def test_a_request_is_written_as_the_protocol_has_it() -> None:
    request = Produce("id", -1, 1_000, [("t", [(3, b"abc")])]).prepare({})
    assert request.encode() == (
        b"\x03id"  # compact: one more than the length
        b"\xff\xff"  # acks: all
        b"\x00\x00\x03\xe8"  # timeout, ms
        b"\x02\x02t"  # one topic
        b"\x02\x00\x00\x00\x03\x04abc\x00"  # one partition, its records, no tags
        b"\x00\x00"  # no tags of the topic, nor of the request
    )
