"""A learner's latest decisions: from Redis, and what is not there from PostgreSQL.

News is another delivery. What becomes of one (it is sent again, acknowledged) changes its record,
and with it the ETag, but is no news to somebody who waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

import structlog
from msgspec.structs import replace
from pydantic import ValidationError

from api.stores import Stores
from queries.deliveries import latest_deliveries
from schemas.delivery import Delivery, delivery_adapter
from schemas.errors import StoreUnavailable
from schemas.fields import TreeId
from schemas.http import LatestDecisions
from sinks.redis import delivery_key

log = structlog.get_logger("learner.api")

NOTHING = "-"
"""In place of the delivery of a tree by which there is none."""
_DIGITS = 16


class Latest(NamedTuple):
    """``found``: of each tree that was asked for, the delivery with its ``cache_hit``, or ``None``.

    ``complete``: whether PostgreSQL was asked for what Redis does not know.
    """

    found: dict[TreeId, Delivery | None]
    complete: bool

    @property
    def deliveries(self) -> tuple[Delivery, ...]:
        return tuple(delivery for delivery in self.found.values() if delivery is not None)

    @property
    def ids(self) -> tuple[str, ...]:
        """Which deliveries, in the order of the trees; the same whichever store they came from."""
        return tuple(
            NOTHING if delivery is None else delivery.delivery_id.replace("-", "")[:_DIGITS]
            for delivery in self.found.values()
        )

    def etag(self, body: bytes) -> str:
        """Strong, without quotes: the `ids`, and a digest of the very bytes."""
        return f"{'.'.join(self.ids)}-{sha256(body).hexdigest()[:_DIGITS]}"

    def is_known_by(self, etag: str) -> bool:
        """Whether who has that ETag has all these deliveries, whatever became of them since."""
        known = etag.rpartition("-")[0].split(".")
        return len(known) == len(self.ids) and all(
            id_ in (NOTHING, kept) for id_, kept in zip(self.ids, known, strict=True)
        )

    def document(self, user_id: str) -> LatestDecisions:
        return LatestDecisions(user_id, self.complete, self.deliveries)


async def latest_of(stores: Stores, user_id: str, trees: Sequence[TreeId]) -> Latest:
    """What is known now.

    Raises:
        StoreUnavailable: there is no telling, not even of one tree: both stores are away, or
            PostgreSQL is and Redis knows nothing.
    """
    cached = await _from_redis(stores, user_id, trees)
    missing = [tree for tree in trees if tree not in cached]
    if not missing:
        return Latest(dict(cached), complete=True)
    try:
        async with stores.postgres() as connection:
            kept = await latest_deliveries(connection, user_id, missing)
    except StoreUnavailable:
        if not cached:
            raise
        return Latest({tree: cached.get(tree) for tree in trees}, complete=False)
    return Latest({tree: cached.get(tree) or kept.get(tree) for tree in trees}, complete=True)


async def _from_redis(
    stores: Stores, user_id: str, trees: Sequence[TreeId]
) -> dict[TreeId, Delivery]:
    """What stands there; nothing while it is away."""
    try:
        with stores.redis() as client:
            pipe = client.pipeline(transaction=False)
            for tree in trees:
                pipe.hget(delivery_key(user_id, tree), "record")
            records = await pipe.execute()
    except StoreUnavailable:
        return {}
    found = {}
    for tree, record in zip(trees, records, strict=True):
        try:
            if record is not None:
                found[tree] = replace(delivery_adapter.validate_json(record), cache_hit=True)
        except ValidationError:
            # Of another version of this program. PostgreSQL has it in columns.
            log.warning("no delivery of this version's kind in Redis", tree_id=tree)
    return found
