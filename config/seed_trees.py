"""Version 0 of each tree, as installed with the package: ``config/trees/<tree_id>.json``."""

from __future__ import annotations

from importlib.resources import files

from schemas.fields import TREE_IDS, TreeId
from schemas.tree import TreeDocument


def seed_trees() -> dict[TreeId, TreeDocument]:
    """The hand-written documents, validated; both trees, always."""
    folder = files("config") / "trees"
    return {
        tree_id: TreeDocument.model_validate_json((folder / f"{tree_id}.json").read_bytes())
        for tree_id in TREE_IDS
    }
