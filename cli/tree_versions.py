"""Where tree versions come from: the seed, files, and a Kafka's ``tree.versions``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from config.settings import KafkaSettings, Settings
from schemas.decision import Decision
from schemas.errors import InvalidInput, InvalidRecord, InvalidTree
from schemas.fields import TreeId
from schemas.tree import TreeDocument

if TYPE_CHECKING:
    from streams.scoring import CompiledTree

Versions = dict[tuple[TreeId, int], TreeDocument]


class Compiled:
    """Versions in the form that decides, each compiled when it is first asked for."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._compiled: dict[tuple[TreeId, int], CompiledTree] = {}

    def of(self, decision: Decision) -> CompiledTree:
        """The tree that a decision says it was made by.

        Raises:
            InvalidRecord: nobody gave us that version.
        """
        from streams.scoring import compile_tree  # noqa: PLC0415

        key = (decision.tree_id, decision.decision_version)
        if key not in self._compiled:
            if key not in self._versions:
                raise InvalidRecord(
                    f"{key[0]} version {key[1]} is not known here: name a file that holds it with "
                    "--trees, or a Kafka that has it with --kafka"
                )
            self._compiled[key] = compile_tree(self._versions[key])
        return self._compiled[key]


def read_versions(
    files: Iterable[Path] = (), kafka: KafkaSettings | None = None, kept: Path | None = None
) -> Versions:
    """All that is known: version 0 from ``config/``, the files', Kafka's, and a DuckDB file's.

    Raises:
        InvalidInput: a file holds something else.
        BrokerUnavailable: Kafka is not there.
    """
    from config.seed_trees import seed_trees  # noqa: PLC0415

    versions: Versions = {(t.tree_id, t.version): t for t in seed_trees().values()}
    for file in files:
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            if line.strip():
                place = f"{file}, line {number}"
                _add(versions, _tree(line, place), place)
    if kafka is not None:
        # Of two records with one number the first is in force; who sent the other was told so.
        published: Versions = {}
        for number, value in enumerate(asyncio.run(_from_kafka(kafka))):
            tree = _tree(value, f"tree.versions, record {number}")
            published.setdefault((tree.tree_id, tree.version), tree)
        for tree in published.values():
            _add(versions, tree, "tree.versions")
    if kept is not None:
        from queries.duckdb import versions_of  # noqa: PLC0415

        versions |= {(tree.tree_id, tree.version): tree for tree in versions_of(kept)}
    return dict(sorted(versions.items()))


def version_in_force(settings: Settings, tree_id: TreeId, from_kafka: bool) -> TreeDocument:
    """The newest that Kafka knows, or the DuckDB file; the seed's if there is none."""
    if from_kafka:
        from agents.tree_publisher import versions_in_force  # noqa: PLC0415

        return asyncio.run(versions_in_force(settings.kafka, tree_id))[-1]
    from config.seed_trees import seed_trees  # noqa: PLC0415
    from queries.duckdb import versions_of  # noqa: PLC0415

    known = [tree for tree in versions_of(settings.duckdb.file) if tree.tree_id == tree_id]
    return max([seed_trees()[tree_id], *known], key=lambda tree: tree.version)


def _add(versions: Versions, tree: TreeDocument, place: str) -> None:
    known = versions.setdefault((tree.tree_id, tree.version), tree)
    if known != tree:
        raise InvalidTree(f"{place}: {tree.tree_id} version {tree.version} is known otherwise")


def _tree(line: bytes, place: str) -> TreeDocument:
    try:
        return TreeDocument.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: no tree document: {where} {first['msg']}") from None


async def _from_kafka(kafka: KafkaSettings) -> list[bytes]:
    from agents.topic_reader import read_topic  # noqa: PLC0415
    from agents.topics import TREE_VERSIONS  # noqa: PLC0415

    return [record.value async for record in read_topic(kafka, TREE_VERSIONS) if record.value]
