"""Changes to a JSON document that a change of bytes would hardly hit upon."""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import orjson

_PLAIN: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 5, 23, 2**31, 2**53, -(2**63), 2**64 - 1, 0.0, 0.5, -0.5, 1.0),
    *(1e308, 5e-324, 1e9, "", " ", "0", "1", "-1", "1e3", "nan", "\u0000", "\u202e", "é" * 300),
    *("{because}", "{", '"', "%s", "{reading_level}", "/", "|", "a|b", [], {}, [[]], [{}], {"": 0}),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-02-29T00:00:00Z"),
    *("2026-01-31T09:00:00+00:00", "2026-01-31T24:00:00Z", "2026-12-31T23:59:60Z"),
    *("00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF"),
)
_RAW = (
    *(b"NaN", b"-Infinity", b"1e400", b"-0.0", b"-0", b"1E+2", b"1.", b"01", b"1" + b"0" * 30),
    *(b"9" * 5_000, b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b"[" * 300 + b"]" * 300),
    *(b'{"a":1,"a":2}', b'"\xed\xa0\x80"', b"/**/1", b'"\\u0000"', b"'a'", b"1_000", b"0x10"),
)
_MARK = "\ue000raw"


def mutated(raw: bytes, others: tuple[Any, ...], rng: random.Random) -> bytes | None:
    """The document with one to four changes; ``None`` if it is no JSON.

    Of several, a line each, one is changed, or stands there once more, or no more.

    Args:
        others: documents whose parts may be put in.
    """
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _line_mutated(raw.split(b"\n"), others, rng) if b"\n" in raw else None
    whole: list[Any] = [document]
    spliced: list[bytes] = []
    for _ in range(rng.randint(1, 4)):
        holder, key = rng.choice(list(_places(whole)))
        _change(holder, key, others, spliced, rng)
    try:
        changed = orjson.dumps(whole[0])
    except (TypeError, orjson.JSONEncodeError):
        return None  # nested too deep by now
    for number, text in enumerate(spliced):
        changed = changed.replace(f'"{_MARK}{number}"'.encode(), text)
    return changed


def _line_mutated(lines: list[bytes], others: tuple[Any, ...], rng: random.Random) -> bytes | None:
    place = rng.randrange(len(lines))
    match rng.randrange(6):
        case 0:
            lines.insert(rng.randint(0, len(lines)), lines[place])
        case 1:
            del lines[place]
        case _:
            changed = mutated(lines[place].replace(b"\n", b""), others, rng)
            if changed is None:
                return None
            lines[place] = changed
    return b"\n".join(lines)


def parts_of(documents: Iterator[bytes]) -> tuple[Any, ...]:
    """Every value that stands anywhere in the documents that are JSON."""
    found: list[Any] = []
    for raw in documents:
        try:
            whole = [orjson.loads(raw)]
        except orjson.JSONDecodeError:
            continue
        found += [holder[key] for holder, key in _places(whole)]
    return tuple(found[:2_000])


def _change(
    holder: Any, key: Any, others: tuple[Any, ...], spliced: list[bytes], rng: random.Random
) -> None:
    value = holder[key]
    match rng.randrange(8):
        case 0:
            del holder[key]
            if not holder and key == 0:
                holder.append(None)
        case 1:
            holder[key] = deepcopy(rng.choice(_PLAIN))
        case 2:
            spliced.append(rng.choice(_RAW))
            holder[key] = f"{_MARK}{len(spliced) - 1}"
        case 3 if others:
            holder[key] = deepcopy(rng.choice(others))
        case 4 if isinstance(value, list) and value:
            value += value * rng.choice((1, 2, 10))
            del value[300:]
        case 5 if isinstance(value, dict):
            name = rng.choice(("", "x", "type", "user_id", "é", "a" * 300))
            value[name] = deepcopy(rng.choice(_PLAIN))
        case 6 if type(value) in (int, float):
            holder[key] = value * rng.choice((-1, 2, 1000, 0.5, 1e-6)) + rng.choice((0, 1, -1))
        case 7 if isinstance(value, str):
            holder[key] = value * 2 + rng.choice(("", "a", "\n", "é", " ", "A"))
        case _:
            holder[key] = [value]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything below ``value``."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])
