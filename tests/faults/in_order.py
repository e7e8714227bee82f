"""What must stand in a certain order against what stands there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from faults.log_oracle import Compared, Difference


def compare_in_order(
    found: Compared, what: str, must: Sequence[str], is_: Sequence[str], place: str
) -> None:
    """Adds to ``found`` what is missing, what is there too often or out of its order."""
    wanted, there = Counter(must), Counter(is_)
    found.lost.extend(Difference(what, id_, place) for id_ in (wanted - there).elements())
    found.doubled.extend(Difference(what, id_, place) for id_ in (there - wanted).elements())
    if wanted == there:
        found.different.extend(
            Difference(f"{what} in the place of {wrong}", right, place)
            for right, wrong in zip(must, is_, strict=True)
            if right != wrong
        )
