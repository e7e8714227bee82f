"""DuckDB's tables, each declared once: what they hold, how a record fills them, which row stays."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from schemas.fields import TREE_IDS
from schemas.topics import DEAD_LETTERS, DECISIONS, EVENTS, EXAMPLES, TREE_VERSIONS
from sinks.contract import SinkRecord

RECORD, PARTITION, OFFSET = "$", "@partition", "@offset"
"""Paths of a column: the whole record, and its place in Kafka."""

ROW_GROUP = 10_240
"""Rows that DuckDB keeps together: as many as come in one write, so that none is packed twice."""

Key = tuple[Any, ...]


class Column(NamedTuple):
    """``path``: the field of the record, `RECORD`, `PARTITION` or `OFFSET`; the name when empty.

    ``type`` is DuckDB's; of a DATE that is filled from a time, it is the UTC day.
    """

    name: str
    type: str
    optional: bool = False
    path: str = ""
    check: str = ""

    @property
    def field(self) -> str:
        return self.path or self.name


class Table(NamedTuple):
    """Filled from one topic. ``key`` names the columns by which a row is known.

    ``stays``: of several records with a key the first to come, the one with the lowest offset in
    Kafka, or the one with the highest ``offset`` in its value.
    """

    name: str
    topic: str
    key: tuple[str, ...]
    stays: Literal["first", "lowest", "highest"]
    columns: tuple[Column, ...]

    def key_of(self, record: SinkRecord) -> Key:
        """As text and numbers, in the order of ``key``; of a deletion, from the record's key."""
        value = record.value
        if value is None:
            return tuple(record.key.split("|", len(self.key) - 1))
        if self.topic == EVENTS:
            return (value["user_id"], value["occurred_at"][:10], value["event_id"])
        return tuple([value[name] for name in self.key])

    def rank_of(self, record: SinkRecord) -> int:
        """The highest stays; of equal ones, the first."""
        match self.stays:
            case "first":
                return 0
            case "lowest":
                return -record.offset
            case "highest":
                offset: int = record.value["offset"] if record.value else -1
                return offset

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}


class View(NamedTuple):
    """What the file shows of a table in another form; never out of step with it."""

    name: str
    topic: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    sql: str


_TREE_ID = Column(
    "tree_id", "VARCHAR", check=f"tree_id IN ({', '.join(repr(tree) for tree in TREE_IDS)})"
)
_STATE_OFFSET = Column("offset", "BIGINT")
_RECORD = Column("record", "JSON", path=RECORD)


def _columns(type_: str, *names: str, optional: bool = False) -> tuple[Column, ...]:
    return tuple(Column(name, type_, optional) for name in names)


