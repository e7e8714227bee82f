"""Prompt sets: the one that the settings name, and those that workers have decided with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog
from pydantic import ValidationError

from agents.topic_reader import read_topic
from agents.topics import PROMPT_SETS
from config.prompts import prompts_folder, read_prompt_set
from config.settings import KafkaSettings
from schemas.errors import InvalidSetting
from schemas.prompt import PromptSet, prompt_set_adapter, version_of
from streams.prompt import Prompts

log = structlog.get_logger(__name__)


def prompts_in(folder: Path | None) -> Prompts:
    """A folder's set, ready to be filled; the package's own without one.

    Raises:
        InvalidSetting: it cannot be used: which file, what is wrong with it, what to do.
    """
    templates = read_prompt_set(folder)
    try:
        return Prompts(templates)
    except InvalidSetting as error:
        raise InvalidSetting(f"{prompts_folder(folder)}/{error}") from None


async def published_sets(kafka: KafkaSettings) -> dict[str, PromptSet]:
    """By version, every set on ``prompt.sets``; what is no set, or not the one that its version
    names, is passed over with a warning.

    Raises:
        BrokerUnavailable: Kafka or the topic is not there.
    """
    found = {}
    async for record in read_topic(kafka, PROMPT_SETS):
        templates = set_on(record.value)
        if templates is None:
            log.warning("record on prompt.sets is no prompt set", offset=record.offset)
        else:
            found[templates.version] = templates
    return found


def known_prompts(folders: Iterable[Path], sets: Iterable[PromptSet]) -> dict[str, Prompts]:
    """By version: the package's own, those of the folders, and of the sets all that this release
    can fill.

    Raises:
        InvalidSetting: a folder's cannot be used.
    """
    prompts = [prompts_in(None), *(prompts_in(folder) for folder in folders)]
    for templates in sets:
        try:
            prompts.append(Prompts(templates))
        except InvalidSetting as error:
            log.warning("prompt set of another release", version=templates.version, why=str(error))
    return {known.version: known for known in prompts}


def set_on(raw: bytes | None) -> PromptSet | None:
    """The set of a record on ``prompt.sets``; ``None`` if it is none."""
    try:
        templates = prompt_set_adapter.validate_json(raw or b"")
    except ValidationError:
        return None
    told = version_of(templates.templates, templates.reading_levels)
    return templates if told == templates.version else None
