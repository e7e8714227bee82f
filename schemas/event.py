"""`LearnerEvent`: everything a producer can tell us, one class per ``type``.

An event is one flat JSON object. Its class is chosen by ``type``; unknown fields, wrong types,
NaN and values out of range are refused. Times are UTC, durations are seconds, scores are 0–1.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from schemas.fields import (
    LABELS,
    ActivityType,
    ClassYear,
    CourseResult,
    FlaggedType,
    Format,
    Identifier,
    Layout,
    LearnerLevel,
    LearnerPurpose,
    MessageDirection,
    Rating,
    Seconds,
    SessionPreference,
    StudyMode,
    Text,
    Traceparent,
    TreeId,
    UiTheme,
    UnitScore,
    UserId,
    UtcTime,
    Uuid,
)

Tags = Annotated[tuple[Identifier, ...], Field(max_length=32)]
Times = Annotated[int, Field(ge=0, le=1000)]


class _Event(BaseModel):
    """What every event carries.

    ``event_id`` is the producer's, and the same each time the event is sent; so is ``occurred_at``,
    when the learner did it: an id that comes back with another day is another event. ``source``:
    the system that saw it. An event without ``course_id`` concerns the learner across courses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    event_id: Uuid
    user_id: UserId
    course_id: Identifier | None = None
    occurred_at: UtcTime
    source: Identifier = "lms"
    traceparent: Traceparent | None = None


class _CourseEvent(_Event):
    """An event that happens inside a course."""

    course_id: Identifier


class ProfileUpdated(_Event):
    """Background told by the learner or the registry; only the fields given change."""

    type: Literal["profile.updated"]
    age: Annotated[int, Field(ge=5, le=120)] | None = None
    class_year: ClassYear | None = None
    courses_completed: Annotated[int, Field(ge=0, le=1000)] | None = None
    gpa: Annotated[float, Field(ge=0, le=4)] | None = None
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


class SessionStarted(_Event):
    type: Literal["session.started"]
    session_id: Identifier
    activity_type: ActivityType = "mixed"


class SessionEnded(_Event):
    type: Literal["session.ended"]
    session_id: Identifier
    activity_type: ActivityType = "mixed"


class ContentViewed(_CourseEvent):
    """A page read, an image studied or a video watched; ``duration`` is the time spent on it."""

    type: Literal["content.viewed"]
    content_id: Identifier
    content_type: Format
    duration: Seconds = 0.0
    module_id: Identifier | None = None
    topic_id: Identifier | None = None


class ModuleEntered(_CourseEvent):
    """``module_index`` is the module's place in the course's intended order, from 0."""

    type: Literal["module.entered"]
    module_id: Identifier
    module_index: Annotated[int, Field(ge=0, le=10_000)] | None = None


class ModuleCompleted(_CourseEvent):
    type: Literal["module.completed"]
    module_id: Identifier


class QuizSubmitted(_CourseEvent):
    """One graded answer. ``confidence`` is what the learner said of it before the result.

    ``duration`` is the time spent on it; ``content_format`` the format in which it was taught.
    """

    type: Literal["quiz.submitted"]
    question_id: Identifier
    score: UnitScore
    topic_id: Identifier | None = None
    module_id: Identifier | None = None
    skill_tag: Identifier | None = None
    objective_tag: Identifier | None = None
    retries: Times = 0
    hint_used: bool = False
    duration: Seconds = 0.0
    confidence: UnitScore | None = None
    content_format: Format | None = None


class HintRequested(_CourseEvent):
    type: Literal["hint.requested"]
    question_id: Identifier | None = None
    topic_id: Identifier | None = None


class ConfidenceReported(_CourseEvent):
    type: Literal["confidence.reported"]
    topic_id: Identifier
    confidence: UnitScore


class TopicFlagged(_CourseEvent):
    type: Literal["topic.flagged"]
    topic_id: Identifier
    flagged_type: FlaggedType


class TopicChanged(_CourseEvent):
    type: Literal["topic.changed"]
    topic_id: Identifier
    module_id: Identifier | None = None


class SurveyAnswered(_CourseEvent):
    """A survey in the course: topics the learner marked, and confidence by topic."""

    type: Literal["survey.answered"]
    survey_id: Identifier
    flagged_topics: Annotated[tuple[Identifier, ...], Field(max_length=50)] = ()
    confidence_by_topic: Annotated[dict[Identifier, UnitScore], Field(max_length=50)] = {}


class FeedbackGiven(_CourseEvent):
    type: Literal["feedback.given"]
    topic_id: Identifier | None = None
    rating: Rating | None = None
    text: Text = ""


class ChatMessage(_Event):
    """One message between the learner (``user``) and the tutor (``system``).

    ``hint_used``: a hint was asked for (``user``) or given (``system``).
    ``responder``: who wrote a ``system`` message (``built-in``, ``llm:MODEL``, ``expert:NAME``);
    ``in_reply_to``: the ``event_id`` of the message that it answers. ``confidence``: how sure of
    the topic the learner sounds.
    """

    type: Literal["chat.message"]
    session_id: Identifier
    message_direction: MessageDirection
    message_text: Text
    contextual_topic_id: Identifier | None = None
    related_skill: Identifier | None = None
    related_objective: Identifier | None = None
    hint_used: bool = False
    feedback_flags: Tags = ()
    searchable_tags: Tags = ()
    confidence: UnitScore | None = None
    responder: Identifier | None = None
    in_reply_to: Uuid | None = None


class StrategyDelivered(_CourseEvent):
    """The query-strategy service has taken a decision of ``intervention_strategy``.

    The facilitator tells it; what the tree learns from is what followed a delivered strategy.
    ``occurred_at``: when the service acknowledged it.
    """

    type: Literal["strategy.delivered"]
    decision_id: Uuid
    strategy_label: Identifier


class CourseEnrolled(_CourseEvent):
    type: Literal["course.enrolled"]
    previous_attempts: Times = 0


class CourseCompleted(_CourseEvent):
    type: Literal["course.completed"]
    result: Literal["distinction", "pass", "fail"]
    final_score: UnitScore | None = None


class CourseWithdrawn(_CourseEvent):
    type: Literal["course.withdrawn"]


class LabelAssigned(_CourseEvent):
    """A person says what the label should be; the open examples of the course learn it."""

    type: Literal["label.assigned"]
    tree_id: TreeId
    label: Identifier
    assigned_by: Identifier

    @model_validator(mode="after")
    def _label_is_the_trees(self) -> LabelAssigned:
        if self.label not in LABELS[self.tree_id]:
            raise ValueError(f"{self.label!r} is no label of {self.tree_id}")
        return self


LearnerEvent = Annotated[
    ProfileUpdated
    | SessionStarted
    | SessionEnded
    | ContentViewed
    | ModuleEntered
    | ModuleCompleted
    | QuizSubmitted
    | HintRequested
    | ConfidenceReported
    | TopicFlagged
    | TopicChanged
    | SurveyAnswered
    | FeedbackGiven
    | ChatMessage
    | StrategyDelivered
    | CourseEnrolled
    | CourseCompleted
    | CourseWithdrawn
    | LabelAssigned,
    Field(discriminator="type"),
]
"""Any event. ``event_adapter.validate_json(raw)`` makes one from bytes."""

event_adapter: TypeAdapter[LearnerEvent] = TypeAdapter(LearnerEvent)

BY_OTHERS = ("label.assigned", "strategy.delivered")
"""Types that are not the learner's own doing; nor is a ``chat.message`` of the tutor."""

RESULTS: tuple[CourseResult, ...] = ("distinction", "pass", "fail", "withdrawn")
