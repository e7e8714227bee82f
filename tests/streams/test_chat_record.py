"""What a learner writes changes what is decided, and the message's own record says so."""

from __future__ import annotations

from typing import Any

import pytest
from example_learners.algebra import COURSE, USER, event, quiz

from config.chat_rules import load_chat_rules
from config.seed_trees import seed_trees
from schemas.behavior import Behavior
from schemas.chat import ChatRecord, chat_adapter
from schemas.contract import encode
from schemas.decision import Decision
from schemas.engagement import Engagement
from schemas.event import LearnerEvent
from schemas.fields import MessageDirection
from schemas.profile import Profile
from streams.chat_rules import ChatRules, describe
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.step import Learner, Step, step

TREES = compile_trees(seed_trees())
CHAT_RULES = ChatRules(load_chat_rules())
RULES = Rules()


def follow(*events: LearnerEvent) -> Step:
    """One learner through the events; what the last one did."""
    learner = Learner(Profile(USER), Behavior(USER), Engagement(USER, COURSE))
    done = Step(learner, (), (), None)
    for each in events:
        done = step(done.learner, each, TREES, RULES)
    return done


def message(
    text: str,
    days: float,
    topic: str | None = None,
    direction: MessageDirection = "user",
    **fields: Any,
) -> LearnerEvent:
    """As the gateway makes it: attributes by the package's own rules."""
    told = describe(text, topic, COURSE, CHAT_RULES, direction)._asdict()
    del told["rules"]
    return event(
        "chat.message",
        days,
        session_id="s",
        message_direction=direction,
        message_text=text,
        **{**told, **fields},
    )


def labels(done: Step) -> tuple[str, str]:
    given = done.learner.engagement.labels
    return given["primary_classification"], given["intervention_strategy"]


def answers(score: float, topic: str = "roots") -> tuple[LearnerEvent, ...]:
    return tuple([quiz(score, n, topic_id=topic) for n in range(4)])


TALKS: dict[str, tuple[tuple[LearnerEvent, ...], tuple[LearnerEvent, ...], tuple[str, str]]] = {
    # 90% right, then "not sure" of that topic: 0.25 − 0.9 is an underestimate
    "doubts a good score": (
        answers(0.9),
        (message("Can you check this? I'm not sure about it.", 4, "roots"),),
        ("Underconfident Achiever", "Encouragement"),
    ),
    # 30% right and "I'm sure": 0.9 − 0.3
    "sure of a bad score": (
        answers(0.3),
        (message("I'm sure I did it right", 4, "roots"),),
        ("Overconfident Learner", "Confidence Calibration"),
    ),
    # two topics to go over again
    "confused by two topics": (
        answers(0.9),
        (
            message("I don't understand graphs at all", 4, "graphs"),
            message("and matrices are too hard for me", 4.1, "matrices"),
        ),
        ("Fast Tracker", "Spaced Review"),
    ),
    # 3 hints in 4 answers, and the score does not rise
    "asks for hints and does not get on": (
        answers(0.4),
        tuple([message("Can you give me a hint?", 4 + n / 10, "roots") for n in range(3)]),
        ("Struggling Novice", "Scaffolded Remediation"),
    ),
}


@pytest.mark.parametrize("name", TALKS)
def test_messages_alone_change_what_is_decided(name: str) -> None:
    before, talk, expected = TALKS[name]
    earlier = follow(*before)
    done = follow(*before, *talk)
    assert labels(earlier) != expected
    assert labels(earlier)[1] != expected[1]
    assert labels(done) == expected
    # with the same learner but for the last message it was still the other strategy
    assert labels(follow(*before, *talk[:-1]))[1] == labels(earlier)[1]
    decided = {decision.tree_id: decision for decision in done.decisions}
    strategy = decided["intervention_strategy"]
    assert (strategy.previous_label, strategy.decision_label) == (labels(earlier)[1], expected[1])
    record = the_record(done)
    assert (record.event_id, record.labels) == (talk[-1].event_id, done.learner.engagement.labels)
    assert record.labels["intervention_strategy"] == expected[1]
    assert record.decision_ids["intervention_strategy"] == strategy.decision_id
    assert record.prompt == strategy.llm_prompt_output
    assert expected[1] in record.prompt
    assert record.prompt_version == strategy.prompt_version == RULES.prompts.version


def the_record(done: Step) -> ChatRecord:
    assert done.chat is not None
    return done.chat


def test_the_tutors_hints_are_not_the_learners() -> None:
    ask = [message("Can you give me a hint?", 4 + n / 10, "roots") for n in range(2)]
    give = [
        message("Which rule allows the first step?", 4.05 + n / 10, "roots", "system",
                hint_used=True, responder="built-in", in_reply_to=ask[n].event_id)
        for n in range(2)
    ]  # fmt: skip
    talk = (ask[0], give[0], ask[1], give[1])
    done = follow(*answers(0.4), *talk)
    # 2 hints in 4 answers, not 4: below the 0.7 of the tree
    assert done.learner.engagement.hints == 2
    assert labels(done) == ("Struggling Novice", "Worked Examples")


def test_a_record_says_all_of_its_message() -> None:
    asked = message("I'm not sure, can you give me a hint?", 4, "roots", source="chat-gateway")
    answer = message(
        "Try a smaller case.", 4.1, "roots", "system",
        hint_used=True, responder="expert:ada", in_reply_to=asked.event_id, source="chat-gateway",
    )  # fmt: skip
    first = the_record(follow(*answers(0.9), asked))
    done = follow(*answers(0.9), asked, answer)
    record = the_record(done)
    for told, event_ in ((first, asked), (record, answer)):
        assert event_.type == "chat.message"
        for name in (
            "event_id", "user_id", "session_id", "course_id", "message_direction", "message_text",
            "contextual_topic_id", "related_skill", "related_objective", "hint_used",
            "feedback_flags", "searchable_tags", "in_reply_to", "source",
        ):  # fmt: skip
            assert getattr(told, name) == getattr(event_, name), name
        assert (told.timestamp, told.responder) == (event_.occurred_at, event_.responder or "")
        assert chat_adapter.validate_json(encode(told)) == told
    assert (first.hint_used, first.searchable_tags) == (True, ())
    assert record.responder == "expert:ada"
    # the tutor's word is no decision point: what is in force is what the question decided
    assert done.decisions == ()
    assert (record.labels, record.decision_ids) == (first.labels, first.decision_ids)


def test_only_chat_messages_have_a_record() -> None:
    assert follow(*answers(0.9)).chat is None


def test_decisions_of_a_message_say_so() -> None:
    decisions: tuple[Decision, ...] = follow(message("hello", 0)).decisions
    assert {d.event_source for d in decisions} == {"chat_message"}
    assert len(decisions) == 2
