"""`TrainerSnapshot`: where the trainer stands, as one record on ``tree.snapshots``.

Models, versions in force, measures and the offsets to read from next are one record, so that they
can never disagree. It is data only: nothing in it is code or names a class.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field
from pydantic import Field, TypeAdapter

from schemas.contract import Contract
from schemas.fields import Count, Total, TreeId, Uuid

RECENT_EXAMPLES = 256
MAX_SNAPSHOT_BYTES = 8_000_000


class Tally(Contract):
    """Predictions made before the answer was known, and how many were right.

    ``faded_…``: the same with older ones counting less (Gama, Sebastião & Rodrigues 2013).
    """

    count: Count = 0
    correct: Count = 0
    faded_count: Total = 0.0
    faded_correct: Total = 0.0


class TreeSnapshot(Contract):
    """One tree's learning. ``model``: ``streams.model_codec``'s bytes in base64, zlib inside.

    ``since_champion_…`` count from when the champion came into force; the rest never restarts.
    ``recent_ids`` are the example ids learned last, oldest first.
    """

    champion_version: Count
    model: Annotated[str, Field(max_length=MAX_SNAPSHOT_BYTES)]
    challenger: Tally = field(default_factory=Tally)
    champion: Tally = field(default_factory=Tally)
    baseline: Tally = field(default_factory=Tally)
    since_champion_challenger: Tally = field(default_factory=Tally)
    since_champion_champion: Tally = field(default_factory=Tally)
    label_counts: dict[str, Count] = field(default_factory=dict)
    recent_ids: Annotated[tuple[Uuid, ...], Field(max_length=RECENT_EXAMPLES)] = ()


class TrainerSnapshot(Contract):
    """``offsets``: per partition of ``tree.examples``, the offset to read from next."""

    trees: dict[TreeId, TreeSnapshot]
    offsets: dict[Count, Count]
    format: Literal[1] = 1


snapshot_adapter: TypeAdapter[TrainerSnapshot] = TypeAdapter(TrainerSnapshot)
