"""What keeps events from being lost or doubled, each with a way to take it out of a test's process.

The suite must notice when one is missing: `tests/faults/test_guards.py`.
"""

from __future__ import annotations

import inspect
import textwrap
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple


class Guard(NamedTuple):
    """``take_out`` changes the classes of the process it is called in."""

    about: str
    take_out: Callable[[], None]


def _transaction() -> None:
    from aiokafka import AIOKafkaProducer  # noqa: PLC0415

    from agents.kafka_client import connection  # noqa: PLC0415
    from agents.transactions import MAX_BATCH_BYTES, PartitionProducer  # noqa: PLC0415

    async def nothing() -> None:
        return

    begin = PartitionProducer.__init__

    def plain(self: Any, kafka: Any, *rest: Any) -> None:
        begin(self, kafka, *rest)
        for name, value in vars(self).items():
            if isinstance(value, AIOKafkaProducer):
                producer = AIOKafkaProducer(**connection(kafka), max_batch_size=MAX_BATCH_BYTES)
                producer.begin_transaction = producer.commit_transaction = nothing
                setattr(self, name, producer)

    PartitionProducer.__init__ = plain  # type: ignore[method-assign,assignment]


def _fence() -> None:
    from agents.transactions import PartitionProducer  # noqa: PLC0415

    begin = PartitionProducer.__init__

    def with_an_id_of_its_own(self: Any, kafka: Any, app_id: str, *rest: Any) -> None:
        begin(self, kafka, f"{app_id}-{uuid.uuid4()}", *rest)

    PartitionProducer.__init__ = with_an_id_of_its_own  # type: ignore[method-assign,assignment]


_STOPS_SHORT = 200
"""Offsets before the end."""


def _restore_to_the_end() -> None:
    from agents import restore  # noqa: PLC0415

    read_to_end = restore.read_to_end

    async def nearly_to_the_end(consumer: Any, partitions: Any) -> AsyncIterator[Any]:
        ends = await consumer.end_offsets(list(partitions))
        async for record in read_to_end(consumer, partitions):
            if record.offset < ends[record.topic, record.partition] - _STOPS_SHORT:
                yield record

    restore.read_to_end = nearly_to_the_end


def _position() -> None:
    from agents.partition_owner import PartitionOwner  # noqa: PLC0415
    from agents.partition_tables import POSITION_KEY  # noqa: PLC0415

    outgoing = PartitionOwner._outgoing

    def without_it(self: Any, *args: Any) -> Iterator[Any]:
        return (one for one in outgoing(self, *args) if one.key != POSITION_KEY)

    PartitionOwner._outgoing = without_it  # type: ignore[method-assign]


def _offset_in_the_value() -> None:
    from streams import batch  # noqa: PLC0415

    batch._fold = _replaced(batch._fold, ("if offset <= behavior.offset:", "if False:"))


def _repeat_ring() -> None:
    from streams import seen  # noqa: PLC0415

    seen._contains = lambda *_: False


def _seek_order() -> None:
    """As Faust has it: partitions are read for a while before they are sought."""
    from agents.faust_mends import ListConsumerThread, OwnRecovery  # noqa: PLC0415

    seek = "await consumer.perform_seek()"
    read_first = (
        "consumer.resume_partitions(sources); app.flow_control.resume(); consumer.resume_flow(); "
        "self.completed.set(); await app._fetcher.maybe_start(); "
        "await __import__('asyncio').sleep(1); "
    )
    OwnRecovery.on_recovery_completed = _replaced(  # type: ignore[method-assign]
        OwnRecovery.on_recovery_completed, (seek, read_first + seek)
    )
    ListConsumerThread._fetch_records = _replaced(  # type: ignore[method-assign]
        ListConsumerThread._fetch_records,
        ("active_partitions &= self._stands.keys()", "pass"),
        ("self._handed_out[tp]\n", "self._handed_out.get(tp, 0)\n"),
        ("super()", "super(ListConsumerThread, self)"),
    )


def _commit_after_write() -> None:
    from agents.sink import SinkAgent  # noqa: PLC0415

    write = SinkAgent._write

    async def committed_before(self: Any, *args: Any) -> bool:
        await self._consumer.commit()
        return await write(self, *args)

    SinkAgent._write = committed_before  # type: ignore[method-assign]


def _replaced(function: Any, *changes: tuple[str, str]) -> Any:
    """The function with parts of its source replaced, each of which must be there once."""
    source = textwrap.dedent(inspect.getsource(function))
    for part, by in changes:
        assert source.count(part) == 1, f"{function.__qualname__} no longer has {part!r}"
        source = source.replace(part, by)
    made: dict[str, Any] = {}
    exec(f"from __future__ import annotations\n{source}", function.__globals__, made)  # noqa: S102
    return made[function.__name__]


GUARDS = {
    "transaction": Guard("decisions, changelog and position of a batch are one", _transaction),
    "fence": Guard("who takes a partition over shuts the owner before out", _fence),
    "restore-to-the-end": Guard("nothing is read before all was restored", _restore_to_the_end),
    "position": Guard("where to read on stands beside the state", _position),
    "offset-in-the-value": Guard("an offset folded once is passed over", _offset_in_the_value),
    "repeat-ring": Guard("an event that a producer sends twice counts once", _repeat_ring),
    "seek-order": Guard("a partition is sought before it is read", _seek_order),
    "commit-after-write": Guard("a sink commits what its store has", _commit_after_write),
}
