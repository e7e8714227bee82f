"""Where tree versions come from: the seed, files, and a Kafka's ``tree.versions``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from pydantic import ValidationError

from config.settings import KafkaSettings
from schemas.errors import InvalidInput, InvalidTree
from schemas.fields import TreeId
from schemas.tree import TreeDocument

Versions = dict[tuple[TreeId, int], TreeDocument]


def read_versions(files: Iterable[Path] = (), kafka: KafkaSettings | None = None) -> Versions:
    """All that is known: version 0 from ``config/``, then the files', then Kafka's.

    Raises:
        InvalidInput: a file holds something else.
        BrokerUnavailable: Kafka is not there.
    """
    from config.seed_trees import seed_trees  # noqa: PLC0415

    versions: Versions = {(t.tree_id, t.version): t for t in seed_trees().values()}
    for file in files:
        for number, line in enumerate(file.read_bytes().splitlines(), 1):
            if line.strip():
                _add(versions, line, f"{file}, line {number}")
    if kafka is not None:
        for number, value in enumerate(asyncio.run(_from_kafka(kafka))):
            _add(versions, value, f"tree.versions, record {number}")
    return dict(sorted(versions.items()))


def _add(versions: Versions, line: bytes, place: str) -> None:
    try:
        tree = TreeDocument.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"{place}: no tree document: {where} {first['msg']}") from None
    known = versions.setdefault((tree.tree_id, tree.version), tree)
    if known != tree:
        raise InvalidTree(f"{place}: {tree.tree_id} version {tree.version} is known otherwise")


async def _from_kafka(kafka: KafkaSettings) -> list[bytes]:
    from agents.topic_reader import read_topic  # noqa: PLC0415
    from agents.topics import TREE_VERSIONS  # noqa: PLC0415

    return [record.value async for record in read_topic(kafka, TREE_VERSIONS) if record.value]
