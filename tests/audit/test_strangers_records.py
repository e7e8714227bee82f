"""What somebody else wrote to our topics: passed over, since those who decide pass it over too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import orjson
import pytest

from agents.topics import ADOPTIONS, DEAD_LETTERS, TREE_VERSIONS
from audit import kafka_log, run
from config.settings import Settings
from schemas.dead_letter import DeadLetterReason
from schemas.sample_records import SAMPLES

SETTINGS = Settings(_env_file=None)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bytes | None]]:
    """What stands on each topic; a stranger's records first."""
    stranger: list[bytes | None] = [None, b"", b"{", b"[]", b'{"version": 1}', b"\xff"]
    samples = {
        TREE_VERSIONS: "tree-document",
        ADOPTIONS: "tree-adoption",
        DEAD_LETTERS: "dead-letter",
    }
    topics = {
        topic: [*stranger, orjson.dumps(SAMPLES[name][0][1])] for topic, name in samples.items()
    }

    async def read_topic(_: object, topic: str) -> AsyncIterator[Any]:
        for offset, value in enumerate(topics[topic]):
            yield SimpleNamespace(partition=0, offset=offset, value=value)

    for module in (kafka_log, run):
        monkeypatch.setattr(module, "read_topic", read_topic)
    return topics


async def test_versions_and_adoptions(topics: dict[str, list[bytes | None]]) -> None:
    log = kafka_log.KafkaLog(SETTINGS.kafka, Mock(), Mock())
    assert [version for _, version in await log.versions()] == [0, 0, 1]
    assert [len(found) for found in (await log.adoptions()).values()] == [1]
    assert len(topics[TREE_VERSIONS]) == 7


async def test_dead_letters(topics: dict[str, list[bytes | None]]) -> None:
    letter: dict[str, Any] = SAMPLES["dead-letter"][0][1] | {
        "reason": DeadLetterReason.STORE_REFUSED,
        "detail": "postgres: no",
    }
    topics[DEAD_LETTERS].append(orjson.dumps(letter))
    audit = run._Audit(SETTINGS, Mock(), Mock())
    found = [(told, offset) async for told, offset, _ in audit.letters()]
    assert [offset for _, offset in found] == [7]
    # It says that the store refused an event, and holds none.
    assert audit.refused(found[0][0]) == ("postgres", None)
