"""A state as MongoDB keeps it, and back; pure.

The document is the whole state under its own names, nested as the source shows it, with three
differences:

- times are BSON dates, so whole milliseconds; ``last_activity_date``, a day without a time, for
  which BSON has no type, stays text (``2026-01-31``, which sorts as it should);
- dictionaries keyed by what an LMS calls its topics and skills have those keys escaped as in a
  URL: a dot becomes ``%2E``, a ``$`` in front ``%24``, ``%`` itself ``%25``. A path cannot name
  a key with a dot, MongoDB before 5.0 and FerretDB refuse it, and no path names an empty one,
  which becomes ``%``;
- ``_id`` is the record's key: ``user_id``, or ``user_id|course_id``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

Document = dict[str, Any]


class Collection(NamedTuple):
    """Where the states of one table go.

    ``times``: paths of the BSON dates; ``[]`` stands for each element of a list.
    ``by_name``: dictionaries whose keys are the LMS's own names.
    ``indexes``: fields that queries look for, beside ``_id``.
    """

    name: str
    times: tuple[str, ...]
    by_name: tuple[str, ...]
    indexes: tuple[str, ...]


COLLECTIONS: dict[str, Collection] = {
    "behavior": Collection(
        "learner_behavior",
        times=(
            "module_order_log[].timestamp",
            "content_flags[].timestamp",
            "recent_sessions[].start_time",
            "recent_sessions[].end_time",
            "first_activity_at",
            "last_activity_at",
            "course_active_at",
        ),
        by_name=(),
        indexes=(),
    ),
    "engagement": Collection(
        "course_engagement",
        times=(
            "quiz_attempts[].timestamp",
            "session_logs[].start_time",
            "session_logs[].end_time",
            "module_at",
            "confidence_reports[].timestamp",
            "open_sessions[].start_time",
            "open_sessions[].end_time",
            "enrolled_at",
            "first_activity_at",
            "last_activity_at",
            "result_at",
            "pending[].opened_at",
        ),
        by_name=(
            "confidence_score_by_topic",
            "topic_scores",
            "skill_scores",
            "topic_recency",
            "topic_tallies",
            "skill_tallies",
            "skill_recency",
        ),
        indexes=("user_id", "course_id"),
    ),
}


def document_of(collection: Collection, key: str, value: dict[str, Any]) -> Document:
    """The document of a state, which is left as it is."""
    document = mapped_times(value, collection.times, datetime.fromisoformat)
    for name in collection.by_name:
        if name in document:
            document[name] = {escaped(key): kept for key, kept in document[name].items()}
    return {"_id": key, **document}


def state_of(collection: Collection, document: Document) -> dict[str, Any]:
    """The state that a document holds: names as the LMS told them, no ``_id``, times as they are
    in the document."""
    state = {name: value for name, value in document.items() if name != "_id"}
    for name in collection.by_name:
        if name in state:
            state[name] = {unescaped(key): kept for key, kept in state[name].items()}
    return state


def escaped(name: str) -> str:
    """A field name without a dot, a leading ``$`` or a NUL, and not empty; no two share one.

    >>> escaped("1.2 sets"), escaped("$set"), escaped("50%"), escaped("US$")
    ('1%2E2 sets', '%24set', '50%25', 'US$')
    """
    name = name.replace("%", "%25").replace(".", "%2E").replace("\0", "%00")
    return f"%24{name[1:]}" if name.startswith("$") else name or "%"


def unescaped(name: str) -> str:
    """What was escaped.

    >>> unescaped("1%2E2 sets"), unescaped("%24set"), unescaped("50%25")
    ('1.2 sets', '$set', '50%')
    """
    if name == "%":
        return ""
    if name.startswith("%24"):
        name = f"${name[3:]}"
    return name.replace("%2E", ".").replace("%00", "\0").replace("%25", "%")


def mapped_times(
    value: dict[str, Any], paths: tuple[str, ...], make: Callable[[str], Any]
) -> dict[str, Any]:
    """A copy with ``make`` of each text that stands at one of the paths; what is missing or
    ``null`` stays so."""
    copy = dict(value)
    for path in paths:
        name, in_list, inner = path.partition("[].")
        if not in_list:
            _map(copy, name, make)
        elif name in copy:
            # Copied once: a second path into the same list finds copies.
            if copy[name] is value[name]:
                copy[name] = [dict(element) for element in value[name]]
            for element in copy[name]:
                _map(element, inner, make)
    return copy


def _map(holder: dict[str, Any], name: str, make: Callable[[str], Any]) -> None:
    if holder.get(name) is not None:
        holder[name] = make(holder[name])
