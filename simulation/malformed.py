"""Records that no worker may fold, one kind for each way in which a producer goes wrong."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle
from typing import Any

import orjson

from simulation.event_writer import version_4

TOO_LARGE = 70_000
"""Bytes; an event may have 65,536."""

TOO_DEEP = 2_000
"""Brackets within brackets; parsers give up long before."""

_Broken = Callable[[dict[str, Any]], bytes]
"""Takes a valid graded answer and breaks it."""


def _with(**fields: Any) -> _Broken:
    return lambda answer: orjson.dumps(answer | fields)


def _without(name: str) -> _Broken:
    return lambda answer: orjson.dumps({k: v for k, v in answer.items() if k != name})


def _with_raw_score(score: bytes) -> _Broken:
    return lambda answer: orjson.dumps(answer).replace(b'"score":0.5', b'"score":' + score)


KINDS: dict[str, _Broken] = {
    "not JSON": lambda answer: orjson.dumps(answer)[:-9],
    "not UTF-8": lambda answer: orjson.dumps(answer).replace(b'"lms"', b'"l\xff\xfes"'),
    "wrong type": _with(score="0.5"),
    "no object": lambda answer: orjson.dumps([answer]),
    "unknown type": _with(type="quiz.guessed"),
    "unknown field": _with(points=3),
    "not a number": _with_raw_score(b"NaN"),
    "infinite": _with_raw_score(b"1e999"),
    "no user": _without("user_id"),
    "no type": _without("type"),
    "user is no UUID": _with(user_id="student-7"),
    "out of range": _with(score=1.5),
    "another time zone": _with(occurred_at="2024-01-08T09:00:00+05:30"),
    "from the future": _with(occurred_at="2999-01-01T00:00:00Z"),
    "too deep": _with_raw_score(b"[" * TOO_DEEP + b"]" * TOO_DEEP),
    "too large": _with(question_id="q" * TOO_LARGE),
    "empty": lambda _: b"{}",
}
"""By name, so that a test can say which one slipped through."""


def malformed_records(rng: random.Random) -> Callable[[bytes], bytes]:
    """A function that makes the next malformed record beside an event, every kind in turn.

    The record is a graded answer of the event's learner at the same time, with an id of its own.
    """
    kinds = cycle(KINDS.values())

    def beside(line: bytes) -> bytes:
        event = orjson.loads(line)
        answer = {
            "event_id": version_4(rng),
            "user_id": event["user_id"],
            "type": "quiz.submitted",
            "occurred_at": event["occurred_at"],
            "course_id": event.get("course_id", "algebra"),
            "source": "lms",
            "question_id": "q1",
            "score": 0.5,
        }
        return next(kinds)(answer)

    return beside
