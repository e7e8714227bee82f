"""How dead letters are shown: whatever is in a record, a terminal stays unharmed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cli.terminal_text import one_line, printable
from schemas.dead_letter import DeadLetter
from streams.dead_letters import Letter, by_reason

SHOWN_BYTES = 4_000
_SHOWN_DETAIL = 80
_HEAD = ("written (UTC)", "state", "reason", "from", "bytes", "id", "detail")


def table(letters: Iterable[Letter]) -> Iterable[str]:
    """A line for each, under a head."""
    rows = [_HEAD, *map(_row, letters)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


def counted(letters: Iterable[Letter]) -> str:
    """``12 letters: 7 not_json, 5 too_late``."""
    counts = by_reason(letters)
    total = counts.total()
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    return f"{total:,} letter{'' if total == 1 else 's'}" + (f": {reasons}" if reasons else "")


def for_programs(letter: Letter) -> dict[str, Any]:
    """Without the record: ``detail`` is cut."""
    return {**letter._asdict(), "state": letter.state}


def lines(letter: Letter, content: DeadLetter) -> Iterable[str]:
    """All of a letter, its record cut to `SHOWN_BYTES`."""
    state: str = letter.state
    if letter.mark is not None:
        how = " with a correction" if letter.mark.corrected else ""
        by = one_line(letter.mark.settled_by)
        state += f"{how} by {by} at {letter.mark.settled_at:%Y-%m-%d %H:%M:%S} UTC"
    recorded = content.recorded_at
    came = f", recorded {recorded:%Y-%m-%d %H:%M:%S} UTC" if recorded else ""
    yield f"letter  {letter.dead_letter_id}"
    yield f"state   {state}"
    yield f"reason  {content.reason}"
    yield f"detail  {one_line(content.detail)}"
    yield f"from    {_place(letter)}{came}"
    yield f"key     {'none' if content.key is None else one_line(content.key.decode('latin-1'))}"
    written = f"{letter.written_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"written {written}, learner.dlq/{letter.partition}/{letter.offset}"
    yield f"record  {letter.size:,} bytes"
    yield ""
    yield printable(content.raw[:SHOWN_BYTES])
    more = len(content.raw) - SHOWN_BYTES
    if more > 0:
        yield f"… {more:,} bytes more: --raw FILE writes all of it"


def _row(letter: Letter) -> tuple[str, ...]:
    detail = one_line(letter.detail)
    return (
        f"{letter.written_at:%Y-%m-%d %H:%M:%S}",
        letter.state,
        letter.reason,
        _place(letter),
        f"{letter.size:,}",
        letter.dead_letter_id,
        detail if len(detail) <= _SHOWN_DETAIL else f"{detail[: _SHOWN_DETAIL - 1]}…",
    )


def _place(letter: Letter) -> str:
    topic = one_line(letter.source_topic)
    return f"{topic}/{letter.source_partition}/{letter.source_offset}"
