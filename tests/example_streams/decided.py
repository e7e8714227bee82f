"""Decisions and answers by hand, as the facilitator reads them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
from msgspec.structs import asdict

from schemas.contract import encode
from schemas.decision import Decision, decision_adapter
from schemas.delivery import DeliveryAck
from schemas.fields import TreeId
from schemas.sample_records import SAMPLES
from streams.derived_id import derived_id

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
LEARNERS = tuple(f"00000000-0000-4000-8000-00000000a{n:03d}" for n in range(200))
_SAMPLE = SAMPLES["decision"][0][1]


def decision(
    number: int,
    user_id: str = LEARNERS[0],
    tree_id: TreeId = "intervention_strategy",
    at: datetime = START,
    **changes: Any,
) -> Decision:
    """The decision with this number; nothing else is derived from it."""
    event_id = str(uuid.UUID(int=number, version=4))
    fields = {
        **_SAMPLE,
        "decision_id": derived_id(event_id, tree_id),
        "user_id": user_id,
        "tree_id": tree_id,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "event_id": event_id,
        "decision_label": "Worked Examples",
        **changes,
    }
    return decision_adapter.validate_json(orjson.dumps(fields))


def delivery_id_of(decided: Decision) -> str:
    return derived_id(decided.decision_id, "delivery")


def answer(
    decided: Decision, status: str = "success", at: datetime = START, **changes: Any
) -> bytes:
    """What a service says of the decision's delivery."""
    ack = DeliveryAck(
        delivery_id_of(decided),
        decided.user_id,
        status,  # type: ignore[arg-type]
        "" if status == "success" else "no room for it",
        at,
        consumer="a test",
    )
    return encode({**asdict(ack), **changes})
