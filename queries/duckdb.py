"""What the DuckDB file answers, without a server: the stores' questions, and what retraining needs.

``file`` is the sink's. Every function raises `InvalidInput` for a file that is not there, is not
ours or was filled without the topic asked about, and `StoreUnavailable` if somebody writes into it
all the time. Who is no UUID is nobody, and has nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import orjson

from queries.answers import (
    FALLING,
    HOLDS,
    DailyActivity,
    FallingConfidence,
    JourneyStep,
    LabelsGiven,
    SessionSummary,
    SkillProgress,
    ThresholdInForce,
    WatchedThen,
)
from queries.chat_sessions import sessions
from schemas.decision import Decision, decision_adapter
from schemas.delivery import Delivery, delivery_adapter
from schemas.event import BY_OTHERS
from schemas.example import TreeExample, example_adapter
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from sinks.duckdb_file import copied, reading

_ROWS_AT_ONCE = 1_000


def course_steps(file: Path, user_id: str, course_id: str) -> list[JourneyStep]:
    """A learner's events in a course ("" for outside any), oldest first."""
    sql = """
        SELECT occurred_at, type, module_id, topic_id, question_id, content_id, score, duration
        FROM events
        WHERE user_id = TRY_CAST(? AS UUID) AND coalesce(course_id, '') = ?
        ORDER BY occurred_at, event_id
    """
    return [JourneyStep(*row) for row in _rows(file, sql, user_id, course_id)]


def course_journey(file: Path, user_id: str, course_id: str) -> dict[str, Any] | None:
    """The learner's engagement with a course (source, section 3); ``None`` if there is none."""
    sql = "SELECT record FROM engagement WHERE user_id = TRY_CAST(? AS UUID) AND course_id = ?"
    found = _rows(file, sql, user_id, course_id)
    return orjson.loads(found[0][0]) if found else None


def journeys_of(file: Path, user_id: str) -> list[dict[str, Any]]:
    """The learner's engagement with every course, by ``course_id``."""
    sql = "SELECT record FROM engagement WHERE user_id = TRY_CAST(? AS UUID) ORDER BY course_id"
    return [orjson.loads(record) for (record,) in _rows(file, sql, user_id)]


def learner_across_courses(file: Path, user_id: str) -> dict[str, Any] | None:
    """The learner's behaviour across courses (source, section 2); ``None`` if there is none."""
    found = _rows(file, "SELECT record FROM behavior WHERE user_id = TRY_CAST(? AS UUID)", user_id)
    return orjson.loads(found[0][0]) if found else None


def activity_across_courses(file: Path, user_id: str) -> list[DailyActivity]:
    """How often a learner works, day by day and course by course; not what others do for them."""
    sql = """
        SELECT occurred_on AS day, coalesce(course_id, '') AS course, count(*),
            coalesce(sum(duration), 0), count(score), avg(score)
        FROM events
        WHERE user_id = TRY_CAST(? AS UUID) AND NOT list_contains(?, type)
            AND (record ->> 'message_direction') IS DISTINCT FROM 'system'
        GROUP BY day, course ORDER BY day, course
    """
    return [DailyActivity(*row) for row in _rows(file, sql, user_id, list(BY_OTHERS))]


def skill_progress(file: Path, user_id: str) -> list[SkillProgress]:
    """Whether a learner's skills improve, week by week."""
    sql = """
        SELECT CAST(date_trunc('week', occurred_on) AS DATE) AS week, skill_tag, count(*),
            avg(score)
        FROM events
        WHERE user_id = TRY_CAST(? AS UUID) AND type = 'quiz.submitted' AND skill_tag IS NOT NULL
        GROUP BY week, skill_tag ORDER BY week, skill_tag
    """
    return [SkillProgress(*row) for row in _rows(file, sql, user_id)]


