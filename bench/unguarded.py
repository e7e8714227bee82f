"""The worker without anything that keeps events from being lost or counted twice.

`python -m bench.unguarded worker` is `learner worker` so. What is gone, and the work with it
(a guard of `faults.guards` that leaves the work in place is taken out here instead):

- transaction and fence: one plain producer for a partition, with no id; a batch is handed over to
  it and not waited for, so the next one is folded meanwhile;
- the position beside the state: where to read on is what the group was told, twice a second;
- the restore to the very end;
- the check of the last offset in a value;
- the ids of a day: none is looked up, written or forgotten;
- ``read_committed`` for the events.

What stays is the step itself, lists and batches, tables and changelogs, and the order of seeks,
which costs nothing while events flow.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from aiokafka import AIOKafkaProducer, TopicPartition

from agents import partition_owner
from agents.faust_mends import ListConsumerThread
from agents.kafka_client import connection
from agents.transactions import MAX_BATCH_BYTES, Outgoing, PartitionProducer
from config.settings import KafkaSettings
from faults.guards import GUARDS
from streams import batch, seen
from streams.tables import Overlay

_LEAVE_NO_WORK = ("position", "restore-to-the-end", "offset-in-the-value")


class PlainProducer(PartitionProducer):
    """Takes the place of the transactional one; ``made`` are those of this process."""

    made: ClassVar[list[PlainProducer]] = []

    def __init__(self, kafka: KafkaSettings, app_id: str, source: TopicPartition) -> None:
        self._partition = source.partition
        self._producer = AIOKafkaProducer(**connection(kafka), max_batch_size=MAX_BATCH_BYTES)
        self.made.append(self)

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        await self._producer.stop()

    async def commit(self, outgoing: Iterable[Outgoing]) -> dict[str, int]:
        await self._send(outgoing)
        return {}

    async def flush(self) -> None:
        """Until Kafka has all that was handed over."""
        await self._producer.flush()


async def all_delivered() -> None:
    for producer in PlainProducer.made:
        await producer.flush()


def take_out_all_guards() -> None:
    """For good: in a process of its own."""
    for name in _LEAVE_NO_WORK:
        GUARDS[name].take_out()
    patched: Any = partition_owner
    patched.PartitionProducer = PlainProducer
    _keep_no_ids()
    _read_whatever_is_there()


def _keep_no_ids() -> None:
    ids: Any = seen
    ids.event_token = lambda _: b""
    ids.find = lambda *_: (0, b"")
    overlay: Any = Overlay
    overlay.put_seen = lambda *_: None
    folding: Any = batch
    folding._forget = lambda *_: None


def _read_whatever_is_there() -> None:
    thread: Any = ListConsumerThread
    create = thread._create_worker_consumer

    def uncommitted(self: Any, transport: Any) -> Any:
        consumer = create(self, transport)
        consumer._isolation_level = "read_uncommitted"
        return consumer

    thread._create_worker_consumer = uncommitted


def main() -> None:
    from cli.main import app  # noqa: PLC0415  # contenders need none of it

    take_out_all_guards()
    app()


if __name__ == "__main__":
    main()
