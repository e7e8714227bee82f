"""The tables that `PostgresSink` fills, as data: name, SQL type and place in the record by column.

What is written (``sinks.postgres``) and what is audited (``audit.postgres``) is read off here; what
makes the tables stands in ``sinks/migrations``, and a test holds the two alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, datetime
from operator import itemgetter
from typing import Any, NamedTuple

import orjson

from schemas.topics import DECISIONS, TREE_VERSIONS

Values = dict[str, Any]

_TO_SQL: dict[str, Callable[[Any], Any]] = {
    "TIMESTAMPTZ": datetime.fromisoformat,
    "DATE": date.fromisoformat,
    "JSONB": lambda value: orjson.dumps(value).decode(),
}
"""How what JSON holds as text or object goes to asyncpg; all other types as they are."""


class Column(NamedTuple):
    """``path``: keys with dots between, the name if not given. ``default``: where nothing is."""

    name: str
    type: str
    path: str = ""
    default: Any = None

    def told(self, value: Values) -> Any:
        """What the record says, in JSON's types."""
        found: Any = value
        for step in (self.path or self.name).split("."):
            found = found.get(step) if found is not None else None
        return self.default if found is None else found


def _itself(value: Values) -> Iterable[Values]:
    return (value,)


class Table(NamedTuple):
    """``parts``: the objects in a record of which each makes a row; ``key`` tells rows apart."""

    name: str
    topic: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    parts: Callable[[Values], Iterable[Values]] = _itself

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def rows(self, values: Iterable[Values]) -> Iterator[tuple[Any, ...]]:
        """Rows as asyncpg takes them, in the columns' order."""
        cells = [_cell(column) for column in self.columns]
        return (
            tuple([cell(part) for cell in cells]) for value in values for part in self.parts(value)
        )


def _cell(column: Column) -> Callable[[Values], Any]:
    convert = _TO_SQL.get(column.type)
    if convert is None:
        return column.told if column.path or column.default is not None else _direct(column.name)

    def converted(value: Values) -> Any:
        found = column.told(value)
        return None if found is None else convert(found)

    return converted


def _direct(name: str) -> Callable[[Values], Any]:
    """`Column.told` for most columns: this one runs for every cell of the decision log."""
    take = itemgetter(name)

    def direct(value: Values) -> Any:
        try:
            return take(value)
        except KeyError:
            return None

    return direct


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

TABLES = (PROFILES, SUMMARIES, DECISION_LOG, VERSIONS, THRESHOLDS, RETRAINING_LOG)
