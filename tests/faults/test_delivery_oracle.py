"""The comparison of deliveries finds what is lost, doubled or different, without a broker."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from faults.delivery_oracle import Deliveries
from streams.derived_id import derived_id


def delivery_id(number: int) -> str:
    return str(uuid.UUID(int=number))


def record(number: int, status: str, attempt: int = 1, reason: str = "") -> dict[str, Any]:
    """Of the decision with this number, on ``facilitator.log``."""
    return {
        "decision_id": f"d{number}",
        "delivery_id": delivery_id(number),
        "user_id": "u",
        "decision_tree_id": "intervention_strategy",
        "response_status": status,
        "response_reason": reason,
        "attempt": attempt,
    }


def deliveries() -> Deliveries:
    """The first is taken at the second attempt, the second given up, the third superseded."""
    decisions = [
        {"decision_id": f"d{n}", "user_id": f"u{min(n, 3)}", "tree_id": "t"} for n in range(1, 5)
    ]
    log = [
        *(record(1, "pending"), record(1, "timeout"), record(1, "pending", 2)),
        *(record(1, "success", 2), record(2, "pending"), record(2, "timeout")),
        *(record(2, "pending", 2), record(2, "timeout", 2)),
        *(record(3, "pending"), record(3, "superseded", 1, "by d4")),
        *(record(4, "pending"), record(4, "fail")),
    ]
    acks = [{"delivery_id": delivery_id(n), "status": s} for n, s in ((1, "success"), (4, "fail"))]
    return Deliveries(
        attempts=2,
        decisions={0: decisions},
        log={0: log},
        sent={0: [one for one in log if one["response_status"] == "pending"]},
        acks={0: acks},
        events={0: [{"decision_id": "d1"}]},
        letters={0: [{"dead_letter_id": derived_id(delivery_id(2), "not_acknowledged")}]},
    )


def test_what_is_as_it_must_be() -> None:
    assert deliveries().open() == 0
    deliveries().compared().assert_exact()


Spoil = Callable[[Deliveries], object]


@pytest.mark.parametrize(
    ("spoil", "kind", "what"),
    [
        (lambda d: d.log[0].pop(), "lost", "end of pending 1"),
        (lambda d: d.log[0].append(record(4, "fail")), "doubled", "end of pending 1"),
        (lambda d: d.sent[0].pop(), "lost", "sending"),
        (lambda d: d.sent[0].append(d.sent[0][-1]), "doubled", "sending"),
        (lambda d: d.sent[0].reverse(), "different", "first sending"),
        (lambda d: d.acks[0].clear(), "different", "success, not as answered"),
        (lambda d: d.decisions[0].pop(), "different", "superseded, by d4"),
        (lambda d: d.log[0][2].update(attempt=3), "different", "end of pending 1"),
        (lambda d: d.events[0].clear(), "lost", "strategy.delivered"),
        (lambda d: d.events[0].append({"decision_id": "d1"}), "doubled", "strategy.delivered"),
        (lambda d: d.letters[0].clear(), "lost", "dead letter"),
        (lambda d: d.letters[0].append(d.letters[0][0]), "doubled", "dead letter"),
    ],
)
def test_what_is_spoiled_is_found(spoil: Spoil, kind: str, what: str) -> None:
    spoiled = deliveries()
    spoil(spoiled)
    assert any(one.what.startswith(what) for one in getattr(spoiled.compared(), kind))
