"""Prompts for the tutor: the figures that fill one, and the set of templates they are filled in.

A set is known by its ``version``, a digest of its texts, so that a prompt that was delivered can
be made again from the decision record and the set.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated

import orjson
from pydantic import Field, TypeAdapter

from schemas.contract import Contract
from schemas.fields import Format, LearnerLevel, Percentage, TreeId, UnitScore, WritingStyle

WEAKEST_TOPICS = 3
"""How many topics a prompt names at most."""


class TopicFigure(Contract):
    """A topic of the course and the percentage reached in it, 0–100."""

    topic_id: str
    percentage: Percentage


class PromptFigures(Contract):
    """What is known of the learner that a prompt may say; ``None`` and () where nothing is.

    ``course_id``, ``topic_id``: "" outside any. ``weakest_topics``: lowest first, at most three;
    ``redo_topics``: at most three. ``confidence``, ``performance``: means of the recent graded
    answers, 0–1. ``best_format``: the format with the best results in the course, else the one
    preferred. Ids come from the LMS as they are: whoever prints them escapes them
    (`streams.quoted_names`).
    """

    course_id: str
    topic_id: str
    learner_level: LearnerLevel | None
    weakest_topics: tuple[TopicFigure, ...]
    redo_topics: tuple[str, ...]
    confidence: UnitScore | None
    performance: UnitScore | None
    best_format: Format | None
    writing_style: WritingStyle


class PromptSet(Contract):
    """Templates by tree and label, and what to say of the reading level for each learner level.

    ``version``: `version_of` its texts. Placeholders and how a template is filled:
    `streams.prompt`; how the texts are laid out in a folder: `config.prompts`.
    """

    version: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    templates: dict[TreeId, dict[str, str]]
    reading_levels: dict[str, str]


prompt_set_adapter: TypeAdapter[PromptSet] = TypeAdapter(PromptSet)


def version_of(templates: Mapping[TreeId, Mapping[str, str]], levels: Mapping[str, str]) -> str:
    """``PromptSet.version``: the first 12 hex digits of the SHA-256 of all texts."""
    told = orjson.dumps([templates, levels], option=orjson.OPT_SORT_KEYS)
    return sha256(told).hexdigest()[:12]


def template_file(tree_id: TreeId, label: str) -> str:
    """Where a label's template stands in its folder: ``tree_id/fast-tracker.txt``."""
    return f"{tree_id}/{label.lower().replace(' ', '-')}.txt"


def level_file(level: str) -> str:
    """Where the words for a learner level stand in the folder."""
    return f"reading_levels/{level}.txt"
