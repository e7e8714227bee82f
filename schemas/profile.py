"""Table ``profile[user_id]``: who the learner is (section 1 of the source)."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, field
from pydantic import Field, TypeAdapter

from schemas.contract import Contract
from schemas.fields import (
    ClassYear,
    Count,
    Format,
    Integer,
    Layout,
    LearnerLevel,
    LearnerPurpose,
    Rating,
    SessionPreference,
    StudyMode,
    Total,
    UiTheme,
    UnitScore,
    UserId,
    UtcTime,
    WritingStyle,
)


class WritingMetrics(Contract):
    """How the learner writes, over all that they have written.

    ``avg_sentence_length`` in words; ``type_token_ratio`` and ``pronoun_usage`` 0–1 shares;
    ``contractions_count`` a count. Formulas: ``streams.writing``.
    """

    avg_sentence_length: Total = 0.0
    type_token_ratio: UnitScore = 0.0
    pronoun_usage: UnitScore = 0.0
    contractions_count: Count = 0


class WritingTotals(Contract):
    """The sums that `WritingMetrics` is worked out from; sums do not depend on order.

    ``distinct_words``: summed over segments of a text. ``pronouns``: all personal ones, of which
    ``third_person_pronouns`` are in the third person.
    """

    texts: Count = 0
    sentences: Count = 0
    words: Count = 0
    distinct_words: Count = 0
    pronouns: Count = 0
    third_person_pronouns: Count = 0
    contractions: Count = 0


class Profile(Contract):
    """One learner's background. An attribute is ``None`` until somebody has told it.

    ``changed_at`` holds, per attribute told, when that was: the latest telling wins, so late and
    repeated events change nothing. ``offset`` is the source offset last folded in, -1 for none.
    """

    user_id: UserId
    age: Annotated[int, Field(ge=5, le=120), Meta(ge=5, le=120)] | None = None
    class_year: ClassYear | None = None
    courses_completed: Annotated[int, Field(ge=0, le=1000), Meta(ge=0, le=1000)] | None = None
    gpa: Annotated[float, Field(ge=0, le=4), Meta(ge=0, le=4)] | None = None
    learner_purpose: LearnerPurpose | None = None
    format_preference: Format | None = None
    format_comfort_rating_text: Rating | None = None
    format_comfort_rating_image: Rating | None = None
    format_comfort_rating_video: Rating | None = None
    format_comprehension_score_text: UnitScore | None = None
    format_comprehension_score_image: UnitScore | None = None
    format_comprehension_score_video: UnitScore | None = None
    session_preference: SessionPreference | None = None
    ui_theme_preference: UiTheme | None = None
    layout_preference: Layout | None = None
    study_mode: StudyMode | None = None
    learner_level: LearnerLevel | None = None
    writing_style_category: WritingStyle = "unknown"
    writing_metrics: WritingMetrics = field(default_factory=WritingMetrics)
    writing_totals: WritingTotals = field(default_factory=WritingTotals)
    changed_at: dict[str, UtcTime] = field(default_factory=dict)
    offset: Integer = -1


profile_adapter: TypeAdapter[Profile] = TypeAdapter(Profile)
