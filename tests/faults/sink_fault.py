"""Sinks killed at a moment of a batch, in turn, under load; every store compared by the audit."""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from faults.all_stores import all_stores
from faults.command_at_a_moment import variables
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.load import Load
from faults.running_sinks import Sinks, sinks, small_batches
from faults.stores_under_load import compared_under_load
from servers.kafka import Kafka
from sinks.registry import STORES

_MOMENTS = ("writing", "written", None)
_LONGEST_SECONDS = 30.0


class SinkFault(NamedTuple):
    """A round is one store's sink, killed before its write, after it or at any time."""

    name: str
    about: str
    asked: int
    together: int = 30
    rate: float = 300

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`.

        Raises:
            ServerUnavailable: one of the stores cannot run here.
        """
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")

        def kill_in_turn(running: Sinks) -> None:
            for number in range(rounds):
                store, moment = STORES[number % len(STORES)], chance.choice(_MOMENTS)
                progress(f"{self.name} seed {seed}, round {number + 1}: {store}, {moment}")
                fault = variables(moment, chance.randint(1, 8), "kill") if moment else None
                running.kill_and_start(store, fault)
                if moment:
                    running.processes[store].wait(_LONGEST_SECONDS)
                    running.processes[store] = running.start(store)
                else:
                    time.sleep(chance.uniform(0.5, 3))

        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as name,
            all_stores() as stores,
        ):
            folder = Path(name)
            settings = small_batches(on_fresh_topics(bootstrap), stores, folder)
            with sinks(settings, folder) as running:
                compared = compared_under_load(
                    settings, running, Load(bootstrap, None, self.rate, seed), kill_in_turn
                )
        return Outcome(rounds, compared, time.monotonic() - began, {})
