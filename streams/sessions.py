"""Pairing the two ends of a session, which may come in either order and more than once."""

from __future__ import annotations

from datetime import datetime

from schemas.behavior import SessionEnds
from schemas.engagement import OPEN_SESSIONS_WINDOW, SESSION_LOGS_WINDOW, SessionLog
from schemas.event import SessionEnded, SessionStarted

LONGEST_SESSION = 86_400.0


def ends_of(event: SessionStarted | SessionEnded) -> SessionEnds:
    """What one event tells of a session."""
    at = event.occurred_at
    if event.type == "session.started":
        return SessionEnds(event.session_id, at, None, event.activity_type)
    return SessionEnds(event.session_id, None, at, event.activity_type)


def join(a: SessionEnds, b: SessionEnds) -> SessionEnds:
    """Both as one: the earliest start and the earliest end told, so a repeated end or a start
    told again later changes nothing. ``mixed`` yields to any other activity; of two others the
    first by name stands."""
    return SessionEnds(
        a.session_id,
        _earliest(a.start_time, b.start_time),
        _earliest(a.end_time, b.end_time),
        min(a.activity_type, b.activity_type, key=lambda name: (name == "mixed", name)),
    )


def seconds(session: SessionEnds | None) -> float | None:
    """Its duration; ``None`` while an end is missing or if it cannot be one session.

    Below 0 the ends belong to different sessions; over 24 h one was closed by a timeout or its id
    used again, and it would swamp every mean. Such a session is not counted.
    """
    if session is None or session.start_time is None or session.end_time is None:
        return None
    duration = (session.end_time - session.start_time).total_seconds()
    return duration if 0 <= duration <= LONGEST_SESSION else None


def remember(
    sessions: tuple[SessionEnds, ...], told: SessionEnds, size: int
) -> tuple[tuple[SessionEnds, ...], SessionEnds | None, SessionEnds]:
    """Joins what was told into a window of ``size`` sessions, in order of their latest end.

    When it is full, sessions with both ends leave before those that wait for one, the oldest
    first; so an end finds its start unless ``size`` later sessions wait as well.

    Returns: the window, and the session before (``None`` for a new one) and after.
    """
    known = next((s for s in sessions if s.session_id == told.session_id), None)
    after = told if known is None else join(known, told)
    if after == known:
        return sessions, known, known
    window = sorted((after, *[s for s in sessions if s is not known]), key=_by_time)
    if len(window) > size:
        window.remove(min(window, key=_by_use))
    return tuple(window), known, after


def log_session(
    logs: tuple[SessionLog, ...], waiting: tuple[SessionEnds, ...], told: SessionEnds
) -> tuple[tuple[SessionLog, ...], tuple[SessionEnds, ...]]:
    """``session_logs`` (the latest by start) and the sessions that are not finished yet.

    What `seconds` does not count stays among the latter.
    """
    logged = next((log for log in logs if log.session_id == told.session_id), None)
    if logged is not None:
        before = SessionEnds(
            logged.session_id, logged.start_time, logged.end_time, logged.activity_type
        )
        told = join(before, told)
        logs = tuple(log for log in logs if log is not logged)
    waiting, _, session = remember(waiting, told, OPEN_SESSIONS_WINDOW)
    duration = seconds(session)
    if duration is None or session.start_time is None or session.end_time is None:
        return logs, waiting
    waiting = tuple(s for s in waiting if s is not session)
    log = SessionLog(
        session.session_id, session.start_time, session.end_time, duration, session.activity_type
    )
    return tuple(sorted((*logs, log), key=_by_start)[-SESSION_LOGS_WINDOW:]), waiting


def _by_time(session: SessionEnds) -> tuple[datetime, str]:
    return max(t for t in (session.start_time, session.end_time) if t), session.session_id


def _by_use(session: SessionEnds) -> tuple[bool, datetime, str]:
    return session.start_time is None or session.end_time is None, *_by_time(session)


def _by_start(log: SessionLog) -> tuple[datetime, str]:
    return log.start_time, log.session_id


def _earliest(a: datetime | None, b: datetime | None) -> datetime | None:
    if a is None or b is None:
        return a or b
    return min(a, b)
