"""Each change to aiokafka's client, beside what it does without it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.structs import BrokerMetadata, PartitionMetadata

from agents.aiokafka_mends import AWAY_PAUSE_SECONDS, sit_out_outages
from servers.kafka import free_ports


def producer(*, mended: bool, answers: Any = None) -> AIOKafkaProducer:
    """One that was not started; ``answers``: what a look-up of its coordinator gets."""
    (nobody,) = free_ports(1)
    made = AIOKafkaProducer(
        bootstrap_servers=f"127.0.0.1:{nobody}", transactional_id="t", retry_backoff_ms=1
    )

    async def coordinator_lookup(*_: Any) -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    async def ready(*_: Any, **__: Any) -> bool:
        return True

    def force_metadata_update() -> asyncio.Future[bool]:
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        done.set_result(True)
        return done

    made.client.force_metadata_update = force_metadata_update
    if answers is not None:
        made.client.coordinator_lookup, made.client.ready = coordinator_lookup, ready
    else:
        here = BrokerMetadata(0, "127.0.0.1", nobody, None)
        made.client.cluster._brokers = {0: here}
    if mended:
        sit_out_outages(made.client)
    return made


async def found(one: AIOKafkaProducer) -> int:
    return int(await one._sender._find_coordinator(CoordinationType.TRANSACTION, "t"))


class TestMend1AConnectionLostInALookUp:
    async def test_is_tried_again(self) -> None:
        answers = iter([KafkaConnectionError("closed"), KafkaConnectionError("closed"), 7])
        assert await found(producer(mended=True, answers=answers)) == 7

    async def test_ends_the_producer_without_the_mend(self) -> None:
        answers = iter([KafkaConnectionError("closed"), 7])
        with pytest.raises(KafkaError, match="closed"):
            await found(producer(mended=False, answers=answers))


class TestMend2NobodyAnswers:
    async def test_each_try_waits(self) -> None:
        assert await self._tries(producer(mended=True)) <= 1 / AWAY_PAUSE_SECONDS + 1

    async def test_without_the_mend_it_tries_as_often_as_it_can(self) -> None:
        assert await self._tries(producer(mended=False)) > 20 / AWAY_PAUSE_SECONDS

    @staticmethod
    async def _tries(one: AIOKafkaProducer) -> int:
        """Connections tried in a second."""
        tries = 0
        looking = asyncio.get_running_loop().time() + 1
        while asyncio.get_running_loop().time() < looking:
            assert await one.client._get_conn(0) is None
            tries += 1
        return tries


class TestMend3APartitionWithoutALeader:
    async def test_each_look_at_the_metadata_waits(self) -> None:
        assert await self._looks(mended=True, leader=-1) <= 1 / AWAY_PAUSE_SECONDS + 1

    async def test_so_it_does_where_the_topic_is_gone(self) -> None:
        assert await self._looks(mended=True, leader=None) <= 1 / AWAY_PAUSE_SECONDS + 1

    async def test_without_the_mend_it_looks_as_often_as_it_can(self) -> None:
        assert await self._looks(mended=False, leader=-1) > 20 / AWAY_PAUSE_SECONDS

    async def test_nothing_waits_once_all_are_led(self) -> None:
        assert await self._looks(mended=True, leader=0) > 20 / AWAY_PAUSE_SECONDS

    @staticmethod
    async def _looks(*, mended: bool, leader: int | None) -> int:
        """Updates of the metadata in a second for one who wants the next as soon as one is there;
        ``leader``: of the topic's partition, ``None`` for no such topic."""
        client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")

        async def update(cluster: ClusterMetadata, _: object) -> bool:
            await asyncio.sleep(0)
            if leader is not None:
                known = PartitionMetadata("t", 0, leader, [0], [0], None)
                cluster._partitions = {"t": {0: known}}
            return True

        client._metadata_update = update
        if mended:
            sit_out_outages(client)
        client._topics = {"t"}
        keeping = asyncio.ensure_future(client._md_synchronizer())
        looks, end = 0, asyncio.get_running_loop().time() + 1
        while asyncio.get_running_loop().time() < end:
            await client.force_metadata_update()
            looks += 1
        keeping.cancel()
        return looks
