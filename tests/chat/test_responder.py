"""An answer as it grows, and what was said before it."""

from __future__ import annotations

import pytest
from example_chat.conversation import answered, event_id, said
from hypothesis import given
from hypothesis import strategies as st

from chat.responder import MAX_ANSWER_CHARACTERS, Draft, Said, Start, plain, said_before
from schemas.chat import JOINED, LEFT
from schemas.chat_frames import Notice, Token

AWAY = Notice(code="llm_away", text="It is away.")


def frames(draft: Draft, *parts: Start | Notice | str) -> list[object]:
    shown = [draft.take(part) for part in parts]
    return [
        (f.position, f.text, f.restart) if isinstance(f, Token) else f
        for f in shown
        if f is not None
    ]


def test_pieces_are_shown_where_they_stand() -> None:
    draft = Draft(said(3).record)
    assert frames(draft, Start("llm:x"), "Look ", "at it.") == [
        (0, "Look ", True), (5, "at it.", False),
    ]  # fmt: skip
    assert (draft.text, draft.start) == ("Look at it.", Start("llm:x"))


def test_a_new_start_voids_what_was_shown() -> None:
    draft = Draft(said(3).record)
    told = frames(draft, Start("llm:x"), "Loo", AWAY, Start("built-in", True), "Try it.")
    assert told == [(0, "Loo", True), AWAY, (0, "", True), (0, "Try it.", True)]
    assert (draft.text, draft.start) == ("Try it.", Start("built-in", hint_used=True))


def test_a_frame_says_whose_answer_it_is() -> None:
    frame = Draft(said(3).record).take("x")
    assert isinstance(frame, Token)
    assert (frame.user_id, frame.session_id, frame.in_reply_to) == (
        said(3).record.user_id, said(3).record.session_id, event_id(3),
    )  # fmt: skip


def test_a_draft_is_bounded() -> None:
    draft = Draft(said(3).record)
    for _ in range(3):
        draft.take("x" * (MAX_ANSWER_CHARACTERS - 1))
    assert len(draft.text) == MAX_ANSWER_CHARACTERS
    assert draft.take("more") is None


@given(st.lists(st.just(Start("a")) | st.just(AWAY) | st.text(max_size=20), max_size=20))
def test_who_follows_the_frames_has_the_text(parts: list[Start | Notice | str]) -> None:
    draft, text = Draft(said(3).record), ""
    for part in parts:
        frame = draft.take(part)
        if isinstance(frame, Token):
            text = "" if frame.restart else text
            assert frame.position == len(text)
            text += frame.text
    assert text.strip() == draft.text


SEEN = {
    "line\n\tline": "line\n\tline",
    "\r\n": "\n",
    "a\x00b\x1bc\x7fd\x85e": "abcde",
    "\u202eabc\u2066": "abc",
    "a\u200bb\ufeffc\u00add": "abcd",
    "नमस्\u200dते می\u200cخواهم": "नमस्\u200dते می\u200cخواهم",
    "👩🏽\u200d🏫 ❤\ufe0f": "👩🏽\u200d🏫 ❤\ufe0f",
    "\ud800x\udfff": "x",
    "\U000e0041\U000e0101\ue000": "",
}


@pytest.mark.parametrize(("text", "left"), SEEN.items())
def test_what_nobody_sees_is_left_out(text: str, left: str) -> None:
    assert plain(text) == left


@given(st.text(alphabet=st.characters(codec=None)))
def test_plain_text_can_be_sent(text: str) -> None:
    left = plain(text)
    left.encode()
    assert plain(left) == left


def texts(*told: Said) -> list[str]:
    return [said.text for said in told]


def test_what_was_said_before() -> None:
    messages = [said(1, "a").record, answered(2, 1, "A").record, said(3, "b").record]
    assert said_before(messages, messages[2], {}) == (
        Said("user", "a"),
        Said("system", "A", "built-in"),
    )


def test_an_answer_stands_behind_its_question() -> None:
    """It came after messages that were sent while it was written."""
    messages = [
        said(1, "a").record, said(2, "b").record, said(3, "c").record, said(4, "d").record,
        answered(5, 1, "A").record, answered(6, 2, "B").record,
    ]  # fmt: skip
    assert texts(*said_before(messages, messages[2], {})) == ["a", "A", "b", "B"]


def test_an_answer_that_is_still_on_its_way_is_known() -> None:
    messages = [said(1, "a").record, said(2, "b").record]
    given_ = {event_id(1): Said("system", "A", "llm:x")}
    assert texts(*said_before(messages, messages[1], given_)) == ["a", "A"]
    came = [*messages, answered(3, 1, "A, as it came").record]
    assert texts(*said_before(came, messages[1], given_)) == ["a", "A, as it came"]


def test_experts_words_count_and_their_coming_and_going_does_not() -> None:
    ada = {"responder": "expert:Ada", "in_reply_to": None}
    messages = [
        said(1, "a").record,
        answered(2, 1, "joined", feedback_flags=(JOINED,), **ada).record,
        answered(3, 1, "Hello", **ada).record,
        answered(4, 1, "left", feedback_flags=(LEFT,), **ada).record,
        said(5, "b").record,
    ]
    assert said_before(messages, messages[-1], {}) == (
        Said("user", "a"),
        Said("system", "Hello", "expert:Ada"),
    )


def test_an_answer_to_a_message_that_is_gone_is_kept() -> None:
    messages = [answered(2, 1, "A").record, said(3, "b").record]
    assert texts(*said_before(messages, messages[1], {})) == ["A"]


def test_a_message_that_is_gone_has_all_before_it() -> None:
    messages = [said(1, "a").record, answered(2, 1, "A").record]
    assert texts(*said_before(messages, said(9).record, {})) == ["a", "A"]
