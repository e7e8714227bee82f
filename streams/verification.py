"""Is a decision what its tree and its prompt set say of its own inputs? Works it out again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from uuid import UUID

from schemas.decision import Decision, EventSource
from schemas.feature import FEATURE_INDEX, FEATURE_NAMES, FEATURES
from schemas.fields import LABELS
from streams.decide import DECISION_POINTS
from streams.derived_id import made_at
from streams.explanation import sentence
from streams.prompt import Prompts
from streams.scoring import CompiledTree, score


def verify(decision: Decision, tree: CompiledTree, prompts: Prompts | None) -> tuple[str, ...]:
    """Every difference, beginning with the field that differs; empty if the decision is confirmed.

    ``tree`` and ``prompts`` are the versions that the decision names. Without ``prompts`` only the
    rest is judged: whoever has no such set cannot confirm the decision. What a record cannot show
    of itself is not judged: the time of day, traceparent, whether previous_label was the last,
    and of prompt_figures what the prompt does not say.
    """
    return (
        *_identity(decision, tree, prompts),
        *_inputs(decision),
        *_outcome(decision, tree, prompts),
    )


def _identity(decision: Decision, tree: CompiledTree, prompts: Prompts | None) -> Iterator[str]:
    document = tree.document
    yield from _differs("tree_id", decision.tree_id, document.tree_id)
    yield from _differs("decision_version", decision.decision_version, document.version)
    yield from _differs(
        "thresholds_at_time.version", decision.thresholds_at_time.version, document.version
    )
    yield from _differs("retraining_logs", decision.retraining_logs, document.retraining_logs)
    try:
        UUID(decision.event_id)
    except ValueError:
        yield f"event_id: {decision.event_id!r} is no UUID"
    else:
        expected = made_at(
            decision.event_id, decision.user_id, decision.timestamp, document.tree_id
        )
        yield from _differs("decision_id", decision.decision_id, expected)
    sources = _sources(decision)
    if decision.event_source not in sources:
        yield from _differs("event_source", decision.event_source, sources[0])
    if decision.previous_label not in {"", *LABELS[document.tree_id]}:
        yield f"previous_label: {decision.previous_label!r} is no label of {document.tree_id}"
    told = decision.prompt_figures.course_id
    yield from _differs("prompt_figures.course_id", told, decision.course_id)
    if prompts is not None:
        yield from _differs("prompt_version", decision.prompt_version, prompts.version)


def _sources(decision: Decision) -> tuple[EventSource, ...]:
    """What may have been told: of a chat message the record does not say whose it was."""
    changed = decision.decision_label != decision.previous_label
    otherwise: EventSource = "label_change" if changed else "every_event"
    point = DECISION_POINTS.get(decision.event_type, otherwise)
    return (point, otherwise) if decision.event_type == "chat.message" else (point,)


def _inputs(decision: Decision) -> Iterator[str]:
    given = decision.input_attributes
    for feature in FEATURES:
        value = given.get(feature.name)
        if value is None:
            yield f"input_attributes.{feature.name}: missing"
        elif not math.isfinite(value) or not feature.low <= value <= feature.high:
            yield (
                f"input_attributes.{feature.name}: {value} is outside "
                f"{feature.low:g} to {feature.high:g}"
            )
    for name in given:
        if name not in FEATURE_INDEX:
            yield f"input_attributes.{name}: no such feature"


def _outcome(decision: Decision, tree: CompiledTree, prompts: Prompts | None) -> Iterator[str]:
    given = decision.input_attributes
    if any(name not in given for name in FEATURE_NAMES):
        return
    features = tuple([given[name] for name in FEATURE_NAMES])
    result = score(tree, features)
    yield from _differs("decision_label", decision.decision_label, result.label)
    yield from _differs("class_distribution", decision.class_distribution, result.distribution)
    yield from _differs("flagged_rules_hit", decision.flagged_rules_hit, result.rule_ids)
    path = result.path(features)
    yield from _differs("thresholds_at_time.path", decision.thresholds_at_time.path, path)
    if prompts is None:
        return
    tree_id, version = tree.document.tree_id, tree.document.version
    because = sentence(tree_id, result.label, result.distribution[result.label], version, path)
    words = prompts.words(decision.prompt_figures)
    prompt = prompts.fill(tree_id, result.label, words, because)
    yield from _differs("llm_prompt_output", decision.llm_prompt_output, prompt)


def _differs(field: str, given: object, expected: object) -> Iterator[str]:
    if given != expected:
        yield f"{field}: {given!r} where it must be {expected!r}"
