"""The course of one delivery on the log, by hand: what can be, and what is wrong with the rest."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from audit.deliveries import followed
from schemas.contract import encode
from schemas.decision import decision_adapter
from schemas.topics import DECISIONS
from sink_suite.deliveries import deliveries_of
from sink_suite.stream_records import stream_records

DECISION = next(
    decision_adapter.validate_json(r.raw) for r in stream_records() if r.topic == DECISIONS
)


def course(*way: tuple[int, Any]) -> list[dict[str, Any]]:
    return [orjson.loads(encode(told)) for told in deliveries_of(DECISION, way)]


def fault(told: list[dict[str, Any]]) -> str:
    found = None
    for record in told:
        found = followed(found, record)
    assert found is not None
    return found.fault


@pytest.mark.parametrize(
    "way",
    [
        [(1, "pending")],
        [(1, "pending"), (1, "success")],
        [(1, "pending"), (1, "superseded")],
        [(1, "superseded")],
        [(1, "pending"), (1, "timeout"), (2, "pending"), (2, "fail")],
        [(1, "pending"), (1, "timeout"), (2, "pending"), (2, "timeout")],
    ],
    ids=str,
)
def test_courses_that_can_be(way: list[tuple[int, str]]) -> None:
    assert fault(course(*way)) == ""


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ([(1, "success")], "begins with 1 success"),
        ([(2, "pending")], "begins with 2 pending"),
        ([(2, "superseded")], "begins with 2 superseded"),
        ([(1, "superseded"), (1, "pending")], "1 pending after 1 superseded"),
        ([(1, "pending"), (1, "pending")], "1 pending after 1 pending"),
        ([(1, "pending"), (2, "pending")], "2 pending after 1 pending"),
        ([(1, "pending"), (2, "success")], "2 success after 1 pending"),
        ([(1, "pending"), (1, "success"), (1, "fail")], "1 fail after 1 success"),
        ([(1, "pending"), (1, "fail"), (2, "pending")], "2 pending after 1 fail"),
        ([(1, "pending"), (1, "timeout"), (3, "pending")], "3 pending after 1 timeout"),
        ([(1, "pending"), (1, "timeout"), (1, "success")], "1 success after 1 timeout"),
        ([(1, "pending"), (1, "superseded"), (1, "success"), (1, "fail")], "1 success after 1 sup"),
    ],
    ids=str,
)
def test_courses_that_cannot_be(way: list[tuple[int, str]], said: str) -> None:
    assert fault(course(*way)).startswith(said)


def test_what_says_otherwise_the_second_time_is_named() -> None:
    sent, answered = course((1, "pending"), (1, "success"))
    answered |= {"strategy_label": "Another", "delivery_id": DECISION.decision_id}
    assert fault([sent, answered]) == "1 success says otherwise: delivery_id, strategy_label"
