"""What a consumer group is told of how far its member is; where reading goes on, state decides."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

log = structlog.get_logger(__name__)

_COMMIT_SECONDS = 5.0


async def tell_group(consumer: AIOKafkaConsumer, reached: Mapping[TopicPartition, int]) -> bool:
    """Commits the positions, for those who look at the group's lag; whether Kafka took them."""
    try:
        async with asyncio.timeout(_COMMIT_SECONDS):
            await consumer.commit(dict(reached))
        return True
    except (CommitFailedError, IllegalStateError):
        pass  # partitions are moving: who has them next tells it
    except (KafkaError, TimeoutError) as error:
        log.warning("how far it is could not be told to Kafka", reason=repr(error))
    return False