def watched_then(
    file: Path, content_id: str, then_type: str, course_id: str | None = None
) -> list[WatchedThen]:
    """Who viewed the content and later did something of a type; all in the course if one is given.

    In the order in which they viewed it.
    """
    sql = """
        WITH here AS (SELECT * FROM events WHERE $course IS NULL OR course_id = $course),
        watched AS (
            SELECT user_id, min(occurred_at) AS watched_at FROM here
            WHERE type = 'content.viewed' AND content_id = $content GROUP BY user_id
        )
        SELECT CAST(user_id AS VARCHAR), watched_at, min(occurred_at)
        FROM watched JOIN here USING (user_id)
        WHERE type = $then AND occurred_at > watched_at
        GROUP BY user_id, watched_at ORDER BY watched_at, user_id
    """
    with reading(file) as db:
        named = {"content": content_id, "then": then_type, "course": course_id}
        return [WatchedThen(*row) for row in db.execute(sql, named).fetchall()]


def falling_confidence(file: Path, course_id: str | None = None) -> list[FallingConfidence]:
    """Learners whose confidence falls while scores hold, in one course or any, steepest first."""
    sql = """
        WITH told AS (
            SELECT CAST(user_id AS VARCHAR) AS user_id, course_id,
                list_avg(CAST(record->'$.confidence_score_trends[*].trend_value' AS DOUBLE[]))
                    AS trend,
                list_avg(CAST(record->'$.quiz_attempts[*].score' AS DOUBLE[])) AS recent,
                CAST(record->'$.score_sum' AS DOUBLE)
                    / nullif(CAST(record->'$.attempts' AS DOUBLE), 0) AS objective
            FROM engagement WHERE $course IS NULL OR course_id = $course
        )
        SELECT * FROM told WHERE trend <= $falling AND recent >= objective - $holds
        ORDER BY trend, user_id, course_id
    """
    with reading(file) as db:
        named = {"course": course_id, "falling": FALLING, "holds": HOLDS}
        return [FallingConfidence(*row) for row in db.execute(sql, named).fetchall()]


def labels_given(
    file: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    tree_id: TreeId | None = None,
) -> list[LabelsGiven]:
    """How often each label was given on each UTC day, from ``since`` to before ``until``."""
    sql = """
        SELECT CAST(timestamp AS DATE) AS day, tree_id, decision_label, count(*) FROM decisions
        WHERE ($1 IS NULL OR timestamp >= $1) AND ($2 IS NULL OR timestamp < $2)
            AND ($3 IS NULL OR tree_id = $3)
        GROUP BY ALL ORDER BY ALL
    """
    return [LabelsGiven(*row) for row in _rows(file, sql, since, until, tree_id)]


def thresholds_at_decision(file: Path, decision_id: str) -> list[ThresholdInForce]:
    """Every rule of the version that made the decision, the tree's root first."""
    sql = """
        SELECT rule.* EXCLUDE (node)
        FROM tree_thresholds AS rule JOIN decisions AS made
            ON rule.tree_id = made.tree_id AND rule.version = made.decision_version
        WHERE made.decision_id = TRY_CAST(? AS UUID) ORDER BY rule.node
    """
    return [ThresholdInForce(*row) for row in _rows(file, sql, decision_id)]


def thresholds_in_force(file: Path, tree_id: TreeId, at: datetime) -> list[ThresholdInForce]:
    """Every rule of the highest version made until then, or of version 0; the root first."""
    sql = """
        SELECT * EXCLUDE (node) FROM tree_thresholds
        WHERE tree_id = $1 AND version = (
            SELECT coalesce(max(version), 0) FROM tree_versions
            WHERE tree_id = $1 AND created_at <= $2
        )
        ORDER BY node
    """
    return [ThresholdInForce(*row) for row in _rows(file, sql, tree_id, at)]


