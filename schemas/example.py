"""`TreeExample`: features at a decision, and the label that hindsight gave it."""

from __future__ import annotations

from typing import Literal

from pydantic import TypeAdapter

from schemas.contract import Contract
from schemas.fields import TreeId, UserId, UtcTime, Uuid

LabelledBy = Literal["next_attempts", "silence", "course_result", "person"]
"""What made the label known."""


class TreeExample(Contract):
    """``features``: every feature by name, as known at ``decided_at``. ``label``: what it should
    have been, known at ``labelled_at``. ``example_id`` is UUIDv5 of the deciding event and tree.
    """

    example_id: Uuid
    tree_id: TreeId
    user_id: UserId
    course_id: str
    decided_at: UtcTime
    labelled_at: UtcTime
    features: dict[str, float]
    label: str
    labelled_by: LabelledBy


example_adapter: TypeAdapter[TreeExample] = TypeAdapter(TreeExample)
