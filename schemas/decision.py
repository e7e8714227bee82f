"""`Decision`: what a tree said of a learner, with everything needed to work it out again.

Section 5 of the source, attribute by attribute. Never edited once it is made; ``decision_adapter``
validates what comes from outside.
"""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter

from schemas.contract import Contract
from schemas.fields import Count, Traceparent, TreeId, UnitScore, UserId, UtcTime, Uuid
from schemas.prompt import PromptFigures
from schemas.tree import Retraining

EventSource = Literal[
    "onboarding", "quiz_submit", "topic_change", "chat_message", "label_change", "every_event"
]
"""Why a decision was sent: a decision point of the source, a changed label, or the setting."""


class Condition(Contract):
    """One step of the path: ``value`` of ``feature`` against ``threshold``."""

    rule_id: str
    feature: str
    value: float
    operator: Literal["<=", ">"]
    threshold: float


class Thresholds(Contract):
    """The rules in effect: the version of the tree, and the thresholds that were asked."""

    version: Count
    path: tuple[Condition, ...]


class Decision(Contract):
    """``timestamp`` is the event's ``occurred_at``. ``class_distribution`` sums to 1.

    ``input_attributes`` holds every feature by name; ``flagged_rules_hit`` the rule ids from the
    root to the leaf. ``decision_id`` is UUIDv5 of the event (id, learner, day) and the tree, so a
    repeat is known.
    ``previous_label`` is "" at the first decision. ``course_id`` is "" outside any course.
    ``llm_prompt_output`` is the prompt for the tutor: the template of the label in the set
    ``prompt_version``, filled with ``prompt_figures``. ``traceparent`` is the event's, or made of
    its id.
    """

    decision_id: Uuid
    user_id: UserId
    course_id: str
    timestamp: UtcTime
    tree_id: TreeId
    input_attributes: dict[str, float]
    decision_label: str
    previous_label: str
    class_distribution: dict[str, UnitScore]
    llm_prompt_output: str
    thresholds_at_time: Thresholds
    flagged_rules_hit: tuple[str, ...]
    retraining_logs: Retraining | None
    decision_version: Count
    event_id: Uuid
    event_type: str
    event_source: EventSource
    traceparent: Traceparent
    prompt_version: str
    prompt_figures: PromptFigures


decision_adapter: TypeAdapter[Decision] = TypeAdapter(Decision)
