"""The state of river's ADWIN as numbers, and back.

``river.drift.ADWIN`` keeps its window in a Rust object that gives its state away only as bytes, and
panics on bytes that are wrong. So the bytes are taken apart here, field by field, and made anew
from checked numbers: a foreign byte never reaches it. The layout is that of the pinned river;
writing back what was read must give the same bytes, or reading refuses.
"""

from __future__ import annotations

import struct
from typing import Any

from river.drift import ADWIN

from schemas.errors import InvalidRecord
from schemas.online_model import BucketRow, WindowState

# delta, clock, max_buckets, min_window_length, grace_period ¦ total, variance, width, total_width
# ¦ four counters ¦ rows
_HEAD = struct.Struct("<diQdd dddd 4i Q")
# max_buckets, filled
_ROW = struct.Struct("<QQ")
_LENGTH = struct.Struct("<Q")
# the arguments that it was made with, once more
_TAIL = struct.Struct("<diQii")
_MAX_COUNTER = 2**31 - 1


def read_window(detector: ADWIN) -> WindowState:
    """What the detector's window holds.

    Raises:
        InvalidRecord: river lays it out in another way than the pinned version.
    """
    raw: bytes = detector._helper.__getstate__()
    try:
        state = _take_apart(detector, raw)
    except (struct.error, IndexError):
        state = None
    if state is None or _put_together(state, detector) != raw:
        raise InvalidRecord("model: ADWIN's state is not laid out as in the pinned river")
    return state


def write_window(state: WindowState, detector: ADWIN) -> None:
    """Puts the state into ``detector``, a new one.

    Raises:
        InvalidRecord: the numbers cannot be those of a window.
    """
    buckets = detector.max_buckets + 1
    for row in state.rows:
        if len(row.totals) != buckets or len(row.variances) != buckets or row.filled > buckets:
            raise InvalidRecord(f"model: a drift window has rows of {buckets} buckets")
    if max(state.counters) > _MAX_COUNTER:
        raise InvalidRecord("model: a counter of a drift window is out of range")
    if state.width > _MAX_COUNTER:
        raise InvalidRecord("model: a drift window is wider than any can be")
    detector._drift_detected = state.drift_detected
    detector._helper.__setstate__(_put_together(state, detector))


def _take_apart(detector: ADWIN, raw: bytes) -> WindowState:
    head: tuple[Any, ...] = _HEAD.unpack_from(raw)
    total, variance, width, total_width = head[5:9]
    at, rows = _HEAD.size, []
    for _ in range(head[13]):
        _, filled = _ROW.unpack_from(raw, at)
        totals, at = _floats(raw, at + _ROW.size)
        variances, at = _floats(raw, at)
        rows.append(BucketRow(filled, totals, variances))
    return WindowState(
        bool(detector.drift_detected), total, variance, width, total_width, head[9:13], tuple(rows)
    )


def _floats(raw: bytes, at: int) -> tuple[tuple[float, ...], int]:
    (length,) = _LENGTH.unpack_from(raw, at)
    start = at + _LENGTH.size
    return struct.unpack_from(f"<{length}d", raw, start), start + 8 * length


def _put_together(state: WindowState, detector: ADWIN) -> bytes:
    made_with = (detector.delta, detector.clock, detector.max_buckets)
    parts = [
        _HEAD.pack(
            *made_with,
            detector.min_window_length,
            detector.grace_period,
            state.total,
            state.variance,
            state.width,
            state.total_width,
            *state.counters,
            len(state.rows),
        )
    ]
    for row in state.rows:
        parts.append(_ROW.pack(detector.max_buckets, row.filled))
        for values in (row.totals, row.variances):
            parts.append(struct.pack(f"<Q{len(values)}d", len(values), *values))
    parts.append(_TAIL.pack(*made_with, detector.min_window_length, detector.grace_period))
    return b"".join(parts)
