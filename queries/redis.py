"""What is asked of Redis: a learner's latest decision or delivery, the version of a tree in force.

``client`` is ``sinks.redis.connect``'s. Each answers from one command, so with a whole value.
"""

from __future__ import annotations

from redis.asyncio import Redis

from schemas.decision import Decision, decision_adapter
from schemas.delivery import Delivery, delivery_adapter
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from sinks.redis import decision_key, delivery_key, redis_errors, thresholds_key


async def latest_decision(client: Redis, user_id: str, tree_id: TreeId) -> Decision | None:
    """The learner's latest decision by that tree; ``None`` if there is none, or a very old one.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with redis_errors(client):
        record = await client.hget(decision_key(user_id.lower(), tree_id), "record")
    return None if record is None else decision_adapter.validate_json(record)


async def latest_delivery(client: Redis, user_id: str, tree_id: TreeId) -> Delivery | None:
    """The learner's newest delivery by that tree, as it stood last on ``facilitator.log``.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with redis_errors(client):
        record = await client.hget(delivery_key(user_id.lower(), tree_id), "record")
    return None if record is None else delivery_adapter.validate_json(record)


async def active_tree(client: Redis, tree_id: TreeId) -> TreeDocument | None:
    """The version in force; ``None`` before the sink has run, or long after it has.

    Raises:
        StoreUnavailable: nobody answers.
    """
    with redis_errors(client):
        document = await client.get(thresholds_key(tree_id))
    return None if document is None else TreeDocument.model_validate_json(document)
