"""ClickHouse's tables as data: each column once, for its DDL, for writing and for the audit.

We insert into `inbox`, which keeps nothing; materialized views make of each of its rows

- in `events` a row with the whole event as JSON;
- in `engagement_log` a row with what the event tells in typed columns; events outside any course
  have the course ``''`` (so one said again in another course leaves no trace in the first);
- in `daily_activity_states` the event's share of its learner's day in the course, as an item of a
  set, because a sum would count twice what is written twice; the view `daily_activity` adds up.

The first two have an event's identity in ``ORDER BY``: learner, UTC day, id. Of two rows with one
identity the one with the higher ``precedence`` stays, which is the first telling. Both are there
until ClickHouse has merged: read with ``FINAL``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.event import BY_OTHERS

FIRST_DAY, LAST_DAY = "1970-01-01", "2105-12-31"
"""The UTC days that a ``Date`` of every ClickHouse holds; it would store others as wrong ones."""


class Column(NamedTuple):
    """A column: its type where it is kept, and what stands there if the event does not tell it.

    The event tells it by its ``key``, as it is or as ``part`` makes it of that. ``sent``: its type
    in `inbox`, ``None`` if it has no place there. ``made``: how it is made from columns of
    `inbox`, if it is not simply taken.
    """

    name: str
    type: str
    untold: Any = ""
    sent: str | None = "String"
    made: str = ""
    field: str = ""
    part: Callable[[Any], Any] | None = None

    @property
    def key(self) -> str:
        return self.field or self.name


class Table(NamedTuple):
    """A table that keeps a row of each event."""

    name: str
    columns: tuple[Column, ...]


def _name(name: str) -> Column:
    """One of few names."""
    return Column(name, "LowCardinality(String)")


def _number(name: str, type_: str, untold: float | None = None) -> Column:
    return Column(name, type_, untold, sent=type_)


_TIME = "parseDateTime64BestEffort(time, 6, 'UTC')"
_DAY = "toDate(substring(time, 1, 10))"
_PRECEDENCE = "toUInt64(9223372036854775807 - kafka_offset)"

_IDENTITY = (
    Column("event_id", "UUID", sent=None, made="toUUID(event)"),
    Column("user_id", "UUID", sent=None, made="toUUID(learner)"),
    Column("occurred_at", "DateTime64(6, 'UTC')", sent=None, made=_TIME),
    Column("occurred_on", "Date", sent=None, made=_DAY),
    _name("course_id"),
    _name("type"),
)

_AS_TEXT = (
    Column("event", "String", field="event_id"),
    Column("learner", "String", field="user_id"),
    Column("time", "String", field="occurred_at"),
)
"""What is text in `inbox` and not kept as such: ClickHouse converts it quicker than Python."""

KAFKA_PARTITION = Column("kafka_partition", "UInt32", sent="UInt32")
KAFKA_OFFSET = Column("kafka_offset", "UInt64", sent="UInt64")
RECORD = Column("record", "String CODEC(ZSTD(3))")
PRECEDENCE = Column("precedence", "UInt64", sent=None, made=_PRECEDENCE)

OF_THE_RECORD = (KAFKA_PARTITION, KAFKA_OFFSET, RECORD)
"""Columns that are told by the record's place and bytes, not by a field."""

EVENTS = Table(
    "events", (*_IDENTITY, _name("source"), KAFKA_PARTITION, KAFKA_OFFSET, PRECEDENCE, RECORD)
)

_BY_TOPIC = "confidence_by_topic"
_REALS = "Array(Float64)"

ENGAGEMENT_LOG = Table(
    "engagement_log",
    (
        *_IDENTITY,
        _name("module_id"),
        _number("module_index", "Nullable(UInt16)"),
        _name("topic_id"),
        Column("content_id", "String"),
        _name("content_type"),
        Column("question_id", "String"),
        _number("score", "Nullable(Float64)"),
        _name("skill_tag"),
        _name("objective_tag"),
        _number("retries", "UInt16", 0),
        _number("hint_used", "UInt8", False),
        _number("confidence", "Nullable(Float64)"),
        _name("content_format"),
        _number("duration", "Nullable(Float64)"),
        Column("session_id", "String"),
        _name("activity_type"),
        _name("flagged_type"),
        _number("rating", "Nullable(UInt8)"),
        Column("survey_id", "String"),
        _name("message_direction"),
        _name("contextual_topic_id"),
        Column("responder", "String"),
        Column("decision_id", "String"),
        _name("strategy_label"),
        Column("flagged_topics", "Array(String)", (), "Array(String)"),
        Column(f"{_BY_TOPIC}.topic_id", "Array(String)", (), "Array(String)", "", _BY_TOPIC, list),
        Column(
            f"{_BY_TOPIC}.confidence", _REALS, (), _REALS, "", _BY_TOPIC,
            lambda told: list(told.values()),
        ),
        _number("previous_attempts", "Nullable(UInt32)"),
        _name("result"),
        _number("final_score", "Nullable(Float64)"),
        KAFKA_PARTITION,
        KAFKA_OFFSET,
        PRECEDENCE,
    ),
)  # fmt: skip

KEPT = (EVENTS, ENGAGEMENT_LOG)

