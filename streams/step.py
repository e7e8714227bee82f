"""One event's way through everything that is known of its learner: the whole step, top-down.

    repeat? ─► too late? ─► settle what was awaited ─► fold profile, behaviour, engagement
      ─► features ─► both trees ─► decisions, chat record ─► await what comes next

A delivery that is told (``strategy.delivered``) goes no further than the folds: nothing new is
known of the learner, and what would be decided of it would be delivered and told in turn.

Pure: the same arguments give the same result, in the worker, in replay and in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from schemas.behavior import Behavior
from schemas.chat import ChatRecord
from schemas.dead_letter import DeadLetterReason
from schemas.decision import Decision
from schemas.engagement import Engagement
from schemas.errors import RejectedEvent
from schemas.event import LearnerEvent
from schemas.example import TreeExample
from schemas.fields import TreeId
from schemas.profile import Profile
from streams.activity import is_activity
from streams.behavior import fold_behavior
from streams.chat_record import chat_record
from streams.decide import decide
from streams.engagement import fold_engagement
from streams.features import extract
from streams.hindsight import open_example, settle
from streams.profile import fold_profile
from streams.rules import Rules
from streams.scoring import CompiledTree
from streams.seen import day_number

Trees = Mapping[TreeId, CompiledTree]


@dataclass
class Learner:
    """What is known of one learner; ``engagement`` is that of the event's course.

    The course of an event that names none is the one that the learner was last active in.
    """

    profile: Profile
    behavior: Behavior
    engagement: Engagement


class Step(NamedTuple):
    """What one event did."""

    learner: Learner
    decisions: tuple[Decision, ...]
    examples: tuple[TreeExample, ...]
    chat: ChatRecord | None


def course_of(event: LearnerEvent, behavior: Behavior) -> str:
    """The course whose engagement an event concerns; "" outside any."""
    return event.course_id or behavior.course_id


def reject_too_late(event: LearnerEvent, behavior: Behavior, horizon: timedelta) -> None:
    """Raises: RejectedEvent, `TOO_LATE`, if repeats of the event's day are forgotten already.

    Within ``forgotten_days`` only others' events can be repeats: each of the learner's own is
    remembered from its own day on.
    """
    latest = behavior.last_activity_at
    if latest is not None and latest - event.occurred_at > horizon:
        raise RejectedEvent(
            DeadLetterReason.TOO_LATE,
            f"occurred_at {event.occurred_at.isoformat()} is more than {horizon.days} days before "
            f"the learner's latest event, {latest.isoformat()}",
        )
    forgotten = behavior.forgotten_days
    if forgotten and not is_activity(event):
        first, last = forgotten
        if first <= day_number(event.occurred_at) <= last:
            raise RejectedEvent(
                DeadLetterReason.TOO_LATE,
                f"occurred_at {event.occurred_at.isoformat()} is of a time after all that the "
                "learner did, from which it is no longer known what was told",
            )


def step(learner: Learner, event: LearnerEvent, trees: Trees, rules: Rules) -> Step:
    """Folds one new event and decides. The learner given is left as it is."""
    profile = fold_profile(learner.profile, event)
    behavior = fold_behavior(learner.behavior, event)
    engagement = learner.engagement
    examples: tuple[TreeExample, ...] = ()
    if event.course_id is not None:
        engagement, examples = settle(engagement, event)
    if event.course_id is not None or event.type == "profile.updated":
        engagement = fold_engagement(engagement, event, profile)
    if event.type == "strategy.delivered":
        return Step(Learner(profile, behavior, engagement), (), examples, None)
    features = extract(
        profile, behavior, engagement, event.occurred_at, learner.behavior.last_activity_at
    )
    engagement, decisions = decide(event, profile, engagement, features, trees, rules)
    chat = chat_record(event, profile, engagement, features, trees, rules)
    engagement = open_example(
        engagement,
        event,
        features,
        engagement.labels["primary_classification"],
        engagement.labels["intervention_strategy"],
    )
    return Step(Learner(profile, behavior, engagement), decisions, examples, chat)
