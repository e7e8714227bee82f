"""The tables that `PostgresSink` fills.

What is written (``sinks.postgres``) and what is audited (``audit.postgres``) is read off here; what
makes the tables stands in ``sinks/migrations``, and a test holds the two alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas.topics import CHAT, DECISIONS, DELIVERY_LOG, PROMPT_SETS, TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.postgres_table import Column, Table, Values, columns


def _thresholds(document: Values) -> Iterable[Values]:
    """A row for each question of a tree; ``node`` is its place in the document."""
    for place, node in enumerate(document["nodes"]):
        if "threshold" in node:
            yield {
                "tree_id": document["tree_id"],
                "version": document["version"],
                "node": place,
                **node,
            }


def _retrained(document: Values) -> Iterable[Values]:
    return (document,) if document.get("retraining_logs") else ()


PROFILES = Table(
    "learner_profiles",
    "profile",
    ("user_id",),
    (
        Column("user_id", "UUID"),
        Column("age", "INTEGER"),
        Column("class_year", "TEXT"),
        Column("courses_completed", "INTEGER"),
        Column("gpa", "FLOAT8"),
        Column("learner_purpose", "TEXT"),
        Column("format_preference", "TEXT"),
        Column("format_comfort_rating_text", "INTEGER"),
        Column("format_comfort_rating_image", "INTEGER"),
        Column("format_comfort_rating_video", "INTEGER"),
        Column("format_comprehension_score_text", "FLOAT8"),
        Column("format_comprehension_score_image", "FLOAT8"),
        Column("format_comprehension_score_video", "FLOAT8"),
        Column("session_preference", "TEXT"),
        Column("ui_theme_preference", "TEXT"),
        Column("layout_preference", "TEXT"),
        Column("study_mode", "TEXT"),
        Column("learner_level", "TEXT"),
        Column("writing_style_category", "TEXT", default="unknown"),
        Column("writing_metrics", "JSONB"),
        Column("source_offset", "BIGINT", "offset"),
    ),
)

SUMMARIES = Table(
    "learner_summaries",
    "behavior",
    ("user_id",),
    (
        Column("user_id", "UUID"),
        Column("total_courses", "INTEGER", default=0),
        Column("avg_score", "FLOAT8", default=0.0),
        Column("dominant_format", "TEXT"),
        Column("last_activity_date", "DATE"),
        Column("source_offset", "BIGINT", "offset"),
    ),
)

DECISION_LOG = Table(
    "decisions",
    DECISIONS,
    ("decision_id",),
    (
        Column("decision_id", "UUID"),
        Column("user_id", "UUID"),
        Column("course_id", "TEXT"),
        Column("timestamp", "TIMESTAMPTZ"),
        Column("tree_id", "TEXT"),
        Column("input_attributes", "JSONB"),
        Column("decision_label", "TEXT"),
        Column("previous_label", "TEXT"),
        Column("class_distribution", "JSONB"),
        Column("llm_prompt_output", "TEXT"),
        Column("thresholds_at_time", "JSONB"),
        Column("flagged_rules_hit", "TEXT[]"),
        Column("retraining_logs", "JSONB"),
        Column("decision_version", "INTEGER"),
        Column("event_id", "UUID"),
        Column("event_type", "TEXT"),
        Column("event_source", "TEXT"),
        Column("traceparent", "TEXT"),
        Column("prompt_version", "TEXT"),
        Column("prompt_figures", "JSONB"),
    ),
)

VERSIONS = Table(
    "tree_versions",
    TREE_VERSIONS,
    ("tree_id", "version"),
    (
        Column("tree_id", "TEXT"),
        Column("version", "INTEGER"),
        Column("author", "TEXT"),
        Column("reason", "TEXT"),
        Column("created_at", "TIMESTAMPTZ"),
        Column("pinned", "BOOLEAN", default=False),
        Column("retraining_logs", "JSONB"),
        Column("evaluation", "JSONB"),
        Column("nodes", "JSONB"),
    ),
)

THRESHOLDS = Table(
    "tree_thresholds",
    TREE_VERSIONS,
    ("tree_id", "version", "rule_id"),
    (
        Column("tree_id", "TEXT"),
        Column("version", "INTEGER"),
        Column("node", "INTEGER"),
        Column("rule_id", "TEXT"),
        Column("feature", "TEXT"),
        Column("threshold", "FLOAT8"),
    ),
    _thresholds,
)

RETRAINING_LOG = Table(
    "retraining_log",
    TREE_VERSIONS,
    ("tree_id", "version"),
    (
        Column("tree_id", "TEXT"),
        Column("version", "INTEGER"),
        Column("author", "TEXT"),
        Column("date", "TIMESTAMPTZ", "retraining_logs.date"),
        Column("changes_made", "TEXT[]", "retraining_logs.changes_made"),
        Column("data_points_used", "BIGINT", "retraining_logs.data_points_used"),
        Column("examples", "BIGINT", "evaluation.examples"),
        Column("accuracy_before", "FLOAT8", "evaluation.accuracy_before"),
        Column("accuracy_after", "FLOAT8", "evaluation.accuracy_after"),
    ),
    _retrained,
)

DELIVERIES = Table(
    "deliveries",
    DELIVERY_LOG,
    ("delivery_id", "attempt"),
    (
        Column("delivery_id", "UUID"),
        Column("attempt", "INTEGER"),
        Column("decision_id", "UUID"),
        Column("user_id", "UUID"),
        *columns("TEXT", "course_id", "decision_tree_id"),
        Column("decision_version", "INTEGER"),
        *columns("TEXT", "strategy_label", "previous_label", "llm_prompt_summary"),
        Column("prompt_version", "TEXT"),
        Column("delivery_timestamp", "TIMESTAMPTZ"),
        *columns("TEXT", "response_status", "response_reason"),
        Column("responded_at", "TIMESTAMPTZ"),
        *columns("FLOAT8", "latency_ms", "decision_latency_ms"),
        Column("cache_hit", "BOOLEAN"),
        *columns("TEXT", "trace_id", "traceparent"),
        Column("event_id", "UUID"),
        *columns("TEXT", "event_type", "event_source"),
        Column("event_at", "TIMESTAMPTZ"),
        Column("source_offset", "BIGINT", "offset"),
    ),
)
"""``offset`` is the record's own: see `delivery_values`."""


