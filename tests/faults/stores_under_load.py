"""Stores under a load while something is done to them or their sinks, compared by the audit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from audit.run import StoreReport
from config.settings import Settings
from faults.committed_records import lag
from faults.load import Load
from faults.log_oracle import Compared, Difference
from faults.running_sinks import Sinks, audited, behind, made, until

AWAY = '"event": "store is away"'
"""What a sink says once its store does not take a batch."""
_IN_STEP = 500
"""Records behind, at most, of a sink that keeps up."""
_BEGIN_SECONDS = 60.0
_CATCH_UP_SECONDS = 240.0
_READ_SECONDS = 120.0


def compared_under_load(
    settings: Settings, running: Sinks, load: Load, do: Callable[[Sinks], None]
) -> Compared:
    """What the stores have once ``do`` is over and the load has ended; the sinks must be alive
    then."""
    load.start()
    try:
        do(running)
        load.stop()
        load.wait()
    finally:
        load.abandon()
    until(lambda: lag(settings) == 0, _READ_SECONDS)
    return compared_of(audited(settings, running.processes), events=load.sent)


def wait_until_begun(settings: Settings, running: Sinks, store: str) -> None:
    """Until there is something for the sink, and it keeps up.

    Raises:
        AssertionError: it does not, or has left.
    """
    until(lambda: made(settings, store) > _IN_STEP, _BEGIN_SECONDS)
    seconds_to_catch_up(settings, running, store)


def seconds_to_catch_up(settings: Settings, running: Sinks, store: str) -> float:
    """Waits for it.

    Raises:
        AssertionError: the sink does not catch up, or has left.
    """
    began = time.monotonic()
    while behind(settings, store) > _IN_STEP:
        running.assert_alive()
        assert time.monotonic() - began < _CATCH_UP_SECONDS, running.said(store)[-2000:]
        time.sleep(0.5)
    return time.monotonic() - began


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
