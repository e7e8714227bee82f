"""DuckDB's answers from files that are empty, in use, half filled, or not ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from config.settings import DuckdbSettings
from queries import duckdb as queries
from schemas.errors import InvalidInput
from schemas.fields import TREE_IDS
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import RETRAINING_TOPICS, DuckdbSink

NOBODY = "00000000-0000-0000-0000-000000000000"


async def write_to(file: Path, records: Sequence[SinkRecord]) -> None:
    sink = DuckdbSink(DuckdbSettings(file=file))
    await sink.setup()
    await sink.write(records)
    await sink.close()


async def test_nothing_was_decided_in_an_empty_file(tmp_path: Path) -> None:
    await write_to(tmp_path / "empty.duckdb", [])
    assert queries.most_decided(tmp_path / "empty.duckdb") is None


async def test_reading_on_for_long_holds_up_no_writer(tmp_path: Path) -> None:
    file = tmp_path / "kept.duckdb"
    await write_to(file, list(stream_records()))
    reading = queries.examples(file, TREE_IDS[0])
    first = next(reading)
    await write_to(file, list(stream_records())[:50])
    assert first not in list(reading)


ASKED: list[Callable[[Path], Any]] = [
    lambda file: queries.course_steps(file, NOBODY, ""),
    lambda file: queries.watched_then(file, "v", "quiz.submitted"),
    queries.falling_confidence,
    lambda file: list(queries.decisions_of(file, NOBODY)),
    lambda file: list(queries.examples(file, TREE_IDS[0])),
]


def wrong_files(folder: Path) -> Iterator[tuple[Path, str]]:
    yield folder / "none.duckdb", "no such file"
    text = folder / "text.duckdb"
    text.write_text("not a database")
    yield text, "not a valid DuckDB database"
    others = folder / "others.duckdb"
    duckdb.connect(str(others)).close()
    yield others, "does not exist"


@pytest.mark.parametrize("ask", ASKED)
def test_a_file_that_is_not_ours_is_named_in_a_line(
    ask: Callable[[Path], Any], tmp_path: Path
) -> None:
    for file, said in wrong_files(tmp_path):
        with pytest.raises(InvalidInput, match=said) as refusal:
            ask(file)
        assert str(refusal.value).startswith(f"{file}: ")
        assert "\n" not in str(refusal.value)


async def test_what_the_file_was_filled_without_is_said(tmp_path: Path) -> None:
    file = tmp_path / "kept.duckdb"
    sink = DuckdbSink(DuckdbSettings(file=file), RETRAINING_TOPICS)
    await sink.setup()
    await sink.close()
    assert list(queries.examples(file, TREE_IDS[0])) == []
    with pytest.raises(InvalidInput, match="events"):
        queries.skill_progress(file, NOBODY)
