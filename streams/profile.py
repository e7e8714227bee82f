"""`fold_profile`: who the learner is, from what was told and from what they write.

Every attribute folds to the same state in any order of events.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from schemas.event import ChatMessage, FeedbackGiven, LearnerEvent, ProfileUpdated
from schemas.profile import Profile
from streams.writing import add, measure, metrics, style

TOLD: tuple[str, ...] = (
    "age",
    "class_year",
    "courses_completed",
    "gpa",
    "learner_purpose",
    "format_preference",
    "format_comfort_rating_text",
    "format_comfort_rating_image",
    "format_comfort_rating_video",
    "format_comprehension_score_text",
    "format_comprehension_score_image",
    "format_comprehension_score_video",
    "session_preference",
    "ui_theme_preference",
    "layout_preference",
    "study_mode",
    "learner_level",
)
"""Attributes that somebody tells, the same names in the event and in the state."""


def fold_profile(profile: Profile, event: LearnerEvent) -> Profile:
    """The profile after the event; the same object if the event says nothing of it.

    Of each attribute told the latest telling by ``occurred_at`` wins, at the same instant the
    larger value. What the learner writes (chat messages of theirs, feedback) adds to the writing
    totals.
    """
    fold = _FOLDS.get(event.type)
    return profile if fold is None else fold(profile, event)


def _told(profile: Profile, event: ProfileUpdated) -> Profile:
    at = event.occurred_at
    changed_at = profile.changed_at
    new: dict[str, Any] = {}
    for name in TOLD:
        value = getattr(event, name)
        if value is None:
            continue
        before = changed_at.get(name)
        if before is None or at > before or (at == before and value > getattr(profile, name)):
            new[name] = value
    if not new:
        return profile
    told = copy(profile)
    for name, value in new.items():
        setattr(told, name, value)
    told.changed_at = changed_at | dict.fromkeys(new, at)
    return told


def _chat(profile: Profile, event: ChatMessage) -> Profile:
    return _written(profile, event.message_text) if event.message_direction == "user" else profile


def _feedback(profile: Profile, event: FeedbackGiven) -> Profile:
    return _written(profile, event.text)


def _written(profile: Profile, text: str) -> Profile:
    counts = measure(text)
    if not counts.texts:
        return profile
    new = copy(profile)
    new.writing_totals = totals = add(profile.writing_totals, counts)
    new.writing_metrics = metrics(totals)
    new.writing_style_category = style(new.writing_metrics, totals)
    return new


_FOLDS: dict[str, Callable[[Profile, Any], Profile]] = {
    "profile.updated": _told,
    "chat.message": _chat,
    "feedback.given": _feedback,
}
