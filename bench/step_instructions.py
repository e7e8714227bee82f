"""Instructions by stage of the pure step: `python -m bench.step_instructions` under Valgrind.

Each stage is counted in a pass of its own over the same work, and the whole in one without any
borders.
"""

from __future__ import annotations

import gc
import json
import sys
from functools import partial

from bench.step_borders import MEASURED, metered
from bench.step_work import Work, class_work, do, fresh
from bench.valgrind import CROSSINGS, Callgrind, Collector, counted_under_valgrind, crossings

BEFORE, EVENTS = 3_000, 200
_ENTERED, _LEFT = "entered", "left_for_another"


def step_instructions() -> dict[str, float]:
    """Instructions an event by stage, with what telling a meter takes subtracted; ``other``: what
    is left of the whole.

    Only where `bench.valgrind.valgrind_works`.
    """
    counted, said = counted_under_valgrind("bench.step_instructions")
    return by_stage(counted, json.loads(said), EVENTS)


def by_stage(
    counted: dict[str, int], crossed: dict[str, list[int]], events: int
) -> dict[str, float]:
    """An event's, from what was counted of all and how often each stage was crossed."""
    entered, left = counted[_ENTERED] / CROSSINGS, counted[_LEFT] / CROSSINGS
    found = {
        stage: (counted[stage] - entered * times[0] - left * times[1]) / events
        for stage, times in crossed.items()
    }
    return {**found, "other": counted["all"] / events - sum(found.values())}


def main() -> None:
    work, callgrind = class_work(BEFORE, EVENTS), Callgrind()
    assert callgrind.runs, "only under valgrind: see bench.valgrind"
    do(fresh(work))
    gc.collect()
    gc.disable()
    for kind in (_ENTERED, _LEFT):
        callgrind.count(kind, partial(crossings, callgrind, kind))
    crossed = {}
    for stage in MEASURED:
        meter = Collector(callgrind, stage)
        with metered(meter):
            callgrind.count(stage, partial(do, fresh(work)))
        crossed[stage] = (meter.entered, meter.left_for_another)
    callgrind.count("all", partial(counted_whole, callgrind, fresh(work)))
    sys.stdout.write(json.dumps(crossed) + "\n")


def counted_whole(callgrind: Callgrind, work: Work) -> None:
    """Does the work, all of it counted."""
    callgrind.toggle()
    do(work)
    callgrind.toggle()


if __name__ == "__main__":
    main()
