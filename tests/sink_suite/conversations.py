"""Talks with the tutor for a simulated class: of each way that a chat session can go, a few."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import orjson

from schemas.chat import ENDED, JOINED, LEFT

_TALKS = uuid.uuid5(uuid.NAMESPACE_URL, "learner.tests.conversations")
EXPERT = "expert:ada"
MACHINE = "built-in"
MODEL = "llm:small-1"


class Said(NamedTuple):
    """One message; ``reply_to``: how many messages before it the answered one stands."""

    direction: str
    text: str
    seconds: float
    reply_to: int | None = None
    responder: str | None = None
    fields: dict[str, Any] = {}  # noqa: RUF012  # never changed


def _learner(text: str, seconds: float = 20, **fields: Any) -> Said:
    return Said("user", text, seconds, fields=fields)


def _tutor(text: str, responder: str | None = MACHINE, to: int | None = 1, **fields: Any) -> Said:
    return Said("system", text, 5, to, responder, fields)


def _flagged(flag: str, responder: str = EXPERT) -> Said:
    return _tutor("", responder, None, feedback_flags=[flag])


TALKS: tuple[tuple[Said, ...], ...] = (
    # answered by the machine, then by an expert, then ended
    (
        _learner("Why is the sign different here?", searchable_tags=["sign-error"]),
        _tutor("Because both sides are multiplied by -1."),
        _learner("I still don't get it", hint_used=True, related_skill="distributive-law"),
        _flagged(JOINED),
        _tutor("Shall we look at it together?", EXPERT, 2),
        _learner("Yes — that's clear now!", feedback_flags=["resolved"]),
        _tutor("Good.", EXPERT),
        _flagged(LEFT),
        _flagged(ENDED),
    ),
    # nobody answers the last question
    (
        _learner("What is a factor?"),
        _tutor("A number that divides another.", MODEL),
        _learner("And a prime factor?", related_objective="primes"),
    ),
    # the answer is to the question before the last
    (
        _learner("One moment", feedback_flags=["needs revision"]),
        _learner("Now: how do I start?"),
        _tutor("Take your time.", MACHINE, 2),
    ),
    # ended, and taken up again; the second message says it was written before the first
    (
        _learner("Hello", searchable_tags=["greeting"]),
        _learner("(written before)", -90),
        _tutor("Hello!", None, None),
        _flagged(ENDED, MACHINE),
        _learner("One more thing: O'Brien's \"rule\"; ünïcode, 数学", 4000, hint_used=True),
    ),
    # the tutor begins, and nobody says anything
    (_tutor("Welcome back!", MACHINE, None),),
)


def conversations(lines: Iterable[bytes], every: int = 40) -> Iterator[bytes]:
    """The same lines, after each ``every``-th with a course a talk of its learner.

    What others do goes on between its messages: one is put after each of the lines that follow.
    """
    waiting: list[bytes] = []
    started = 0
    for number, line in enumerate(lines):
        yield line
        if waiting:
            yield waiting.pop(0)
        event = orjson.loads(line)
        if number % every == every - 1 and "course_id" in event:
            waiting += _talk(event, TALKS[started % len(TALKS)], started)
            started += 1
    yield from waiting


def _talk(event: dict[str, Any], talk: Iterable[Said], number: int) -> Iterator[bytes]:
    session_id = f"talk-{number}"
    at = datetime.fromisoformat(event["occurred_at"])
    ids: list[str] = []
    for said in talk:
        at += timedelta(seconds=said.seconds)
        ids.append(str(uuid.uuid5(_TALKS, f"{session_id}/{len(ids)}")))
        message = {
            "type": "chat.message",
            "event_id": ids[-1],
            "user_id": event["user_id"],
            "course_id": event["course_id"],
            "occurred_at": at.isoformat().replace("+00:00", "Z"),
            "source": "chat-gateway",
            "session_id": session_id,
            "message_direction": said.direction,
            "message_text": said.text,
            "contextual_topic_id": event.get("topic_id", "factoring"),
            **said.fields,
        }
        if said.responder is not None:
            message["responder"] = said.responder
        if said.reply_to is not None:
            message["in_reply_to"] = ids[-1 - said.reply_to]
        yield orjson.dumps(message)
