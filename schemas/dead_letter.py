"""A record that is not a valid event, kept whole with the reason, so that it can be sent again."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from schemas.fields import Count, Identifier, UtcTime, Uuid


class DeadLetterReason(StrEnum):
    """Why a record was not folded; ``store_refused``: why one of ours is missing in a store;
    ``not_acknowledged``: a delivery that the query-strategy service never answered for."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_FIELD = "unknown_field"
    MISSING_FIELD = "missing_field"
    INVALID_VALUE = "invalid_value"
    KEY_MISMATCH = "key_mismatch"
    FROM_THE_FUTURE = "from_the_future"
    TOO_LATE = "too_late"
    STORE_REFUSED = "store_refused"
    NOT_ACKNOWLEDGED = "not_acknowledged"


class DeadLetter(BaseModel):
    """``raw`` and ``key`` are the record's bytes in base64; the rest says where they came from.

    ``dead_letter_id`` is derived from topic, partition and offset, so a repeat is recognised.
    ``recorded_at`` is the record's Kafka timestamp. Of ``not_acknowledged`` the place is that of
    the decision, and ``raw`` is the delivery.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dead_letter_id: Uuid
    reason: DeadLetterReason
    detail: Annotated[str, Field(max_length=2000)]
    topic: str
    partition: Count
    offset: Count
    recorded_at: UtcTime | None
    key: Base64Bytes | None
    raw: Base64Bytes


LetterState = Literal["open", "resent", "dropped"]


class SettledLetter(BaseModel):
    """What a person did with a dead letter; without such a mark it is open.

    ``partition``, ``offset`` and ``written_at`` (its Kafka timestamp): the letter on
    ``learner.dlq``. The mark settles it, and those of the same id before it in that partition; if
    the record is refused once more after that, there is a new letter, and that one is open.
    ``settled_by``: whoever was logged in. ``corrected``: it was resent with another value or key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dead_letter_id: Uuid
    state: Literal["resent", "dropped"]
    partition: Count
    offset: Count
    written_at: UtcTime
    settled_at: UtcTime
    settled_by: Identifier
    corrected: bool
