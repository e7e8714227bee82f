"""Several Kafka brokers on one machine, any of which may be lost; a proxy before them if asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import AlterPartitionReassignmentsRequest
from confluent_kafka import ElectionType, TopicPartition
from confluent_kafka.admin import AdminClient

from servers.broker_proxy import BrokerProxy
from servers.kafka import KafkaServer, free_ports

_MOVED_SECONDS = 30
_IN_SYNC_SECONDS = 120
_REQUEST_MS = 10_000


class KafkaCluster:
    """Brokers that are their own controllers: of three, any one may be killed or frozen.

    Args:
        brokers: how many; ``brokers[i]`` has the node id ``i``.
        heap_mb: of each JVM, MB.
        proxied: makes a `BrokerProxy` too: who connects by `proxied_bootstrap` goes through it
            for everything, since that listener advertises the proxy's addresses.
    """

    def __init__(self, brokers: int = 3, heap_mb: int = 256, *, proxied: bool = False) -> None:
        self.replication = min(brokers, 3)
        self.min_insync_replicas = max(1, self.replication - 1)
        clients, controllers, behind = (free_ports(brokers) for _ in range(3))
        self.proxy = BrokerProxy(behind) if proxied else None
        outside = self.proxy.ports if self.proxy else behind
        voters = ",".join(f"{i}@127.0.0.1:{port}" for i, port in enumerate(controllers))
        self.brokers = [
            KafkaServer(
                properties={
                    "node.id": str(i),
                    "listeners": f"CLIENT://127.0.0.1:{clients[i]},"
                    f"PROXIED://127.0.0.1:{behind[i]},CONTROLLER://127.0.0.1:{controllers[i]}",
                    "advertised.listeners": f"CLIENT://127.0.0.1:{clients[i]},"
                    f"PROXIED://127.0.0.1:{outside[i]}",
                    "listener.security.protocol.map": "CLIENT:PLAINTEXT,PROXIED:PLAINTEXT,"
                    "CONTROLLER:PLAINTEXT",
                    "controller.quorum.voters": voters,
                    "controller.quorum.bootstrap.servers": "",
                    # Two cores for all of them: a broker that gets none of them is not dead yet.
                    "broker.session.timeout.ms": "5000",
                    "offsets.topic.replication.factor": str(self.replication),
                    "transaction.state.log.replication.factor": str(self.replication),
                    "transaction.state.log.min.isr": str(self.min_insync_replicas),
                    # The offsets topic has no setting of its own.
                    "min.insync.replicas": str(self.min_insync_replicas),
                },
                heap_mb=heap_mb,
            )
            for i in range(brokers)
        ]
        self.bootstrap = ",".join(broker.bootstrap for broker in self.brokers)
        self.proxied_bootstrap = ",".join(f"127.0.0.1:{port}" for port in outside)

    def start(self) -> None:
        """Until every broker answers.

        Raises:
            ServerUnavailable: one ended or did not answer.
        """
        self.start_brokers()
        if self.proxy is not None:
            self.proxy.start()

    def start_brokers(self) -> None:
        """Those that do not run."""
        with ThreadPoolExecutor(len(self.brokers)) as pool:  # none answers before most are there
            list(pool.map(KafkaServer.start, self.brokers))

    def stop(self) -> None:
        """All of it, and its data."""
        if self.proxy is not None:
            self.proxy.stop()
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            list(pool.map(KafkaServer.stop, self.brokers))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def leader_of(self, topic: str, partition: int) -> int:
        """The broker that leads it now; -1: none."""
        return int(self._partitions(topic)[partition].leader)

    def move_leaders(self, topic: str, to: int) -> None:
        """Makes one broker, which must be in sync, the leader of all partitions of a topic.

        Raises:
            TimeoutError: it does not lead all of them.
        """
        replicas = {number: p.replicas for number, p in self._partitions(topic).items()}
        first = {number: [to, *(r for r in old if r != to)] for number, old in replicas.items()}
        asyncio.run(self._reassign(topic, first))
        asked = [TopicPartition(topic, number) for number in first]
        admin = self._admin()
        admin.elect_leaders(ElectionType.PREFERRED, asked).result(_MOVED_SECONDS)
        self._wait(
            lambda: all(p.leader == to for p in self._partitions(topic).values()),
            _MOVED_SECONDS,
            f"broker {to} does not lead {topic}",
        )

    def wait_until_in_sync(self) -> None:
        """Until every broker has every partition that it should have.

        Raises:
            TimeoutError: one lacks some.
        """
        self._wait(
            lambda: all(
                len(p.isrs) == len(p.replicas)
                for topic in self._admin().list_topics(timeout=10).topics.values()
                for p in topic.partitions.values()
            ),
            _IN_SYNC_SECONDS,
            "a broker is not in sync",
        )

    async def _reassign(self, topic: str, replicas: dict[int, list[int]]) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            no_tags: dict[int, bytes] = {}
            asked = [(number, order, no_tags) for number, order in replicas.items()]
            topics = [(topic, asked, no_tags)]
            request = AlterPartitionReassignmentsRequest(_REQUEST_MS, topics, no_tags)
            answer: Any = await admin._send_request(request)
        finally:
            await admin.close()
        for _, partitions, _ in answer.responses:
            assert all(code == 0 for _, code, *_ in partitions), partitions
        assert answer.error_code == 0, answer

    def _partitions(self, topic: str) -> dict[int, Any]:
        there: dict[int, Any] = (
            self._admin().list_topics(topic, timeout=10).topics[topic].partitions
        )
        return there

    def _admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})

    @staticmethod
    def _wait(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
        limit = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > limit:
                raise TimeoutError(otherwise)
            time.sleep(0.1)
