"""Where an event's time goes, by stage: in a whole worker, and in the pure step.

The worker (`bench.sampled_worker`) folds a preloaded topic, pinned to one core. The step is timed
at its borders (`bench.step_borders`), and what it does is counted: bytecode instructions
everywhere, the processor's own where Valgrind is installed. Counts are the same on a busy
machine, so a regression shows in them that hides in the times.
"""

from __future__ import annotations

import gc
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import islice

from bench.contender_process import Told, said_by, started
from bench.feed import feed
from bench.measured_kafka import PARTITIONS, measured_kafka, pin_broker, settings_for
from bench.meters import Stopwatch, opcodes, seconds
from bench.pictures import draw_stages
from bench.stages import STAGES
from bench.step_borders import MEASURED, metered
from bench.step_instructions import BEFORE, EVENTS, step_instructions
from bench.step_work import class_work, do, fresh
from bench.valgrind import valgrind_works
from simulation.classroom import simulate

_WORKERS = 2
_TIMED_EVENTS, _TIMED_ROUNDS = 1_000, 20

ByStage = dict[str, float]


def stage_profile(events: int) -> dict[str, object]:
    """The table, the picture, and the figures for the closing line.

    Args:
        events: that each worker is preloaded with.
    """
    worker, threads = worker_us(events)
    step = step_us()
    ops = opcodes(class_work(BEFORE, EVENTS))
    instructions = step_instructions() if valgrind_works() else {}
    columns = {"worker_us": worker, "step_us": step, "opcodes": ops, "instructions": instructions}
    sys.stderr.write(table_of({name: values for name, values in columns.items() if values}))
    bars: dict[str, tuple[str, Mapping[str, float]]] = {
        "worker": ("µs of processor an event", worker),
        "step alone": ("µs of processor an event", step),
    }
    if instructions:
        bars["step alone, counted"] = ("instructions an event", instructions)
    else:
        bars["step alone, counted"] = ("bytecode instructions an event", ops)
    draw_stages(bars)
    return {
        "stages_us": _rounded(worker, 1),
        "stages_step_us": _rounded(step, 1),
        "stages_opcodes": _rounded(ops, 1),
        "stages_instructions": _rounded(instructions, 0),
        "worker_threads_us": _rounded(threads, 1),
    }


def worker_us(events: int) -> tuple[ByStage, ByStage]:
    """Processor time an event in a worker, by stage and by thread, of two workers in turn."""
    stages: ByStage = defaultdict(float)
    threads: ByStage = defaultdict(float)
    folded = 0
    with measured_kafka() as kafka:
        pin_broker(kafka.pid)
        settings_for(kafka.bootstrap, "warm-up")
        sent = feed(kafka.bootstrap, islice(simulate(learners=400, days=120, seed=1), events))
        for number in range(_WORKERS):
            app_id = f"bench-stages-{number}"
            settings_for(kafka.bootstrap, app_id)
            with started(
                Told("sampled", kafka.bootstrap, app_id, PARTITIONS, sent, core=0)
            ) as process:
                run = said_by(process)
            for found, more in ((stages, run["stages"]), (threads, run["threads"])):
                for name, used in more.items():
                    found[name] += used
            folded += run["events"]
    return (
        worker_stages(stages, threads, folded),
        {thread: 1e6 * used / folded for thread, used in threads.items()},
    )


def worker_stages(
    sampled: Mapping[str, float], threads: Mapping[str, float], events: int
) -> ByStage:
    """µs an event: the folding thread's time shared out as it was sampled, the fetching thread's
    as ``fetch``, that of others as ``other``."""
    folding = threads["folding"] / sum(sampled.values())
    found = defaultdict(float, {stage: folding * used for stage, used in sampled.items()})
    found["fetch"] += threads["fetching"]
    found["other"] += threads["others"]
    return {stage: 1e6 * found[stage] / events for stage in STAGES if stage in found}


def step_us() -> ByStage:
    """µs of processor an event by stage: the whole, measured without borders, shared out as the
    stages were measured. Python's collector is off meanwhile."""
    work, watch = class_work(BEFORE, _TIMED_EVENTS), Stopwatch()
    whole = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(_TIMED_ROUNDS):
            whole.append(1e6 * seconds(fresh(work)))
            with metered(watch):
                do(fresh(work))
    finally:
        gc.enable()
    taken = {stage: watch.ns(stage) for stage in MEASURED}
    share = statistics.median(whole) / sum(taken.values())
    return {stage: share * ns for stage, ns in taken.items()}


def table_of(columns: Mapping[str, Mapping[str, float]]) -> str:
    """A line for each stage, and their sum."""
    lines = [" " * 11 + "".join(f"{name:>14}" for name in columns)]
    for stage in STAGES:
        values = [column.get(stage) for column in columns.values()]
        if any(values):
            cells = [f"{value:14,.1f}" if value is not None else " " * 14 for value in values]
            lines.append(f"{stage:<11}" + "".join(cells))
    sums = [sum(column.values()) for column in columns.values()]
    lines.append(f"{'all':<11}" + "".join(f"{value:14,.1f}" for value in sums))
    return "\n".join(lines) + "\n"


def _rounded(values: Mapping[str, float], digits: int) -> ByStage:
    return {stage: round(value, digits) for stage, value in values.items()}
