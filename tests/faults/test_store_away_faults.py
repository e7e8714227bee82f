"""A short run of each store that is away: nothing is lost, doubled or different."""

from __future__ import annotations

import os

import pytest

from faults.catalogue import STORES_AWAY
from faults.store_away_fault import WAYS, StoreAwayFault

SEED = int(os.environ.get("FAULT_SEED", "7"))
SHORT = [fault._replace(shortest=5, longest=7) for fault in STORES_AWAY]


@pytest.mark.long
@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.store)
def test_each_way(fault: StoreAwayFault, kafka_bootstrap: str) -> None:
    outcome = fault.run(kafka_bootstrap, len(WAYS), SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.notes["noticed"] >= 2
