"""One valid record or more of every contract, as JSON values: what the AsyncAPI document shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.adoption import TreeAdoption
from schemas.behavior import Behavior, ContentTypeEngagement
from schemas.chat import ChatRecord
from schemas.contract import encode
from schemas.dead_letter import DeadLetter, DeadLetterReason, SettledLetter
from schemas.decision import Condition, Decision, Thresholds
from schemas.delivery import (
    Delivery,
    DeliveryAck,
    PendingDelivery,
)
from schemas.engagement import Engagement, QuizAttempt
from schemas.example import TreeExample
from schemas.feature import FEATURES
from schemas.fields import TreeId
from schemas.profile import Profile
from schemas.prompt import PromptFigures, PromptSet, TopicFigure
from schemas.snapshot import Tally, TrainerSnapshot, TreeSnapshot
from schemas.tree import Branch, Leaf, Retraining, TreeDocument

_USER = "5f0e6c3a-1b7d-4c58-8f5e-2d9a7b1c4e60"
_EVENT = "3f1c0a52-7d7e-4b57-9a0e-0c6a9a4d2b11"
_COURSE = "algebra-1"
_AT = datetime(2026, 1, 31, 9, tzinfo=UTC)
_LEARNED = datetime(2026, 1, 20, 16, 30, tzinfo=UTC)
_LATER = datetime(2026, 2, 3, 16, 30, tzinfo=UTC)
_TREE: TreeId = "primary_classification"
_FEATURES = {feature.name: 0.0 for feature in FEATURES} | {
    "attempts": 1.0,
    "objective_score": 0.25,
    "recent_score": 0.25,
    "weakest_topic_score": 0.25,
    "weakest_skill_score": 2.5,
    "confidence_score": 0.75,
    "confidence_gap": 0.5,
    "answers_per_day": 1.0,
    "avg_score": 0.25,
    "total_courses": 1.0,
    "gpa": 2.5,
    "learner_level": 1.0,
}

_EVENT_FIELDS: Mapping[str, dict[str, Any]] = {
    "profile.updated": {
        "course_id": None,
        "age": 19,
        "class_year": "freshman",
        "gpa": 3.1,
        "format_preference": "video",
        "format_comfort_rating_text": 2,
    },
    "session.started": {"course_id": None, "session_id": "s-81", "activity_type": "quiz"},
    "session.ended": {"course_id": None, "session_id": "s-81", "activity_type": "quiz"},
    "content.viewed": {
        "content_id": "v-12",
        "content_type": "video",
        "duration": 312.5,
        "module_id": "m-2",
        "topic_id": "factoring",
    },
    "module.entered": {"module_id": "m-2", "module_index": 1},
    "module.completed": {"module_id": "m-2"},
    "quiz.submitted": {
        "question_id": "q-7",
        "score": 0.25,
        "topic_id": "factoring",
        "skill_tag": "distributive-law",
        "retries": 1,
        "hint_used": True,
        "duration": 48.0,
        "confidence": 0.75,
        "content_format": "text",
    },
    "hint.requested": {"question_id": "q-7", "topic_id": "factoring"},
    "confidence.reported": {"topic_id": "factoring", "confidence": 0.4},
    "topic.flagged": {"topic_id": "factoring", "flagged_type": "confusing"},
    "topic.changed": {"topic_id": "quadratics", "module_id": "m-3"},
    "survey.answered": {
        "survey_id": "week-3",
        "flagged_topics": ["factoring"],
        "confidence_by_topic": {"factoring": 0.3, "quadratics": 0.8},
    },
    "feedback.given": {"topic_id": "factoring", "rating": 4, "text": "The second video helped."},
    "chat.message": {
        "session_id": "s-81",
        "message_direction": "user",
        "message_text": "Why is the sign different here?",
        "contextual_topic_id": "factoring",
        "searchable_tags": ["sign-error"],
    },
    "strategy.delivered": {
        "decision_id": "5c1f1f0e-6a3f-5a0f-9a38-2f6f0f7f3b10",
        "strategy_label": "Worked Examples",
    },
    "course.enrolled": {"previous_attempts": 0},
    "course.completed": {"result": "pass", "final_score": 0.71},
    "course.withdrawn": {},
    "label.assigned": {
        "tree_id": _TREE,
        "label": "Persistent Striver",
        "assigned_by": "tutor-4",
    },
}


def _event(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
    common: dict[str, Any] = {
        "type": kind,
        "event_id": _EVENT,
        "user_id": _USER,
        "course_id": _COURSE,
        "occurred_at": "2026-01-31T09:00:00Z",
    }
    return {name: value for name, value in (common | fields).items() if value is not None}


_retraining = Retraining(
    date=_LEARNED, changes_made=("recent_score <= 0.3 now asked first",), data_points_used=512
)
_figures = PromptFigures(
    course_id=_COURSE,
    topic_id="factoring",
    learner_level="intermediate",
    weakest_topics=(TopicFigure("factoring", 25.0),),
    redo_topics=(),
    confidence=0.75,
    performance=0.25,
    best_format="text",
    writing_style="unknown",
)
_decision = Decision(
    decision_id="2229065f-1003-5ad1-b3ef-e21b8c4335eb",
    user_id=_USER,
    course_id=_COURSE,
    timestamp=_AT,
    tree_id=_TREE,
    input_attributes=_FEATURES,
    decision_label="Struggling Novice",
    previous_label="",
    class_distribution={"Struggling Novice": 0.75, "Steady Achiever": 0.25},
    llm_prompt_output="The learner looks like a Struggling Novice (75% by tree version 1): mean "
    "score of the latest five graded answers 0.25 (at most 0.3).",
    thresholds_at_time=Thresholds(
        version=1, path=(Condition("recent-score", "recent_score", 0.25, "<=", 0.3),)
    ),
    flagged_rules_hit=("recent-score", "low-score"),
    retraining_logs=_retraining,
    decision_version=1,
    event_id=_EVENT,
    event_type="quiz.submitted",
    event_source="quiz_submit",
    traceparent="00-3f1c0a527d7e4b579a0e0c6a9a4d2b11-9a0e0c6a9a4d2b11-01",
    prompt_version="5d41402abc4b",
    prompt_figures=_figures,
)
_delivery = Delivery(
    delivery_id="0d6f3c1e-5f0a-5b7e-8a55-7b0e4f0c7a11",
    attempt=1,
    decision_id=_decision.decision_id,
    user_id=_USER,
    course_id=_COURSE,
    decision_tree_id=_TREE,
    decision_version=1,
    strategy_label="Struggling Novice",
    previous_label="",
    llm_prompt_summary=_decision.llm_prompt_output,
    prompt_version="5d41402abc4b",
    delivery_timestamp=_AT,
    response_status="pending",
    response_reason="",
    responded_at=None,
    latency_ms=31.5,
    decision_latency_ms=9.0,
    cache_hit=False,
    trace_id="3f1c0a527d7e4b579a0e0c6a9a4d2b11",
    traceparent=_decision.traceparent,
    event_id=_EVENT,
    event_type="quiz.submitted",
    event_source="quiz_submit",
    event_at=_AT,
)
_ack = DeliveryAck(_delivery.delivery_id, _USER, "success", "", _AT, consumer="query-strategy")
_pending = PendingDelivery(_delivery, _AT + timedelta(seconds=5), 1041)
_chat = ChatRecord(
    event_id=_EVENT,
    user_id=_USER,
    session_id="s-81",
    course_id=_COURSE,
    timestamp=_AT,
    message_direction="user",
    message_text="Why is the sign different here?",
    contextual_topic_id="factoring",
    related_skill=None,
    related_objective=None,
    hint_used=False,
    feedback_flags=(),
    searchable_tags=("sign-error",),
    responder="",
    in_reply_to=None,
    source="chat-gateway",
    traceparent=_decision.traceparent,
    labels={_TREE: "Struggling Novice"},
    decision_ids={_TREE: _decision.decision_id},
    prompt=_decision.llm_prompt_output,
    prompt_version="5d41402abc4b",
    figures=_figures,
)
_prompts = PromptSet(
    version="5d41402abc4b",
    templates={_TREE: {"Struggling Novice": "Go slowly with {weakest_topics}. {because}"}},
    reading_levels={"basic": "Use short sentences and everyday words."},
)
_tree = TreeDocument(
    tree_id=_TREE,
    version=1,
    author="trainer",
    reason="foretells better than version 0",
    created_at=_LEARNED,
    retraining_logs=_retraining,
    nodes=(
        Branch(rule_id="recent-score", feature="recent_score", threshold=0.3, left=1, right=2),
        Leaf(rule_id="low-score", distribution={"Struggling Novice": 30, "Steady Achiever": 10}),
        Leaf(rule_id="fair-score", distribution={"Steady Achiever": 61, "Fast Tracker": 20}),
    ),
)
_example = TreeExample(
    example_id="b1a0cbbd-63b4-5c6f-8a53-52f5a2a1a8de",
    tree_id=_TREE,
    user_id=_USER,
    course_id=_COURSE,
    decided_at=_AT,
    labelled_at=_LATER,
    features=_FEATURES,
    label="Persistent Striver",
    labelled_by="next_attempts",
)
# Built without validation, which would take raw for base64 already.
_dead_letter = DeadLetter.model_construct(
    dead_letter_id="9d2c8f0e-2f6c-5e0d-9b43-0b0d4a6f7c3d",
    reason=DeadLetterReason.NOT_JSON,
    detail="Invalid JSON: expected value at line 1 column 1",
    topic="learner.events",
    partition=2,
    offset=1041,
    recorded_at=_AT,
    key=_USER.encode(),
    raw=b"hello",
)
_settled = SettledLetter(
    dead_letter_id=_dead_letter.dead_letter_id,
    state="resent",
    partition=2,
    offset=17,
    written_at=_AT,
    settled_at=_LATER,
    settled_by="anna",
    corrected=True,
)
_adoption = TreeAdoption(2, 1042, {_TREE: 3, "intervention_strategy": 0}, "5d41402abc4b")
_profile = Profile(
    _USER, age=19, class_year="freshman", gpa=3.1, changed_at={"age": _AT}, offset=1040
)
_behavior = Behavior(
    _USER,
    course_id=_COURSE,
    total_time_spent=48.0,
    content_type_engagement=ContentTypeEngagement(quiz_time=48.0, hint_usage_count=1),
    active_time_distribution={"09": 1},
    total_courses=1,
    avg_score=0.25,
    offset=1042,
)
_engagement = Engagement(
    _USER,
    _COURSE,
    quiz_attempts=(
        QuizAttempt("q-7", 0.25, "distributive-law", None, 1, True, "factoring", 0.75, _AT),
    ),
    topic_scores={"factoring": 25.0},
    labels={_TREE: "Struggling Novice"},
    offset=1042,
)
_snapshot = TrainerSnapshot(
    trees={
        _TREE: TreeSnapshot(
            champion_version=1,
            model="eJwDAAAAAAE=",
            challenger=Tally(count=512, correct=401, faded_count=180.5, faded_correct=150.25),
            label_counts={"Steady Achiever": 300, "Struggling Novice": 212},
            recent_ids=(_example.example_id,),
        )
    },
    offsets={0: 130, 1: 127, 2: 119, 3: 136},
)

SAMPLES: Mapping[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "learner-event": tuple((kind, _event(kind, fields)) for kind, fields in _EVENT_FIELDS.items()),
    "profile": (("told", json.loads(encode(_profile))),),
    "behavior": (("firstAnswer", json.loads(encode(_behavior))),),
    "engagement": (("firstAnswer", json.loads(encode(_engagement))),),
    "decision": (("firstAnswer", json.loads(encode(_decision))),),
    "chat-record": (("question", json.loads(encode(_chat))),),
    "delivery": (("sent", json.loads(encode(_delivery))),),
    "delivery-ack": (("taken", json.loads(encode(_ack))),),
    "pending-delivery": (("waiting", json.loads(encode(_pending))),),
    "prompt-set": (("oneLabel", json.loads(encode(_prompts))),),
    "tree-document": (("learned", json.loads(_tree.model_dump_json())),),
    "tree-example": (("fromHindsight", json.loads(encode(_example))),),
    "tree-adoption": (("afterPublishing", json.loads(encode(_adoption))),),
    "dead-letter": (("notJson", json.loads(_dead_letter.model_dump_json())),),
    "settled-letter": (("correctedAndResent", json.loads(_settled.model_dump_json())),),
    "trainer-snapshot": (("oneTree", json.loads(encode(_snapshot))),),
}
"""By the name of the schema file, less ``.json``: names and records; one event of each type."""
