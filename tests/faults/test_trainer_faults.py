"""The trainer killed: it learns each example once."""

from __future__ import annotations

import os

from faults.catalogue import TRAINER_KILLED

SEED = int(os.environ.get("FAULT_SEED", "7"))


def test_killed_three_times_it_learns_each_example_once(kafka_bootstrap: str) -> None:
    outcome = TRAINER_KILLED.run(kafka_bootstrap, 3, SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.notes["versions"] >= 3