_DECISIONS = Table(
    "decisions",
    DECISIONS,
    ("decision_id",),
    "first",
    (
        *_columns("UUID", "decision_id", "user_id"),
        Column("course_id", "VARCHAR"),
        Column("timestamp", "TIMESTAMPTZ"),
        _TREE_ID,
        Column("input_attributes", "JSON"),
        *_columns("VARCHAR", "decision_label", "previous_label"),
        Column("class_distribution", "JSON"),
        Column("llm_prompt_output", "VARCHAR"),
        Column("thresholds_at_time", "JSON"),
        Column("flagged_rules_hit", "VARCHAR[]"),
        Column("retraining_logs", "JSON", optional=True),
        Column("decision_version", "INTEGER", check="decision_version >= 0"),
        Column("event_id", "UUID"),
        *_columns("VARCHAR", "event_type", "event_source"),
        *_columns("VARCHAR", "traceparent", "prompt_version"),
        Column("prompt_figures", "JSON"),
    ),
)
_EXAMPLES = Table(
    "examples",
    EXAMPLES,
    ("example_id",),
    "first",
    (
        Column("example_id", "UUID"),
        _TREE_ID,
        Column("user_id", "UUID"),
        Column("course_id", "VARCHAR"),
        *_columns("TIMESTAMPTZ", "decided_at", "labelled_at"),
        Column("features", "JSON"),
        *_columns("VARCHAR", "label", "labelled_by"),
    ),
)
_TREE_VERSIONS = Table(
    "tree_versions",
    TREE_VERSIONS,
    ("tree_id", "version"),
    "first",
    (
        _TREE_ID,
        Column("version", "INTEGER", check="version >= 0"),
        *_columns("VARCHAR", "author", "reason"),
        Column("created_at", "TIMESTAMPTZ"),
        Column("pinned", "BOOLEAN"),
        *_columns("JSON", "retraining_logs", "evaluation", optional=True),
        Column("nodes", "JSON"),
    ),
)
_DEAD_LETTERS = Table(
    "dead_letters",
    DEAD_LETTERS,
    ("dead_letter_id",),
    "first",
    (
        Column("dead_letter_id", "UUID"),
        *_columns("VARCHAR", "reason", "detail", "topic"),
        Column("partition", "INTEGER"),
        _STATE_OFFSET,
        Column("recorded_at", "TIMESTAMPTZ", optional=True),
        Column("key", "VARCHAR", optional=True),
        Column("raw", "VARCHAR"),
    ),
)
_EVENTS = Table(
    "events",
    EVENTS,
    ("user_id", "occurred_on", "event_id"),
    "lowest",
    (
        *_columns("UUID", "event_id", "user_id"),
        Column("course_id", "VARCHAR", optional=True),
        Column("type", "VARCHAR"),
        Column("occurred_at", "TIMESTAMPTZ"),
        Column("occurred_on", "DATE", path="occurred_at"),
        Column("source", "VARCHAR"),
        *_columns("VARCHAR", "session_id", "module_id", "topic_id", "question_id", optional=True),
        *_columns("VARCHAR", "content_id", "content_type", "skill_tag", optional=True),
        *_columns("DOUBLE", "score", "duration", "confidence", optional=True),
        Column("hint_used", "BOOLEAN", optional=True),
        Column("partition", "INTEGER", path=PARTITION),
        Column("offset", "BIGINT", path=OFFSET),
        _RECORD,
    ),
)
_PROFILES = Table(
    "profiles",
    "profile",
    ("user_id",),
    "highest",
    (
        Column("user_id", "UUID"),
        Column("age", "INTEGER", optional=True),
        Column("class_year", "VARCHAR", optional=True),
        Column("courses_completed", "INTEGER", optional=True),
        Column("gpa", "DOUBLE", optional=True),
        *_columns("VARCHAR", "learner_purpose", "format_preference", optional=True),
        *_columns(
            "INTEGER",
            "format_comfort_rating_text",
            "format_comfort_rating_image",
            "format_comfort_rating_video",
            optional=True,
        ),
        *_columns(
            "DOUBLE",
            "format_comprehension_score_text",
            "format_comprehension_score_image",
            "format_comprehension_score_video",
            optional=True,
        ),
        *_columns("VARCHAR", "session_preference", "ui_theme_preference", optional=True),
        *_columns("VARCHAR", "layout_preference", "study_mode", "learner_level", optional=True),
        Column("writing_style_category", "VARCHAR"),
        *_columns("JSON", "writing_metrics", "writing_totals", "changed_at"),
        _STATE_OFFSET,
    ),
)
_BEHAVIOR = Table(
    "behavior",
    "behavior",
    ("user_id",),
    "highest",
    (
        Column("user_id", "UUID"),
        Column("total_courses", "INTEGER"),
        Column("avg_score", "DOUBLE"),
        Column("dominant_format", "VARCHAR", optional=True),
        Column("last_activity_date", "DATE", optional=True),
        _STATE_OFFSET,
        _RECORD,
    ),
)
_ENGAGEMENT = Table(
    "engagement",
    "engagement",
    ("user_id", "course_id"),
    "highest",
    (Column("user_id", "UUID"), Column("course_id", "VARCHAR"), _STATE_OFFSET, _RECORD),
)

TABLES = (
    _DECISIONS, _EXAMPLES, _TREE_VERSIONS, _DEAD_LETTERS, _EVENTS, _PROFILES, _BEHAVIOR,
    _ENGAGEMENT,
)  # fmt: skip

VIEWS = (
    View(
        "summaries",
        "behavior",
        ("user_id",),
        ("user_id", "total_courses", "avg_score", "dominant_format", "last_activity_date"),
        "SELECT user_id, total_courses, avg_score, dominant_format, last_activity_date "
        "FROM behavior",
    ),
    View(
        "tree_thresholds",
        TREE_VERSIONS,
        ("tree_id", "version", "node"),
        (
            "tree_id", "version", "author", "reason", "created_at", "node", "rule_id", "feature",
            "threshold",
        ),
        """
        SELECT tree_id, version, author, reason, created_at, node, rule.*
        FROM (
            SELECT *, unnest(rules) AS rule, generate_subscripts(rules, 1) - 1 AS node
            FROM (
                SELECT *, json_transform(
                    nodes, '[{"rule_id": "VARCHAR", "feature": "VARCHAR", "threshold": "DOUBLE"}]'
                ) AS rules
                FROM tree_versions
            )
        )
        WHERE rule.feature IS NOT NULL
        """,
    ),
)  # fmt: skip
