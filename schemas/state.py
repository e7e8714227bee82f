"""How a table's value is declared: a plain dataclass that pydantic can check.

Folds work on plain attributes, ``orjson`` writes them natively, and ``TypeAdapter`` validates what
comes back from a changelog: one definition, no conversion (docs/decisions/0003).
A state is never edited in place once it is in a table: a fold copies what it changes.
"""

from __future__ import annotations

from typing import TypeVar

import orjson
from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

S = TypeVar("S")


def copy_state(state: S) -> S:
    """A shallow copy of a state; its containers are shared, so replace them, never edit them."""
    new: S = object.__new__(type(state))
    new.__dict__.update(state.__dict__)
    return new


def encode(value: object) -> bytes:
    """Any state or contract dataclass as compact JSON, times in RFC 3339 with ``Z``."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)
