"""More lines than memory may hold come out as `sorted` would give them."""

from __future__ import annotations

import random
import tempfile
import tracemalloc
from collections.abc import Iterator
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converters.external_sort import sorted_lines

LINE = st.binary(max_size=12).map(lambda raw: raw.replace(b"\n", b""))


@settings(deadline=None, max_examples=150)
@given(st.lists(LINE, max_size=60), st.integers(1, 7), st.integers(2, 4))
def test_it_sorts_like_sorted(lines: list[bytes], in_memory: int, fan_in: int) -> None:
    assert list(sorted_lines(lines, in_memory, fan_in)) == sorted(lines)


def test_few_files_are_open_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    files: list[IO[bytes]] = []
    make = tempfile.TemporaryFile

    def noted() -> IO[bytes]:
        files.append(make())
        return files[-1]

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    most = 0
    numbers = [b"%04d" % n for n in random.Random(1).sample(range(1000), 1000)]
    for number, line in enumerate(sorted_lines(iter(numbers), 2, 5)):
        most = max(most, sum(not file.closed for file in files))
        assert line == b"%04d" % number
    # 500 runs in base 5 are 4000: 4 runs of the 4th level; never more than 4 of each.
    assert most == 4
    assert all(file.closed for file in files)


def test_memory_does_not_grow_with_the_lines() -> None:
    def peak(count: int) -> int:
        rng = random.Random(count)
        lines: Iterator[bytes] = (b"%0100d" % rng.getrandbits(64) for _ in range(count))
        tracemalloc.start()
        assert sum(1 for _ in sorted_lines(lines, 500)) == count
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(5_000), peak(30_000)
    # Ten open runs against sixty: their read buffers of 128 kB at most, not the lines.
    assert many < 3_000_000
    assert few < many


def test_no_line_no_file() -> None:
    assert list(sorted_lines(())) == []