def delivery_values(record: SinkRecord) -> Values:
    """A record of ``facilitator.log`` with its place there, by which the newest status stays."""
    return {**(record.value or {}), "offset": record.offset}


CHAT_SUMMARIES = Table(
    "chat_summaries",
    CHAT,
    ("user_id", "session_id"),
    (
        Column("user_id", "UUID"),
        *columns("TEXT", "session_id", "course_id"),
        *columns("TIMESTAMPTZ", "started_at", "last_message_at", "ended_at"),
        *columns("INTEGER", "messages", "turns", "answers", "hints"),
        *columns("TEXT[]", "topics", "skills", "feedback_flags", "responders"),
        Column("with_expert", "BOOLEAN"),
        *columns("TEXT", "first_label", "last_label"),
        Column("label_changes", "INTEGER"),
        *columns("TEXT", "first_strategy", "last_strategy"),
        Column("strategy_changes", "INTEGER"),
        Column("waiting_for", "UUID"),
        Column("last_offset", "BIGINT"),
    ),
)
"""The columns are the fields of `sinks.chat_summary.ChatSummary`."""

PROMPTS = Table(
    "prompt_sets",
    PROMPT_SETS,
    ("version",),
    (Column("version", "TEXT"), *columns("JSONB", "templates", "reading_levels")),
)

TABLES = (
    PROFILES, SUMMARIES, DECISION_LOG, VERSIONS, THRESHOLDS, RETRAINING_LOG, DELIVERIES,
    CHAT_SUMMARIES, PROMPTS,
)  # fmt: skip
