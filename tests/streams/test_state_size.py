"""However much a learner does, their states stay small."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from strategies import START, USERS, event

from schemas.behavior import Behavior
from schemas.contract import encode
from schemas.engagement import SKILLS_WINDOW, TOPICS_WINDOW, Engagement
from schemas.event import LearnerEvent
from schemas.profile import Profile
from streams.behavior import fold_behavior
from streams.engagement import fold_engagement
from streams.profile import fold_profile

MAX_BEHAVIOR_BYTES = 3_072
MAX_ENGAGEMENT_BYTES = 6_144


def busy_learner(days: int) -> Iterator[LearnerEvent]:
    """A day's work, over and over, each time on another topic, skill, module and course."""
    told = {f"format_comfort_rating_{name}": 4 for name in ("text", "image", "video")}
    yield event("profile.updated", **told)
    for i in range(days):
        at = START + timedelta(hours=25 * i)
        session = f"5d7a1c60-0000-4000-8000-{i:012}"
        course, module, topic = f"course-{i:03}", f"module-{i:03}", f"topic-{i:03}"
        yield event("session.started", at, session_id=session, activity_type="reading")
        yield event(
            "module.entered", at, course_id=course, module_id=module, module_index=(i * 7) % 100
        )
        yield event(
            "content.viewed", at, content_id="c", content_type=("text", "image", "video")[i % 3],
            duration=100.5,
        )  # fmt: skip
        if i % 2:
            yield event("topic.flagged", at, topic_id=topic, flagged_type="needs_revision")
        for confidence in (0.375, 0.625):
            yield event(
                "quiz.submitted",
                at + timedelta(minutes=5),
                question_id=f"q-{i:03}",
                score=(i % 3) / 3,
                topic_id=topic,
                skill_tag=f"skill-{i:03}",
                objective_tag=f"obj-{i:03}",
                module_id=module,
                retries=1,
                hint_used=True,
                confidence=confidence,
                content_format=("text", "image", "video")[i % 3],
            )
        yield event("session.started", at, session_id="w" + session, activity_type="reading")
        yield event("session.ended", at + timedelta(hours=1), session_id=session)
        yield event("feedback.given", at, text="I can't see why they do it like this.")


def test_states_stay_small() -> None:
    profile, behavior = Profile(USERS[0]), Behavior(USERS[0])
    engagement = Engagement(USERS[0], "algebra")
    sizes: list[tuple[int, int, int]] = []
    for one in busy_learner(days=100):
        profile = fold_profile(profile, one)
        behavior = fold_behavior(behavior, one)
        engagement = fold_engagement(engagement, one, profile)
        sizes.append((len(encode(profile)), len(encode(behavior)), len(encode(engagement))))
    _, most_behavior, most_engagement = map(max, zip(*sizes, strict=True))
    assert most_behavior <= MAX_BEHAVIOR_BYTES
    assert most_engagement <= MAX_ENGAGEMENT_BYTES
    assert len(engagement.topic_scores) == TOPICS_WINDOW
    assert len(engagement.skill_scores) == SKILLS_WINDOW
    assert len(engagement.format_performance_mismatch) == 3
