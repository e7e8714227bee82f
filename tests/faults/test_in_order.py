"""What is missing, there too often or out of order is told apart."""

from __future__ import annotations

import pytest

from faults.in_order import compare_in_order
from faults.log_oracle import Compared


@pytest.mark.parametrize(
    ("is_", "lost", "doubled", "different"),
    [
        ("abc", "", "", ""),
        ("ac", "b", "", ""),
        ("abbc", "", "b", ""),
        ("abcx", "", "x", ""),
        ("acx", "b", "x", ""),
        ("acb", "", "", "bc"),
    ],
)
def test_each_is_told(is_: str, lost: str, doubled: str, different: str) -> None:
    found = Compared(3, [], [], [])
    compare_in_order(found, "letter", "abc", is_, "0")
    told = ["".join(one.id for one in kind) for kind in found[1:]]
    assert told == [lost, doubled, different]
