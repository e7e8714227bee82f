"""Which version of a tree is in force, as ``tree.versions`` says it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from confluent_kafka import Producer
from example_streams.drifting import guess_one_label

from agents import topics
from agents.trainer_log import version_key
from agents.tree_versions import TreeVersions
from config.seed_trees import seed_trees
from config.settings import Settings
from schemas.fields import TreeId
from schemas.tree import TreeDocument

TREE: TreeId = "primary_classification"
OTHER: TreeId = "intervention_strategy"


def version(number: int, tree_id: TreeId = TREE) -> TreeDocument:
    return guess_one_label(tree_id).model_copy(update={"version": number})


def publish(settings: Settings, *values: TreeDocument | bytes) -> None:
    refused: list[object] = []
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for number, value in enumerate(values):
        raw = value if isinstance(value, bytes) else value.model_dump_json().encode()
        producer.produce(
            topics.TREE_VERSIONS,
            raw,
            str(number),  # compacted topics take no record without a key
            on_delivery=lambda error, _: refused.append(error) if error else None,
        )
    assert producer.flush(10) == 0
    assert not refused


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not what():
            await asyncio.sleep(0.02)


async def test_nothing_on_the_topic_is_the_seed(fresh_kafka: Settings) -> None:
    versions = TreeVersions(fresh_kafka.kafka)
    await versions.start()
    assert versions.current(TREE) == seed_trees()[TREE]
    await versions.stop()


async def test_everything_there_is_read_before_start_returns(fresh_kafka: Settings) -> None:
    publish(fresh_kafka, version(1), version(3), b"no tree", version(2), version(7, OTHER))
    told: list[TreeDocument] = []
    versions = TreeVersions(fresh_kafka.kafka, told.append)
    await versions.start()
    assert versions.current(TREE) == version(3)
    assert versions.current(OTHER) == version(7, OTHER)
    assert told == [version(7, OTHER), version(3)]
    await versions.stop()


async def test_it_follows_and_goes_up_only(fresh_kafka: Settings) -> None:
    told: list[TreeDocument] = []
    versions = TreeVersions(fresh_kafka.kafka, told.append)
    await versions.start()
    publish(fresh_kafka, version(2))
    await until(lambda: versions.current(TREE).version == 2)
    nan = version(9).model_dump_json().replace("1.0", "NaN").encode()
    publish(fresh_kafka, version(1), b"\xff", b"", b"[" * 5_000, nan, version(2), version(5))
    await until(lambda: versions.current(TREE).version == 5)
    assert [document.version for document in told] == [2, 5]
    await versions.stop()
    publish(fresh_kafka, version(6))
    await asyncio.sleep(0.2)
    assert versions.current(TREE).version == 5


async def test_of_two_with_one_number_the_first_is_in_force_for_who_follows_and_who_comes_late(
    fresh_kafka: Settings,
) -> None:
    first = version(1).model_copy(update={"author": "first"})
    second = version(1).model_copy(update={"author": "second"})
    told: list[TreeDocument] = []
    followed = TreeVersions(fresh_kafka.kafka, told.append)
    await followed.start()
    publish(fresh_kafka, first, second)
    async with asyncio.timeout(20):
        await followed.reached(1)
    late = TreeVersions(fresh_kafka.kafka)
    await late.start()
    await late.reached(1)
    assert followed.current(TREE) == late.current(TREE) == first
    assert told == [first]
    await followed.stop()
    await late.stop()


def test_compaction_keeps_both_of_two_versions_with_one_number() -> None:
    first = version(1).model_copy(update={"author": "first"})
    second = version(1).model_copy(update={"author": "second"})
    assert version_key(first) != version_key(second)
    assert version_key(first) == version_key(TreeDocument.model_validate(first.model_dump()))
    assert re.fullmatch(rb"primary_classification:1:[0-9a-f]{8}", version_key(first))


async def test_a_version_that_its_user_cannot_take_does_not_end_the_following(
    fresh_kafka: Settings,
) -> None:
    def picky(document: TreeDocument) -> None:
        if document.version == 2:
            raise ValueError("not this one")
        told.append(document.version)

    told: list[int] = []
    versions = TreeVersions(fresh_kafka.kafka, picky)
    await versions.start()
    publish(fresh_kafka, version(1), version(2), version(3))
    await until(lambda: told == [1, 3])
    await versions.stop()