def versions_of(file: Path) -> list[TreeDocument]:
    """Every tree version, in order."""
    with reading(file) as db:
        found = db.execute("SELECT * FROM tree_versions ORDER BY tree_id, version")
        return [TreeDocument.model_validate(row) for row in _records(found)]


def decisions_of(file: Path, user_id: str) -> Iterator[Decision]:
    """A learner's decisions, oldest first."""
    sql = (
        "SELECT * FROM decisions WHERE user_id = TRY_CAST(? AS UUID) "
        "ORDER BY timestamp, decision_id"
    )
    return map(decision_adapter.validate_python, _streamed(file, sql, user_id))


def deliveries_of(file: Path, user_id: str) -> Iterator[Delivery]:
    """A learner's attempts at delivery, oldest first, each with the status that was told last."""
    sql = """
        SELECT * EXCLUDE ("offset") FROM deliveries WHERE user_id = TRY_CAST(? AS UUID)
        ORDER BY delivery_timestamp, delivery_id, attempt
    """
    return map(delivery_adapter.validate_python, _streamed(file, sql, user_id))


def sessions_of(file: Path, user_id: str, now: datetime) -> list[SessionSummary]:
    """A learner's chat sessions, the latest last, from the messages in the order of their times."""
    sql = """
        SELECT * FROM chat_messages WHERE user_id = TRY_CAST(? AS UUID)
        ORDER BY timestamp, event_id
    """
    found = _streamed(file, sql, user_id)
    return sessions(({**m, "timestamp": m["timestamp"].isoformat()} for m in found), now)


def decisions(file: Path, tree_id: TreeId) -> Iterator[Decision]:
    """All that a tree decided, oldest first."""
    sql = "SELECT * FROM decisions WHERE tree_id = ? ORDER BY timestamp, decision_id"
    return map(decision_adapter.validate_python, _streamed(file, sql, tree_id))


def latest_decisions(file: Path, tree_id: TreeId) -> Iterator[Decision]:
    """What a tree last said of each learner in each course, by learner and course."""
    sql = """
        SELECT * FROM decisions WHERE tree_id = ?
        QUALIFY row_number() OVER (
            PARTITION BY user_id, course_id ORDER BY timestamp DESC, decision_id DESC
        ) = 1
        ORDER BY user_id, course_id
    """
    return map(decision_adapter.validate_python, _streamed(file, sql, tree_id))


def examples(file: Path, tree_id: TreeId) -> Iterator[TreeExample]:
    """A tree's labelled examples in the order in which the labels became known."""
    sql = "SELECT * FROM examples WHERE tree_id = ? ORDER BY labelled_at, example_id"
    return map(example_adapter.validate_python, _streamed(file, sql, tree_id))


def most_decided(file: Path) -> str | None:
    """The learner of whom most was decided; None in an empty file."""
    sql = """
        SELECT CAST(user_id AS VARCHAR) AS user FROM decisions
        GROUP BY user ORDER BY count(*) DESC, user LIMIT 1
    """
    found = _rows(file, sql)
    return found[0][0] if found else None


def _rows(file: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with reading(file) as db:
        found: list[tuple[Any, ...]] = db.execute(sql, parameters).fetchall()
        return found


def _streamed(file: Path, sql: str, *parameters: Any) -> Iterator[dict[str, Any]]:
    """Row by row what is found when the first is asked for; who takes long holds up no writer."""
    with copied(file, found=(sql, parameters)) as db:
        yield from _records(db.execute("FROM found"))


def _records(found: duckdb.DuckDBPyConnection) -> Iterator[dict[str, Any]]:
    """Rows as the records that they were made of."""
    columns = [(column[0], str(column[1])) for column in found.description]
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        for row in rows:
            yield {
                name: _told(type_, value) for (name, type_), value in zip(columns, row, strict=True)
            }


def _told(type_: str, value: Any) -> Any:
    match type_:
        case "UUID":
            return str(value)
        case "JSON" if value is not None:
            return orjson.loads(value)
    return value
