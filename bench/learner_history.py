"""Events of one learner, made by hand: as many as one likes, always of the same kinds.

Twelve a day, of which four are graded answers, in 14 topics and 8 skills, so that after 46 days
(`FULL` events) every window of every state is full.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson

_A_DAY = 12
FULL = 46 * _A_DAY
"""Events until all days within the horizon have their page of ids: the last window to be full."""
_START = datetime(2000, 1, 3, tzinfo=UTC)
_TOPICS, _SKILLS = 14, 8
_FORMATS = ("text", "image", "video")
_EVENTS = uuid.UUID("6f2b2c2e-3c1d-5a0e-9a55-3f6f0a0b7d11")


def learner_id(number: int) -> str:
    return str(uuid.uuid5(_EVENTS, f"learner {number}"))


def history(user_id: str, first: int, events: int, courses: int = 1) -> Iterator[bytes]:
    """Events ``first`` … ``first + events - 1`` of the learner, each in the next course in turn."""
    for number in range(first, first + events):
        yield orjson.dumps(_event(user_id, number, courses))


def _event(user_id: str, number: int, courses: int) -> dict[str, object]:
    day, of_day = divmod(number, _A_DAY)
    # Every other day at the odd hours, so that all 24 are known.
    at = _START + timedelta(days=day, hours=2 * of_day + day % 2)
    event: dict[str, object] = {
        "event_id": str(uuid.uuid5(_EVENTS, f"{user_id}/{number}")),
        "user_id": user_id,
        # One further each day, so that every course comes to have events of every kind.
        "course_id": f"course-{(number + day) % courses}",
        "occurred_at": at.isoformat(),
    }
    return event | _payload(number, day, of_day)


def _payload(number: int, day: int, of_day: int) -> dict[str, object]:
    topic_id, content_format = f"topic-{number % _TOPICS}", _FORMATS[number % 3]
    viewed = {
        "type": "content.viewed",
        "content_id": f"content-{number % 50}",
        "content_type": content_format,
        "duration": 60.0 + number % 300,
    }
    answered = {
        "type": "quiz.submitted",
        "question_id": f"question-{number % 97}",
        "score": number * 37 % 101 / 100,
        "topic_id": topic_id,
        "skill_tag": f"skill-{number % _SKILLS}",
        "retries": number % 3,
        "hint_used": number % 5 == 0,
        "duration": 30.0 + number % 60,
        "confidence": number * 53 % 101 / 100,
        "content_format": content_format,
    }
    kinds: dict[int, dict[str, object]] = {
        0: {"type": "session.started", "session_id": f"session-{day}"},
        1: {"type": "module.entered", "module_id": f"module-{day % 9}", "module_index": day % 9},
        2: viewed,
        5: {
            "type": "confidence.reported",
            "topic_id": topic_id,
            "confidence": number * 29 % 101 / 100,
        },
        7: {"type": "hint.requested", "topic_id": topic_id},
        8: viewed,
        9: {"type": "topic.flagged", "topic_id": topic_id, "flagged_type": "needs_revision"},
        11: {"type": "session.ended", "session_id": f"session-{day}"},
    }
    return kinds.get(of_day, answered)
