"""Field types with their ranges and enums, shared by all contracts.

A range that a state has is told twice: to pydantic, which checks what comes from outside, and to
msgspec, which decodes what we wrote ourselves (`schemas.contract`).

Ids are strings, not ``UUID`` objects: pydantic checks the pattern in Rust and what is written to
a topic is what was read from it, without a conversion each way.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import Meta
from pydantic import Field, GetJsonSchemaHandler, StringConstraints
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_UUID = r"^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"
_UTC_TIME = (
    r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|\+00:00)$"
)
_PRINTABLE = r"^[^\x00-\x1f\x7f]+$"


class _Utc:
    """Accepts only times whose offset is zero, so that two clocks cannot be mixed."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        # pydantic alone would take a number of seconds in a string, or a space for the T.
        text = core_schema.str_schema(pattern=_UTC_TIME, strict=True)
        parsed = core_schema.datetime_schema(tz_constraint=0, strict=False)
        told = core_schema.custom_error_schema(
            core_schema.chain_schema([text, parsed]),
            custom_error_type="utc_time",
            custom_error_message="Input should be a time in UTC, such as 2026-01-31T09:00:00Z",
        )
        made = core_schema.datetime_schema(tz_constraint=0)
        return core_schema.json_or_python_schema(told, made)

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "format": "date-time", "pattern": _UTC_TIME}


UtcTime = Annotated[datetime, _Utc(), Meta(tz=True)]
"""An instant, RFC 3339 with offset zero (``2026-01-31T09:00:00Z``)."""

Uuid = Annotated[str, StringConstraints(pattern=_UUID, to_lower=True)]
UserId = Uuid
"""``user_id``, a UUID in its hyphenated form, kept in lower case."""

Identifier = Annotated[str, StringConstraints(pattern=_PRINTABLE, min_length=1, max_length=255)]
"""A name given by the LMS (course, module, topic, question, skill): 1–255 printable characters."""

Text = Annotated[str, StringConstraints(max_length=8000)]
"""What a learner writes: at most 8,000 characters."""

UnitScore = Annotated[float, Field(ge=0, le=1), Meta(ge=0, le=1)]
"""A score or share, 0–1."""

Percentage = Annotated[float, Field(ge=0, le=100), Meta(ge=0, le=100)]
"""0–100."""

Rating = Annotated[int, Field(ge=1, le=5), Meta(ge=1, le=5)]
"""A rating on the five-point scale, 1–5."""

Seconds = Annotated[float, Field(ge=0, le=86_400)]
"""A duration in seconds, at most one day."""

Total = Annotated[float, Field(ge=0), Meta(ge=0)]
"""A running total, in seconds unless said otherwise."""

LARGEST_INTEGER = 2**53 - 1
"""Beyond it not every reader of JSON has the same number (RFC 8259, 6), and no column takes it."""

Count = Annotated[int, Field(ge=0, le=LARGEST_INTEGER), Meta(ge=0, le=LARGEST_INTEGER)]
"""How many of something; an offset."""

Integer = Annotated[
    int,
    Field(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER),
    Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER),
]

Traceparent = Annotated[
    str, StringConstraints(pattern=r"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$")
]
"""W3C Trace Context ``traceparent``, version 00."""

TraceId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""The trace-id of a ``traceparent``: what links one event's way across services."""

ClassYear = Literal["freshman", "sophomore", "junior", "senior", "graduate", "other"]
LearnerPurpose = Literal["scratch", "revising", "exploring"]
Format = Literal["text", "image", "video"]
SessionPreference = Literal["short_chunks", "long_sessions"]
UiTheme = Literal["dark", "light"]
Layout = Literal["single_column", "two_column", "grid", "list", "compact"]
StudyMode = Literal["solo", "group"]
LearnerLevel = Literal["basic", "intermediate", "advanced"]
WritingStyle = Literal["formal-analytical", "conversational", "narrative", "concise", "unknown"]
ActivityType = Literal["reading", "video", "quiz", "chat", "discussion", "mixed"]
FlaggedType = Literal["confusing", "needs_revision", "too_hard", "too_easy", "interesting"]
CourseResult = Literal["distinction", "pass", "fail", "withdrawn"]
MessageDirection = Literal["user", "system"]

ResponseStatus = Literal["pending", "success", "fail", "timeout", "superseded"]
"""What became of a delivery; ``pending`` until it was acknowledged or its time was up."""

TreeId = Literal["primary_classification", "intervention_strategy"]
TREE_IDS: tuple[TreeId, TreeId] = ("primary_classification", "intervention_strategy")

LearnerLabel = Literal[
    "Struggling Novice",
    "Persistent Striver",
    "Overconfident Learner",
    "Underconfident Achiever",
    "Steady Achiever",
    "Fast Tracker",
    "Disengaging Learner",
]
"""Labels of ``primary_classification``."""

StrategyLabel = Literal[
    "Scaffolded Remediation",
    "Worked Examples",
    "Confidence Calibration",
    "Encouragement",
    "Spaced Review",
    "Enrichment Challenge",
    "Re-engagement Outreach",
]
"""Labels of ``intervention_strategy``."""

LABELS: dict[TreeId, tuple[str, ...]] = {
    "primary_classification": LearnerLabel.__args__,  # type: ignore[attr-defined]
    "intervention_strategy": StrategyLabel.__args__,  # type: ignore[attr-defined]
}
