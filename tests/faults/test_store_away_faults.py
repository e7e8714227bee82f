"""A short run of each store that is away: nothing is lost, doubled or different."""

from __future__ import annotations

import os
from typing import Any

import pytest

from faults.catalogue import STORES_AWAY
from faults.store_away_fault import WAYS, StoreAwayFault

SEED = int(os.environ.get("FAULT_SEED", "7"))
IN_EVERY_RUN = ("redis",)
"""Of the others `test_store_away` has each killed; in each way they are away with ``-m long``."""


def short(fault: StoreAwayFault) -> Any:
    marks = () if fault.store in IN_EVERY_RUN else (pytest.mark.long,)
    return pytest.param(fault._replace(shortest=5, longest=7, rate=50), id=fault.store, marks=marks)


@pytest.mark.parametrize("fault", [short(fault) for fault in STORES_AWAY])
def test_each_way(fault: StoreAwayFault, kafka_bootstrap: str) -> None:
    outcome = fault.run(kafka_bootstrap, len(WAYS), SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.notes["noticed"] >= 2
