"""Sinks killed at a moment of a batch, in turn, under load; every store compared by the audit."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from audit.run import StoreReport
from faults.all_stores import all_stores
from faults.command_at_a_moment import variables
from faults.committed_records import lag
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.load import Load
from faults.log_oracle import Compared, Difference
from faults.running_sinks import audited, sinks, small_batches, until
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
        settings = on_fresh_topics(bootstrap)
        load = Load(bootstrap, None, self.rate, seed)
        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as folder,
            all_stores() as stores,
        ):
            settings = small_batches(settings, stores, Path(folder))
            with sinks(settings, Path(folder)) as running:
                load.start()
                try:
                    for number in range(rounds):
                        store = STORES[number % len(STORES)]
                        moment = chance.choice(_MOMENTS)
                        progress(f"{self.name} seed {seed}, round {number + 1}: {store}, {moment}")
                        fault = variables(moment, chance.randint(1, 8), "kill") if moment else None
                        running.kill_and_start(store, fault)
                        if moment:
                            running.processes[store].wait(_LONGEST_SECONDS)
                            running.processes[store] = running.start(store)
                        else:
                            time.sleep(chance.uniform(0.5, 3))
                    load.stop()
                    load.wait()
                finally:
                    load.abandon()
                progress(f"{self.name} seed {seed}: comparing")
                until(lambda: lag(settings) == 0, 120)
                compared = compared_of(audited(settings), events=load.sent)
        return Outcome(rounds, compared, time.monotonic() - began, {})


def compared_of(reports: Iterable[StoreReport], events: int) -> Compared:
    """The audit's findings in the suite's words; those it only counted have no id."""
    found = Compared(events, [], [], [])
    kinds = (("missing", found.lost), ("extra", found.doubled), ("different", found.different))
    for report in reports:
        if report.behind:
            found.lost.append(Difference(report.store, f"{report.behind} records behind", "?"))
        for table in report.tables:
            for kind, into in kinds:
                ids = [one.id for one in table.first if one.kind == kind]
                ids += ["?"] * (getattr(table, kind) - len(ids))
                into.extend(Difference(f"{report.store}.{table.table}", id_, "?") for id_ in ids)
    return found
