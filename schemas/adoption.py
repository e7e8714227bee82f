"""`TreeAdoption`: from which event on a partition was decided by which tree versions."""

from __future__ import annotations

from pydantic import TypeAdapter

from schemas.contract import Contract
from schemas.fields import Count, TreeId


class TreeAdoption(Contract):
    """``versions`` decide the events of ``partition`` of ``learner.events`` from ``offset`` on,
    until the next adoption, and their prompts are those of the set ``prompt_version``. With it a
    replay of the log makes the very same decisions.
    """

    partition: Count
    offset: Count
    versions: dict[TreeId, Count]
    prompt_version: str


adoption_adapter: TypeAdapter[TreeAdoption] = TypeAdapter(TreeAdoption)
