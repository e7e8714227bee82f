"""The tables and views of the DuckDB file, each declared once."""

from __future__ import annotations

from schemas.fields import TREE_IDS
from schemas.topics import (
    CHAT,
    DEAD_LETTERS,
    DECISIONS,
    DELIVERY_LOG,
    EVENTS,
    EXAMPLES,
    TREE_VERSIONS,
)
from sinks.duckdb_table import OFFSET, PARTITION, RECORD, Column, Table, View, columns

_TREE_ID = Column(
    "tree_id", "VARCHAR", check=f"tree_id IN ({', '.join(repr(tree) for tree in TREE_IDS)})"
)
_STATE_OFFSET = Column("offset", "BIGINT")
_RECORD = Column("record", "JSON", path=RECORD)


_DECISIONS = Table(
    "decisions",
    DECISIONS,
    ("decision_id",),
    "first",
    (
        *columns("UUID", "decision_id", "user_id"),
        Column("course_id", "VARCHAR"),
        Column("timestamp", "TIMESTAMPTZ"),
        _TREE_ID,
        Column("input_attributes", "JSON"),
        *columns("VARCHAR", "decision_label", "previous_label"),
        Column("class_distribution", "JSON"),
        Column("llm_prompt_output", "VARCHAR"),
        Column("thresholds_at_time", "JSON"),
        Column("flagged_rules_hit", "VARCHAR[]"),
        Column("retraining_logs", "JSON", optional=True),
        Column("decision_version", "INTEGER", check="decision_version >= 0"),
        Column("event_id", "UUID"),
        *columns("VARCHAR", "event_type", "event_source"),
        *columns("VARCHAR", "traceparent", "prompt_version"),
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
        *columns("TIMESTAMPTZ", "decided_at", "labelled_at"),
        Column("features", "JSON"),
        *columns("VARCHAR", "label", "labelled_by"),
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
        *columns("VARCHAR", "author", "reason"),
        Column("created_at", "TIMESTAMPTZ"),
        Column("pinned", "BOOLEAN"),
        *columns("JSON", "retraining_logs", "evaluation", optional=True),
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
        *columns("VARCHAR", "reason", "detail", "topic"),
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
        *columns("UUID", "event_id", "user_id"),
        Column("course_id", "VARCHAR", optional=True),
        Column("type", "VARCHAR"),
        Column("occurred_at", "TIMESTAMPTZ"),
        Column("occurred_on", "DATE", path="occurred_at"),
        Column("source", "VARCHAR"),
        *columns("VARCHAR", "session_id", "module_id", "topic_id", "question_id", optional=True),
        *columns("VARCHAR", "content_id", "content_type", "skill_tag", optional=True),
        *columns("DOUBLE", "score", "duration", "confidence", optional=True),
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
        *columns("VARCHAR", "learner_purpose", "format_preference", optional=True),
        *columns(
            "INTEGER",
            "format_comfort_rating_text",
            "format_comfort_rating_image",
            "format_comfort_rating_video",
            optional=True,
        ),
        *columns(
            "DOUBLE",
            "format_comprehension_score_text",
            "format_comprehension_score_image",
            "format_comprehension_score_video",
            optional=True,
        ),
        *columns("VARCHAR", "session_preference", "ui_theme_preference", optional=True),
        *columns("VARCHAR", "layout_preference", "study_mode", "learner_level", optional=True),
        Column("writing_style_category", "VARCHAR"),
        *columns("JSON", "writing_metrics", "writing_totals", "changed_at"),
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
_DELIVERIES = Table(
    "deliveries",
    DELIVERY_LOG,
    ("delivery_id", "attempt"),
    "newest",
    (
        Column("delivery_id", "UUID"),
        Column("attempt", "INTEGER", check="attempt >= 1"),
        *columns("UUID", "decision_id", "user_id"),
        *columns("VARCHAR", "course_id", "decision_tree_id"),
        Column("decision_version", "INTEGER"),
        *columns("VARCHAR", "strategy_label", "previous_label", "llm_prompt_summary"),
        Column("prompt_version", "VARCHAR"),
        Column("delivery_timestamp", "TIMESTAMPTZ"),
        *columns("VARCHAR", "response_status", "response_reason"),
        Column("responded_at", "TIMESTAMPTZ", optional=True),
        *columns("DOUBLE", "latency_ms", "decision_latency_ms"),
        Column("cache_hit", "BOOLEAN"),
        *columns("VARCHAR", "trace_id", "traceparent"),
        Column("event_id", "UUID"),
        *columns("VARCHAR", "event_type", "event_source"),
        Column("event_at", "TIMESTAMPTZ"),
        Column("offset", "BIGINT", path=OFFSET),
    ),
)
_CHAT_MESSAGES = Table(
    "chat_messages",
    CHAT,
    ("event_id",),
    "first",
    (
        *columns("UUID", "event_id", "user_id"),
        *columns("VARCHAR", "session_id", "course_id"),
        Column("timestamp", "TIMESTAMPTZ"),
        *columns("VARCHAR", "message_direction", "message_text"),
        *columns("VARCHAR", "contextual_topic_id", "related_skill", optional=True),
        Column("related_objective", "VARCHAR", optional=True),
        Column("hint_used", "BOOLEAN"),
        *columns("VARCHAR[]", "feedback_flags", "searchable_tags"),
        Column("responder", "VARCHAR"),
        Column("in_reply_to", "UUID", optional=True),
        *columns("VARCHAR", "source", "traceparent"),
        *columns("JSON", "labels", "decision_ids"),
        *columns("VARCHAR", "prompt", "prompt_version"),
        Column("figures", "JSON"),
    ),
)

TABLES = (
    _DECISIONS, _EXAMPLES, _TREE_VERSIONS, _DEAD_LETTERS, _EVENTS, _PROFILES, _BEHAVIOR,
    _ENGAGEMENT, _DELIVERIES, _CHAT_MESSAGES,
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
