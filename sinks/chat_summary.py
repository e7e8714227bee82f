"""A chat session in a few figures, folded message by message; pure.

Every store that keeps summaries folds with it, so does the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from schemas.chat import ENDED, JOINED, LEFT

MAX_NAMES = 50
"""Of topics, skills, flags, responders a summary keeps the first so many."""

_NOTICES = {JOINED, LEFT, ENDED}
_EXPERT = "expert:"


@dataclass(frozen=True)
class ChatSummary:
    """One session of one learner, ids and times as on ``chat.messages``.

    ``started_at``, ``last_message_at``: the earliest and the latest ``timestamp``, in whatever
    order they came. ``ended_at``: of the message that said so; ``None`` again once the learner
    writes later than that. ``messages``: all; ``turns``: the learner's; ``answers``: the tutor's,
    without notices of who joined, left or ended it. ``hints``: how often one was asked for.
    ``with_expert``: a person has joined or answered. Labels: ``None`` as long as nothing was
    decided; ``label_changes``: how often the label was another than before.
    ``waiting_for``: ``event_id`` of the learner's last message while nobody has answered it. An
    answer to an older one leaves it waiting, one that says not to which answers it.
    ``last_offset``: of the last message folded, -1 where offsets say nothing.
    """

    user_id: str
    session_id: str
    course_id: str
    started_at: str
    last_message_at: str
    ended_at: str | None = None
    messages: int = 0
    turns: int = 0
    answers: int = 0
    hints: int = 0
    topics: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    feedback_flags: tuple[str, ...] = ()
    responders: tuple[str, ...] = ()
    with_expert: bool = False
    first_label: str | None = None
    last_label: str | None = None
    label_changes: int = 0
    first_strategy: str | None = None
    last_strategy: str | None = None
    strategy_changes: int = 0
    waiting_for: str | None = None
    last_offset: int = -1


def folded(before: ChatSummary | None, message: Mapping[str, Any], offset: int = -1) -> ChatSummary:
    """The summary after one more message of its session.

    Args:
        before: ``None`` for the first message of a session.
        message: a ``ChatRecord`` as JSON object, the next one of its session on the log.
        offset: where it stands there.
    """
    at = message["timestamp"]
    if before is None:
        before = ChatSummary(message["user_id"], message["session_id"], "", at, at)
    flags: list[str] = message["feedback_flags"]
    responder: str = message["responder"]
    by_learner = message["message_direction"] == "user"
    answers = not by_learner and not _NOTICES.intersection(flags)
    label, strategy = (
        message["labels"].get(tree) for tree in ("primary_classification", "intervention_strategy")
    )
    return replace(
        before,
        course_id=before.course_id or message["course_id"],
        started_at=min(before.started_at, at, key=datetime.fromisoformat),
        last_message_at=max(before.last_message_at, at, key=datetime.fromisoformat),
        ended_at=_ended_at(before.ended_at, message, by_learner=by_learner),
        messages=before.messages + 1,
        turns=before.turns + by_learner,
        answers=before.answers + answers,
        hints=before.hints + (by_learner and message["hint_used"]),
        topics=_with(before.topics, [message["contextual_topic_id"]]),
        skills=_with(before.skills, [message["related_skill"]]),
        feedback_flags=_with(before.feedback_flags, [f for f in flags if f not in _NOTICES]),
        responders=_with(before.responders, [responder]),
        with_expert=before.with_expert or JOINED in flags or responder.startswith(_EXPERT),
        first_label=before.first_label or label,
        last_label=label or before.last_label,
        label_changes=before.label_changes + _changed(before.last_label, label),
        first_strategy=before.first_strategy or strategy,
        last_strategy=strategy or before.last_strategy,
        strategy_changes=before.strategy_changes + _changed(before.last_strategy, strategy),
        waiting_for=_waiting_for(before.waiting_for, message, answers=answers),
        last_offset=offset,
    )


def _ended_at(before: str | None, message: Mapping[str, Any], *, by_learner: bool) -> str | None:
    at: str = message["timestamp"]
    if ENDED in message["feedback_flags"] and not by_learner:
        return at
    if before is not None and by_learner:
        return before if datetime.fromisoformat(at) <= datetime.fromisoformat(before) else None
    return before


def _waiting_for(before: str | None, message: Mapping[str, Any], *, answers: bool) -> str | None:
    if message["message_direction"] == "user":
        asked: str = message["event_id"]
        return asked
    return None if answers and message["in_reply_to"] in {None, before} else before


def _with(names: tuple[str, ...], more: Iterable[str | None]) -> tuple[str, ...]:
    """Each once, in the order in which they came."""
    return tuple(dict.fromkeys([*names, *filter(None, more)]))[:MAX_NAMES]


def _changed(before: str | None, now: str | None) -> bool:
    return None not in (before, now) and before != now
