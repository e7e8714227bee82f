"""How dead letters are shown: nothing in a record reaches the terminal as a command."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.dlq_view import SHOWN_BYTES, counted, lines, table
from cli.terminal_text import one_line, printable
from schemas.dead_letter import DeadLetter, DeadLetterReason
from schemas.errors import RejectedEvent
from schemas.topics import EVENTS
from streams.batch import Source, dead_letter
from streams.dead_letters import Letter, letter_at, mark_of
from streams.decode import Record

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def content(raw: bytes, detail: str = "no JSON", key: bytes | None = b"k") -> DeadLetter:
    rejected = RejectedEvent(DeadLetterReason.NOT_JSON, detail)
    return dead_letter(Record(9, key, raw, NOW), rejected, Source(EVENTS, 2))


def letter(raw: bytes = b"x", detail: str = "no JSON") -> Letter:
    return letter_at(1, 7, NOW, content(raw, detail))


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b'{"a": "\xc3\xa9"}\n', '{"a": "é"}\n'),
        (b"\xff\xfe", r"\xff\xfe"),
        (b"\x1b[2J\x07\r", r"\x1b[2J\x07\r"),
        ("a\u202eb\u200bc".encode(), r"a\u202eb\u200bc"),
        (b"", ""),
        (b"\x00\t", r"\x00\t"),
    ],
)
def test_what_does_not_print_is_escaped(raw: bytes, shown: str) -> None:
    assert printable(raw) == shown


@given(st.binary(max_size=300))
def test_anything_becomes_text_that_prints(raw: bytes) -> None:
    assert all(c.isprintable() or c == "\n" for c in printable(raw))


@given(st.text(max_size=300))
def test_a_detail_is_one_line(text: str) -> None:
    assert one_line(text).isprintable()


def test_a_letter_with_its_record() -> None:
    shown = list(lines(letter(b"{bad\x1b"), content(b"{bad\x1b", key=b"\xe9\n")))
    assert shown[-1] == r"{bad\x1b"
    assert "from    learner.events/2/9, recorded 2026-03-01 12:00:00 UTC" in shown
    assert "written 2026-03-01 12:00:00 UTC, learner.dlq/1/7" in shown
    assert "state   open" in shown
    assert "key     é" in shown


def test_a_long_record_is_cut_and_says_so() -> None:
    raw = b"x" * (SHOWN_BYTES + 1_500)
    *_, shown, note = lines(letter(raw), content(raw))
    assert shown == "x" * SHOWN_BYTES
    assert note.startswith("… 1,500 bytes more: --raw")


def test_a_settled_letter_says_by_whom() -> None:
    mark = mark_of(letter(), "resent", "anna", NOW, corrected=True)
    shown = list(lines(letter()._replace(mark=mark), content(b"x")))
    assert "state   resent with a correction by anna at 2026-03-01 12:00:00 UTC" in shown


def test_a_table_has_a_line_for_each_however_long_its_detail() -> None:
    head, first, second = table([letter(), letter(detail="a\nb\x1b" * 50)])
    assert head.startswith("written (UTC)")
    assert first.index("learner.events/2/9") == head.index("from")
    assert second.endswith("…")
    assert second.isprintable()


def test_letters_are_counted_by_reason() -> None:
    assert counted([]) == "0 letters"
    assert counted([letter()]) == "1 letter: 1 not_json"
    late = letter()._replace(reason=DeadLetterReason.TOO_LATE)
    assert counted([letter(), late, late]) == "3 letters: 2 too_late, 1 not_json"
