"""What a group has answered for in a partition lately, read back from ``facilitator.acks``."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from aiokafka import TopicPartition
from pydantic import ValidationError

from client.answers import Answer
from client.consumer import Consumer
from schemas.delivery import ack_adapter
from schemas.topics import ACKS

_POLL_MS = 200


async def answered_before(
    kafka: Mapping[str, Any], partition: int, consumer: str, most: int
) -> OrderedDict[str, Answer]:
    """The first answer of ``consumer`` to each delivery, by ``delivery_id``, the oldest first.

    Among the last ``most`` answers in the partition, of anybody.
    """
    reader = Consumer(
        **kafka,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await reader.start()
    try:
        tp = TopicPartition(ACKS, partition)
        reader.assign([tp])
        begin = (await reader.beginning_offsets([tp]))[tp]
        end = (await reader.end_offsets([tp]))[tp]
        reader.seek(tp, max(begin, end - most))
        answered: OrderedDict[str, Answer] = OrderedDict()
        # By position, since at the end of a transaction stands a marker and no record.
        while await reader.position(tp) < end:
            for record in (await reader.getmany(tp, timeout_ms=_POLL_MS)).get(tp, ()):
                try:
                    ack = ack_adapter.validate_json(record.value or b"")
                except ValidationError:
                    continue  # nobody's answer
                if ack.consumer == consumer:
                    answered.setdefault(ack.delivery_id, Answer(ack.status, ack.reason))
        return answered
    finally:
        await reader.stop()
