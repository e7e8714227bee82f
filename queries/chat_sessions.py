"""A learner's chat sessions from their messages, where no store keeps summaries; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from queries.answers import SessionSummary
from sinks.chat_summary import ChatSummary, folded

QUIET = timedelta(minutes=30)
"""Without a message for longer a session is quiet; PostgreSQL's view has the same."""


def sessions(messages: Iterable[Mapping[str, Any]], now: datetime) -> list[SessionSummary]:
    """The latest session last.

    Args:
        messages: one learner's ``chat.messages``, as JSON objects, in order.
        now: by which a session is quiet or open.
    """
    summaries: dict[str, ChatSummary] = {}
    for message in messages:
        session_id = message["session_id"]
        summaries[session_id] = folded(summaries.get(session_id), message)
    told = [_told(summary, now) for summary in summaries.values()]
    return sorted(told, key=lambda session: (session.last_message_at, session.session_id))


def _told(summary: ChatSummary, now: datetime) -> SessionSummary:
    started, last = _time(summary.started_at), _time(summary.last_message_at)
    state = "ended" if summary.ended_at else "quiet" if last < now - QUIET else "open"
    told: dict[str, Any] = {
        **{n: v for n, v in vars(summary).items() if n in SessionSummary._fields},
        "state": state,
        "outcome": _outcome(summary, state),
        "started_at": started,
        "last_message_at": last,
        "ended_at": _time(summary.ended_at) if summary.ended_at else None,
        "duration_seconds": (last - started).total_seconds(),
    }
    return SessionSummary(**told)


def _outcome(summary: ChatSummary, state: str) -> str:
    if not summary.turns:
        return "no_question"
    if summary.waiting_for is None:
        return "with_expert" if summary.with_expert else "answered"
    return "waiting" if state == "open" else "unanswered"


def _time(told: str) -> datetime:
    return datetime.fromisoformat(told).astimezone(UTC)
