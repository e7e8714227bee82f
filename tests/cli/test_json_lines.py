"""Input in lines, however long they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import json_lines
from cli.json_lines import open_lines
from schemas.errors import InvalidInput


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nbc\n", [b"a\n", b"bc\n"]),
        (b"a\nbc", [b"a\n", b"bc"]),
        (b"\n\n", [b"\n", b"\n"]),
        (b"12345678\nnext\n", [b"12345678", b"next\n"]),
        (b"12345678901234567890\nnext\n", [b"12345678", b"next\n"]),
        (b"12345678901234567890", [b"12345678"]),
    ],
)
def test_a_line_is_cut_at_the_longest_and_the_next_one_is_whole(
    content: bytes, lines: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_lines, "LONGEST_LINE", 8)
    (tmp_path / "x").write_bytes(content)
    with open_lines(str(tmp_path / "x")) as found:
        assert list(found) == lines


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="directory"), open_lines(str(tmp_path)):
        pass
