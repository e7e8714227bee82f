"""The stages of an event's way through a worker, and which of them a call stack is in."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

STAGES = (
    "decode", "guard", "profile", "behaviour", "engagement", "settle", "features", "trees",
    "decisions", "step", "encode", "table", "send", "fetch", "faust", "loop", "other",
)  # fmt: skip
"""In the order of an event's way.

``guard``: is it a repeat, is it too late. ``settle``: examples opened and closed. ``decisions``:
with their prompts, and chat records. ``step``: what `streams.batch` and `streams.step` do between
the others. ``table``: look-ups, and taking a batch over. ``send``: producer and transaction.
``fetch``: the thread that fetches. ``loop``: asyncio.
"""

Call = tuple[str, str]
"""File and function of one frame."""

_FUNCTIONS: dict[Call, str] = {
    ("streams/step.py", "reject_too_late"): "guard",
    ("streams/batch.py", "_forget"): "guard",
    ("streams/scoring.py", "score"): "trees",
    ("streams/decide.py", "decide"): "decisions",
    ("streams/decide.py", "_decision"): "decisions",
    ("schemas/contract.py", "encode"): "encode",
    ("streams/tables.py", "encode_value"): "encode",
    ("agents/partition_tables.py", "encoded"): "encode",
    ("agents/partition_owner.py", "_outgoing"): "send",
}
_FILES = {
    "agents/event_record.py": "decode",
    "streams/decode.py": "decode",
    "streams/seen.py": "guard",
    "streams/profile.py": "profile",
    "streams/behavior.py": "behaviour",
    "streams/engagement.py": "engagement",
    "streams/hindsight.py": "settle",
    "streams/features.py": "features",
    "streams/chat_record.py": "decisions",
    "streams/step.py": "step",
    "streams/batch.py": "step",
    "streams/tables.py": "table",
    "agents/partition_tables.py": "table",
    "agents/transactions.py": "send",
    "agents/transaction_protocol.py": "send",
    "agents/transaction_requests.py": "send",
    "agents/aiokafka_mends.py": "send",
    "client/closed_connections.py": "send",
    "agents/learner.py": "faust",
    "agents/faust_mends.py": "faust",
    "agents/partition_owner.py": "other",
    "agents/metrics.py": "other",
    "agents/metrics_worker.py": "other",
}
_NOT_BY_FILE = {"streams/scoring.py", "streams/decide.py", "schemas/contract.py"}
"""Shared by several stages but for the functions above: whoever called them is asked."""
_PACKAGES = {
    "aiokafka": "send",
    "faust": "faust",
    "mode": "faust",
    "asyncio": "loop",
    "uvloop": "loop",
    "selectors.py": "loop",
    "prometheus_client": "other",
    "bench": "other",
}


def stage_of(stack: Iterable[Call]) -> str:
    """The stage of the innermost frame that belongs to one; ``stack`` begins with the innermost.

    What several stages share (``copy_state``, ``streams.topics``, the standard library) belongs to
    whoever called it. Of the thread that folds: what the other one does is all ``fetch``.
    """
    for file, function in stack:
        stage = owner(file, function)
        if stage is not None:
            return stage
    return "other"


@cache
def owner(file: str, function: str) -> str | None:
    """The stage that a function belongs to, whoever calls it; ``None`` if that depends."""
    parts = file.split("/")
    place = "/".join(parts[-2:])
    known = _FUNCTIONS.get((place, function)) or _FILES.get(place)
    if known is not None or place in _NOT_BY_FILE:
        return known
    return next((_PACKAGES[part] for part in reversed(parts) if part in _PACKAGES), None)
