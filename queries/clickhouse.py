"""What ClickHouse answers: journeys step by step, activity and skills over time, x and then y.

``client`` is `sinks.clickhouse.connect`'s. Every function raises `StoreUnavailable` if the server
does not answer or has no such tables. An event written twice is seen once, merged or not. Who is no
UUID is nobody, and has nothing.
"""

from __future__ import annotations

from datetime import UTC, date
from typing import Any
from uuid import UUID

from clickhouse_driver import Client

from queries.answers import DailyActivity, JourneyStep, SkillProgress, WatchedThen
from sinks.clickhouse import reaching
from sinks.clickhouse_tables import daily_activity


def course_steps(client: Client, user_id: str, course_id: str) -> list[JourneyStep]:
    """A learner's events in a course ("" for outside any), oldest first."""
    sql = """
        SELECT occurred_at, type, nullIf(module_id, ''), nullIf(topic_id, ''),
            nullIf(question_id, ''), nullIf(content_id, ''), score, duration
        FROM engagement_log FINAL
        WHERE user_id = toUUID(%(user)s) AND course_id = %(course)s
        ORDER BY occurred_at, kafka_offset
    """
    found = _of_learner(client, sql, user_id, course=course_id)
    return [JourneyStep(at.astimezone(UTC), *told) for at, *told in found]


def activity_across_courses(
    client: Client, user_id: str, since: date, until: date
) -> list[DailyActivity]:
    """How often a learner works, by day and course, from ``since`` to before ``until`` (UTC)."""
    mine = "user_id = toUUID(%(user)s) AND occurred_on >= %(since)s AND occurred_on < %(until)s"
    # Text of ours; what is asked for goes as parameters.
    sql = f"""
        SELECT occurred_on, course_id, events, seconds, answers, score_sum
        FROM ({daily_activity(mine)}) ORDER BY occurred_on, course_id
    """  # noqa: S608
    return [
        DailyActivity(day, course, events, seconds, answers, total / answers if answers else None)
        for day, course, events, seconds, answers, total in _of_learner(
            client, sql, user_id, since=since, until=until
        )
    ]


def skill_progress(client: Client, user_id: str) -> list[SkillProgress]:
    """Whether a learner's skills improve, week by week."""
    sql = """
        SELECT toMonday(occurred_on) AS week, skill_tag, count(), avg(assumeNotNull(score))
        FROM engagement_log FINAL
        WHERE user_id = toUUID(%(user)s) AND type = 'quiz.submitted' AND skill_tag != ''
        GROUP BY week, skill_tag ORDER BY week, skill_tag
    """
    return [SkillProgress(*row) for row in _of_learner(client, sql, user_id)]


def watched_then(
    client: Client, content_id: str, then_type: str, course_id: str | None = None
) -> list[WatchedThen]:
    """Who viewed the content and later did something of a type; all in the course if one is given.

    In the order in which they viewed it.
    """
    here = "1" if course_id is None else "course_id = %(course)s"
    # Text of ours; what is asked for goes as parameters.
    sql = f"""
        SELECT toString(user_id) AS learner, watched_at, arrayReduce('min', later) AS then_at
        FROM (
            SELECT user_id, watched_at, arrayFilter(at -> at > watched_at, deeds) AS later
            FROM (
                SELECT user_id, minIf(occurred_at, is_viewing) AS watched_at,
                    groupArrayIf(occurred_at, type = %(then)s) AS deeds
                FROM (
                    SELECT user_id, occurred_at, type,
                        type = 'content.viewed' AND content_id = %(content)s AS is_viewing
                    FROM engagement_log FINAL WHERE {here}
                )
                WHERE is_viewing OR type = %(then)s
                GROUP BY user_id HAVING sum(is_viewing) > 0
            )
        )
        WHERE notEmpty(later) ORDER BY watched_at, learner
    """  # noqa: S608
    named = {"content": content_id, "then": then_type, "course": course_id}
    return [
        WatchedThen(learner, watched_at.astimezone(UTC), then_at.astimezone(UTC))
        for learner, watched_at, then_at in _rows(client, sql, named)
    ]


def events_by_type(client: Client) -> dict[str, int]:
    """How many events of each type there are, most first."""
    sql = "SELECT type, count() AS n FROM events FINAL GROUP BY type ORDER BY n DESC, type"
    return dict(_rows(client, sql, {}))


def _of_learner(client: Client, sql: str, user_id: str, **named: Any) -> list[Any]:
    try:
        user = str(UUID(user_id))
    except ValueError:
        return []
    return _rows(client, sql, {"user": user, **named})


def _rows(client: Client, sql: str, named: dict[str, Any]) -> list[Any]:
    with reaching(client):
        found: list[Any] = client.execute(sql, named)
    return found
