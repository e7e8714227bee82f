"""What a facilitator's round leaves on Kafka, and its table read back from there."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Raw, structs
from pydantic import ValidationError

from agents import topics
from agents.transactions import Outgoing
from schemas.contract import encode
from schemas.delivery import POSITIONS_KEY, PendingDelivery, pending_adapter, positions_adapter
from schemas.errors import InvalidRecord
from schemas.event import event_adapter
from streams.delivery import Round
from streams.pending_deliveries import PendingDeliveries


def outgoing(done: Round, changelog: str) -> Iterator[Outgoing]:
    """All of one transaction, each delivery encoded once."""
    sent: dict[str, bytes] = {}
    for delivery in done.log:
        key, raw = delivery.user_id.encode(), encode(delivery)
        if delivery.response_status == "pending":
            yield Outgoing(topics.DELIVERIES, key, raw)
            sent[delivery.delivery_id] = raw
        yield Outgoing(topics.DELIVERY_LOG, key, raw)
    for event in done.events:
        raw = event_adapter.dump_json(event, exclude_none=True)
        yield Outgoing(topics.EVENTS, event.user_id.encode(), raw)
    for letter in done.dead_letters:
        raw = letter.model_dump_json().encode()
        yield Outgoing(topics.DEAD_LETTERS, letter.dead_letter_id.encode(), raw)
    for row_key, row in done.changed.items():
        yield Outgoing(changelog, row_key.encode(), None if row is None else _row(row, sent))
    yield Outgoing(changelog, POSITIONS_KEY.encode(), encode(done.positions))


def _row(row: PendingDelivery, sent: dict[str, bytes]) -> bytes:
    delivery = Raw(sent[row.delivery.delivery_id])
    return encode({**structs.asdict(row), "delivery": delivery})


def restore_row(table: PendingDeliveries, topic: str, key: bytes, raw: bytes | None) -> None:
    """Puts a record of the changelog into the table.

    Raises:
        InvalidRecord: it is none that this version can read.
    """
    try:
        if key == POSITIONS_KEY.encode():
            table.positions = positions_adapter.validate_json(raw or b"")
        else:
            row = None if raw is None else pending_adapter.validate_json(raw)
            table.apply({key.decode(): row})
    except (ValidationError, UnicodeDecodeError) as error:
        raise InvalidRecord(
            f"{topic}: what stands under {key!r} is no pending delivery "
            f"({str(error).splitlines()[0]}): was it written by a newer version?"
        ) from None
