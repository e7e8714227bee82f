"""The events that a gateway tells: their ids come from their cause, and they are valid events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import session_events
from chat.session_events import Session
from config.chat_rules import load_chat_rules
from schemas.chat import ENDED, JOINED, LEFT
from schemas.chat_frames import Answer, Say
from schemas.event import event_adapter
from streams.chat_rules import ChatRules

RULES = ChatRules(load_chat_rules())
USER = "0b5a7c1e-6d0f-4f5e-9a55-0c4d1f7a2b90"
SESSION = Session(USER, "s1", "algebra")
AT = datetime(2026, 3, 1, 10, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


def say(id: str = "m1", text: str = "I don't get it", session: Session = SESSION) -> str:
    frame = Say(type="say", id=id, text=text)
    return session_events.said(session, frame, RULES, AT).event_id


def test_a_message_sent_again_is_the_same_event() -> None:
    frame = Say(type="say", id="m1", text="why?")
    first = session_events.said(SESSION, frame, RULES, AT)
    again = session_events.said(SESSION, frame, RULES, LATER)
    assert first.event_id == again.event_id


def test_sent_again_after_midnight_it_is_still_of_the_day_before() -> None:
    """Repeats are known by (learner, UTC day, event id)."""
    sent_at = datetime(2026, 3, 1, 23, 59, 58, tzinfo=UTC)
    frame = Say(type="say", id="m1", text="why?", sent_at=sent_at)
    for seconds in (0, 1, 5, 3600, 86_398):
        at = sent_at + timedelta(seconds=seconds)
        assert session_events.said(SESSION, frame, RULES, at).occurred_at == sent_at


@pytest.mark.parametrize(
    ("ahead", "believed"),
    [
        (timedelta(0), True),
        (timedelta(minutes=2), True),
        (timedelta(minutes=2, seconds=1), False),
        (timedelta(days=-1), True),
        (timedelta(days=-1, seconds=-1), False),
        (timedelta(days=-4000), False),
    ],
)
def test_a_clock_that_cannot_be_right_is_not_believed(ahead: timedelta, believed: bool) -> None:
    frame = Say(type="say", id="m1", text="why?", sent_at=AT + ahead)
    occurred_at = session_events.said(SESSION, frame, RULES, AT).occurred_at
    assert occurred_at == (AT + ahead if believed else AT)


def test_another_message_session_or_learner_is_another_event() -> None:
    other = "ffffffff-6d0f-4f5e-9a55-0c4d1f7a2b90"
    sessions = [SESSION, SESSION._replace(session_id="s2"), SESSION._replace(user_id=other)]
    ids = {say(id, session=session) for session in sessions for id in ("m1", "m2")}
    assert len(ids) == 6


def test_a_message_is_a_valid_event_with_what_its_words_tell() -> None:
    frame = Say(type="say", id="m1", text="I'm confused, any hint?", topic_id="fractions")
    event = session_events.said(SESSION, frame, RULES, AT)
    assert event_adapter.validate_json(event.model_dump_json(exclude_none=True)) == event
    assert (event.user_id, event.session_id, event.course_id) == (USER, "s1", "algebra")
    assert (event.message_direction, event.source) == ("user", "chat-gateway")
    assert event.contextual_topic_id == "fractions"
    assert event.hint_used
    assert "confusing" in event.feedback_flags
    assert event.occurred_at == AT


def test_a_trace_is_the_clients_or_the_events_own() -> None:
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    traced = SESSION._replace(trace_id=trace_id)
    own = say().replace("-", "")
    assert SESSION.traceparent(say()) == f"00-{own}-{own[16:]}-01"
    assert traced.traceparent(say()) == f"00-{trace_id}-{own[16:]}-01"


def test_a_session_begins_and_ends_once() -> None:
    started, again = (session_events.started(SESSION, at) for at in (AT, LATER))
    message, end = session_events.ended(SESSION, AT)
    assert started.event_id == again.event_id
    assert [e.event_id for e in session_events.ended(SESSION, LATER)] == [
        message.event_id,
        end.event_id,
    ]
    assert len({started.event_id, message.event_id, end.event_id}) == 3
    assert started.activity_type == end.activity_type == "chat"
    assert message.feedback_flags == (ENDED,)
    assert (message.message_direction, message.responder) == ("system", "gateway")
    for event in (started, message, end):
        assert event_adapter.validate_json(event.model_dump_json(exclude_none=True)) == event


def test_an_expert_comes_answers_and_goes() -> None:
    joined = session_events.joined(SESSION, "expert:Ada", 7, AT)
    frame = Answer(
        type="answer", id="a1", user_id=USER, session_id="s1", text="Confused? See the denominator."
    )
    answer = session_events.answered(SESSION, frame, "expert:Ada", say(), RULES, AT)
    left = session_events.left(SESSION, "expert:Ada", joined.event_id, AT)
    assert joined.message_text == "Ada has joined and answers from now on."
    assert joined.feedback_flags == (JOINED,)
    assert left.feedback_flags == (LEFT,)
    assert answer.in_reply_to == say()
    assert answer.feedback_flags == (), "it is not the learner who is confused"
    assert "denominator" in answer.searchable_tags
    assert {event.responder for event in (joined, answer, left)} == {"expert:Ada"}
    for event in (joined, answer, left):
        assert event_adapter.validate_json(event.model_dump_json(exclude_none=True)) == event


def test_handing_back_by_several_gateways_is_one_event() -> None:
    joined = session_events.joined(SESSION, "expert:Ada", 7, AT)
    first, again = (
        session_events.left(SESSION, "expert:Ada", joined.event_id, at) for at in (AT, LATER)
    )
    taken_again = session_events.joined(SESSION, "expert:Ada", 9, LATER)
    assert first.event_id == again.event_id
    assert taken_again.event_id != joined.event_id


@given(st.text(min_size=1, max_size=8000), st.from_regex(r"\A[A-Za-z0-9_-]{1,64}\Z"))
def test_whatever_may_be_said_is_a_valid_event(text: str, id: str) -> None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return
    event = session_events.said(SESSION, Say(type="say", id=id, text=text), RULES, AT)
    assert event_adapter.validate_json(event.model_dump_json(exclude_none=True)) == event
