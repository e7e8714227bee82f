"""Fold, guards and commits under any interleaving; and each guard taken out in turn is missed."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from interleavings.checked_world import Different
from interleavings.machine import Interleavings
from interleavings.modelled_kafka import Guards

HEALTH = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=HEALTH
)


class Missed(NamedTuple):
    """A world without a guard. ``without``: rules that only make the fault rarer; the whole machine
    finds it too, after some hundred examples."""

    guards: Guards
    without: tuple[str, ...] = ()


MISSED = {
    "the fence": Missed(Guards(fence=False)),
    "the position in the transaction: written before": Missed(Guards(position="before")),
    "the position in the transaction: written after": Missed(Guards(position="after")),
    "restoring to the very end": Missed(Guards(restore_to_end=False)),
    "the ids that were seen": Missed(Guards(repeats=False)),
    "the offset in the state": Missed(
        Guards(offsets=False), ("die", "freeze", "wake", "skip", "produce_bad", "repeat")
    ),
    "refusing a list that skips": Missed(Guards(gaps=False), ("freeze", "wake", "set_back")),
}


@pytest.mark.parametrize("missed", MISSED.values(), ids=MISSED)
def test_without_a_guard_the_machine_finds_loss_or_doubling(missed: Missed) -> None:
    left_out = dict.fromkeys(missed.without)
    machine = type("Unguarded", (Interleavings,), {"guards": missed.guards, **left_out})
    with pytest.raises(Different):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=2_000,
                stateful_step_count=40,
                deadline=None,
                derandomize=True,
                database=None,
                phases=(Phase.generate,),
                suppress_health_check=HEALTH,
                print_blob=False,
            ),
        )