SENT: dict[str, Column] = {
    column.name: column
    for columns in (_AS_TEXT, EVENTS.columns, ENGAGEMENT_LOG.columns)
    for column in columns
    if column.sent is not None
}
"""The columns of `inbox`, in order."""

INSERT = f"INSERT INTO inbox ({', '.join(f'`{name}`' for name in SENT)}) VALUES"
"""For ``client.execute`` with the columns as data."""

WITH_RETENTION = ("events", "engagement_log", "daily_activity_states")
"""The tables that keep something."""

ALL_NAMES = (
    "inbox", *WITH_RETENTION, "events_feed", "engagement_log_feed", "daily_activity_feed",
    "daily_activity",
)  # fmt: skip
"""Every table and view."""


def statements(retention_days: int) -> list[str]:
    """What makes the tables and views where they are not yet there, in order."""
    inbox = ",\n    ".join(f"`{column.name}` {column.sent}" for column in SENT.values())
    return [
        f"CREATE TABLE IF NOT EXISTS inbox (\n    {inbox}\n) ENGINE = Null",
        *(_create(table, retention_days) for table in KEPT),
        _create_daily_states(retention_days),
        *(_create_feed(table) for table in KEPT),
        f"CREATE MATERIALIZED VIEW IF NOT EXISTS daily_activity_feed TO daily_activity_states\n"
        f"AS {_DAILY_FEED}",
        f"CREATE VIEW IF NOT EXISTS daily_activity AS {daily_activity()}",
    ]


def retention(days: int) -> str:
    """The TTL: ``days`` after the event, cut off where a ``Date`` would start again at 1970."""
    return f"toDate(toUInt16(least(toUInt32(occurred_on) + {days}, 65535)))"


def _create(table: Table, retention_days: int) -> str:
    columns = ",\n    ".join(f"`{column.name}` {column.type}" for column in table.columns)
    return f"""CREATE TABLE IF NOT EXISTS {table.name} (
    {columns}
) ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(occurred_on)
ORDER BY (user_id, occurred_on, event_id)
TTL {retention(retention_days)}
SETTINGS ttl_only_drop_parts = 1"""


def _create_feed(table: Table) -> str:
    columns = ",\n    ".join(
        f"{column.made} AS {column.name}" if column.made else f"`{column.name}`"
        for column in table.columns
    )
    return f"""CREATE MATERIALIZED VIEW IF NOT EXISTS {table.name}_feed TO {table.name}
AS SELECT {columns}
FROM inbox"""  # noqa: S608  # names of ours


def _create_daily_states(retention_days: int) -> str:
    return f"""CREATE TABLE IF NOT EXISTS daily_activity_states (
    `user_id` UUID,
    `occurred_on` Date,
    `course_id` LowCardinality(String),
    `told` AggregateFunction(groupUniqArray, Tuple(UUID, UInt64, Float64, UInt8, Float64))
) ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(occurred_on)
ORDER BY (user_id, occurred_on, course_id)
TTL {retention(retention_days)}
SETTINGS ttl_only_drop_parts = 1"""


# Of each event: id, precedence, seconds, whether it was graded, and its score.
_DAILY_FEED = f"""SELECT toUUID(learner) AS user_id, {_DAY} AS occurred_on, course_id,
    groupUniqArrayState(tuple(toUUID(event), {_PRECEDENCE},
        ifNull(duration, 0), isNotNull(score), ifNull(score, 0))) AS told
FROM inbox
WHERE type NOT IN {BY_OTHERS} AND message_direction != 'system'
GROUP BY user_id, occurred_on, course_id"""  # noqa: S608  # text of ours


def is_learners(event: dict[str, Any]) -> bool:
    """Whether an event counts in ``daily_activity``: not what others say or do for the learner."""
    return event["type"] not in BY_OTHERS and event.get("message_direction") != "system"


def daily_activity(where: str = "1") -> str:
    """The query that adds up the days; ``where`` may name ``user_id`` and ``occurred_on``.

    Sums are of millionths, so that they are the same in whatever order rows are added.
    """
    return f"""SELECT user_id, occurred_on, course_id, count() AS events,
    sum(toInt64(round(duration * 1000000))) / 1000000 AS seconds,
    sum(is_graded) AS answers,
    sum(toInt64(round(points * 1000000))) / 1000000 AS score_sum
FROM (
    SELECT user_id, occurred_on, argMax(told_course, precedence) AS course_id,
        argMax(tupleElement(event, 3), precedence) AS duration,
        argMax(tupleElement(event, 4), precedence) AS is_graded,
        argMax(tupleElement(event, 5), precedence) AS points
    FROM (
        SELECT user_id, occurred_on, told_course, event,
            tupleElement(event, 1) AS event_id, tupleElement(event, 2) AS precedence
        FROM (
            SELECT user_id, occurred_on, course_id AS told_course,
                arrayJoin(groupUniqArrayMerge(told)) AS event
            FROM daily_activity_states WHERE {where} GROUP BY user_id, occurred_on, course_id
        )
    )
    GROUP BY user_id, occurred_on, event_id
)
GROUP BY user_id, occurred_on, course_id"""  # noqa: S608  # text of ours
