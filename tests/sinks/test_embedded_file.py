"""The embedded file: what is written twice stands once, and is asked for by its purposes."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from config.seed_trees import seed_trees
from schemas.errors import InvalidInput
from schemas.sample_records import SAMPLES
from schemas.state import encode
from sinks.embedded_file import EmbeddedFile, decisions_of, versions_of


def samples() -> list[tuple[str, bytes]]:
    """One valid record of each topic that the file keeps."""
    kept = {
        "learner.decisions": "decision",
        "tree.examples": "tree-example",
        "tree.versions": "tree-document",
        "learner.dlq": "dead-letter",
    }
    return [(topic, encode(SAMPLES[contract][0][1])) for topic, contract in kept.items()]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.duckdb"


def rows(file: Path) -> dict[str, int]:
    with duckdb.connect(str(file), read_only=True) as db:
        return {
            name: db.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]  # noqa: S608
            for name in ("decisions", "examples", "tree_versions", "dead_letters")
        }


def test_what_is_written_twice_stands_once(file: Path) -> None:
    for _ in range(2):
        kept = EmbeddedFile(file)
        kept.setup()
        kept.setup()
        kept.write(samples())
        kept.write(samples())
        kept.close()
    assert rows(file) == {"decisions": 1, "examples": 1, "tree_versions": 1, "dead_letters": 1}


def test_records_come_back_as_they_were(file: Path) -> None:
    kept = EmbeddedFile(file)
    kept.setup()
    tree = seed_trees()["primary_classification"]
    kept.write([*samples(), ("tree.versions", tree.model_dump_json().encode())])
    kept.close()
    by_topic = dict(samples())
    user_id = SAMPLES["decision"][0][1]["user_id"]
    assert [encode(d) for d in decisions_of(file, user_id)] == [by_topic["learner.decisions"]]
    assert tree in versions_of(file)


def test_an_empty_batch_is_nothing(file: Path) -> None:
    kept = EmbeddedFile(file)
    kept.setup()
    kept.write([])
    kept.close()
    assert sum(rows(file).values()) == 0


def test_another_programs_file_is_named(file: Path) -> None:
    file.write_text("not a database")
    with pytest.raises(InvalidInput, match=r"kept\.duckdb"):
        EmbeddedFile(file).setup()


def test_who_is_no_uuid_has_no_decisions(file: Path) -> None:
    kept = EmbeddedFile(file)
    kept.setup()
    kept.write(samples())
    kept.close()
    assert list(decisions_of(file, "nobody")) == []
