"""The fold of a chat session, by hand and by laws."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.chat import ENDED, JOINED, LEFT
from sinks.chat_summary import MAX_NAMES, ChatSummary, folded

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
NOVICE, STRIVER = "Struggling Novice", "Persistent Striver"


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def message(direction: str, id_: str, seconds: float, **fields: Any) -> dict[str, Any]:
    return {
        "event_id": id_,
        "user_id": "u",
        "session_id": "s",
        "course_id": "algebra",
        "timestamp": at(seconds),
        "message_direction": direction,
        "contextual_topic_id": None,
        "related_skill": None,
        "hint_used": False,
        "feedback_flags": [],
        "responder": "",
        "in_reply_to": None,
        "labels": {},
    } | fields


def asked(id_: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    return message("user", id_, seconds, **fields)


def said(seconds: float = 0, to: str | None = None, **fields: Any) -> dict[str, Any]:
    return message("system", "a", seconds, in_reply_to=to, responder="built-in", **fields)


def notice(flag: str, seconds: float = 0) -> dict[str, Any]:
    return message("system", flag, seconds, feedback_flags=[flag], responder="expert:ada")


def summary(messages: Sequence[dict[str, Any]]) -> ChatSummary:
    made = None
    for told in messages:
        made = folded(made, told)
    assert made is not None
    return made


def test_a_whole_session_by_hand() -> None:
    labels = [
        {"primary_classification": NOVICE, "intervention_strategy": "Worked Examples"},
        {"primary_classification": STRIVER, "intervention_strategy": "Worked Examples"},
    ]
    assert summary([
        asked("1", 0, contextual_topic_id="factoring", labels=labels[0]),
        said(5, "1", contextual_topic_id="factoring", labels=labels[0]),
        asked("2", 65, hint_used=True, related_skill="proof", labels=labels[0]),
        notice(JOINED, 70),
        said(100, "2", contextual_topic_id="primes", labels=labels[1]),
        asked("3", 110, feedback_flags=["resolved"], labels=labels[1]),
        notice(LEFT, 115),
        notice(ENDED, 120),
    ]) == ChatSummary(
        user_id="u",
        session_id="s",
        course_id="algebra",
        started_at=at(0),
        last_message_at=at(120),
        ended_at=at(120),
        messages=8,
        turns=3,
        answers=2,
        hints=1,
        topics=("factoring", "primes"),
        skills=("proof",),
        feedback_flags=("resolved",),
        responders=("built-in", "expert:ada"),
        with_expert=True,
        first_label=NOVICE,
        last_label=STRIVER,
        label_changes=1,
        first_strategy="Worked Examples",
        last_strategy="Worked Examples",
        strategy_changes=0,
        waiting_for="3",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "waiting_for"),
    [
        ([said()], None),
        ([asked("1")], "1"),
        ([asked("1"), said(to="1")], None),
        ([asked("1"), said()], None),
        ([asked("1"), asked("2"), said(to="1")], "2"),
        ([asked("1"), asked("2"), said(to="1"), said(to="2")], None),
        ([asked("1"), said(to="1"), said(to="0")], None),
        ([asked("1"), notice(JOINED)], "1"),
        ([asked("1"), notice(JOINED), notice(LEFT), notice(ENDED)], "1"),
        ([asked("1"), said(to="1"), asked("2")], "2"),
    ],
)
def test_whom_nobody_has_answered(messages: list[dict[str, Any]], waiting_for: str | None) -> None:
    assert summary(messages).waiting_for == waiting_for


@pytest.mark.parametrize(
    ("messages", "ended_at"),
    [
        ([asked("1")], None),
        ([asked("1"), notice(ENDED, 9)], at(9)),
        ([asked("1"), notice(ENDED, 9), asked("2", 10)], None),
        ([asked("1"), notice(ENDED, 9), said(10)], at(9)),
        # written before the end, and told after it
        ([asked("1"), notice(ENDED, 9), asked("2", 8)], at(9)),
        ([asked("1"), notice(ENDED, 9), asked("2", 10), notice(ENDED, 11)], at(11)),
        # only the tutor's side ends a session
        ([asked("1", feedback_flags=[ENDED])], None),
    ],
)
def test_when_a_session_has_ended(messages: list[dict[str, Any]], ended_at: str | None) -> None:
    assert summary(messages).ended_at == ended_at


def test_a_label_counts_as_changed_once_there_was_another() -> None:
    def told(*labels: str | None) -> ChatSummary:
        return summary([
            asked(str(n), labels={} if label is None else {"primary_classification": label})
            for n, label in enumerate(labels)
        ])  # fmt: skip

    found = told(None, NOVICE, NOVICE, None, STRIVER, NOVICE)
    assert (found.first_label, found.last_label, found.label_changes) == (NOVICE, NOVICE, 2)
    found = told(None, None)
    assert (found.first_label, found.last_label, found.label_changes) == (None, None, 0)


def test_the_course_is_the_first_that_was_told() -> None:
    courses = ["", "algebra", "biology"]
    assert summary([asked("1", course_id=course) for course in courses]).course_id == "algebra"


@pytest.mark.parametrize("field", ["contextual_topic_id", "related_skill", "responder"])
def test_names_are_kept_once_and_not_without_end(field: str) -> None:
    told = [said() | {field: f"name-{n // 2}"} for n in range(5 * MAX_NAMES)]
    found = summary(told)
    kept = {"contextual_topic_id": found.topics, "related_skill": found.skills}
    assert kept.get(field, found.responders) == tuple(f"name-{n}" for n in range(MAX_NAMES))


ids = st.sampled_from(["1", "2", "3", None])
messages = st.lists(
    st.builds(
        message,
        direction=st.sampled_from(["user", "system"]),
        id_=st.sampled_from(["1", "2", "3"]),
        seconds=st.integers(0, 10),
        hint_used=st.booleans(),
        in_reply_to=ids,
        responder=st.sampled_from(["", "built-in", "expert:ada"]),
        feedback_flags=st.lists(st.sampled_from(["resolved", JOINED, LEFT, ENDED]), max_size=2),
        contextual_topic_id=st.sampled_from([None, "a", "b"]),
        labels=st.sampled_from([{}, {"primary_classification": NOVICE}]),
    ),
    min_size=1,
    max_size=8,
)


@given(messages, st.randoms(use_true_random=False))
def test_what_does_not_depend_on_the_order(told: list[dict[str, Any]], random: Any) -> None:
    def counted(summary_: ChatSummary) -> tuple[object, ...]:
        return (
            summary_.started_at,
            summary_.last_message_at,
            summary_.messages,
            summary_.turns,
            summary_.answers,
            summary_.hints,
            summary_.with_expert,
            set(summary_.topics),
            set(summary_.responders),
        )

    shuffled = random.sample(told, len(told))
    assert counted(summary(told)) == counted(summary(shuffled))


@given(messages)
def test_what_the_table_demands_always_holds(told: list[dict[str, Any]]) -> None:
    found = summary(told)
    assert found.messages == len(told) >= found.turns + found.answers
    assert found.started_at <= found.last_message_at
    assert found.ended_at is None or found.started_at <= found.ended_at <= found.last_message_at
    assert 0 <= found.hints <= found.messages
    assert (found.waiting_for is None) or found.turns > 0
