"""A full disk under the embedded file: nothing is lost once there is room again."""

from __future__ import annotations

import os

from faults.catalogue import DISK_FULL

SEED = int(os.environ.get("FAULT_SEED", "7"))


def test_the_sink_waits_for_room(kafka_bootstrap: str) -> None:
    outcome = DISK_FULL._replace(longest=2, rate=40).run(kafka_bootstrap, 1, SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
