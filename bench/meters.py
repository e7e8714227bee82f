"""Meters of the stages of the step (`bench.step_borders`): time, and bytecode instructions."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType
from typing import Any

from bench import step_borders
from bench.step_borders import metered
from bench.step_work import Work, do, fresh

_ENTRIES = 5_000
_OURS = {__file__, step_borders.__file__}


class Stopwatch:
    """Nanoseconds by stage, less what the watch itself takes.

    By the wall clock, which costs little to read. On a busy machine every stage waits for the
    processor in proportion, so the stages' shares hold where their sum does not.
    """

    def __init__(self) -> None:
        self._ns: Counter[str] = Counter()
        self._entered: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._stages = ["other"]
        self._since = time.perf_counter_ns()

    def enter(self, stage: str) -> None:
        before = self._stages[-1]
        self._ns[before] += time.perf_counter_ns() - self._since
        self._left[before] += 1
        self._entered[stage] += 1
        self._stages.append(stage)
        self._since = time.perf_counter_ns()

    def leave(self) -> None:
        self._ns[self._stages.pop()] += time.perf_counter_ns() - self._since
        self._since = time.perf_counter_ns()

    def ns(self, stage: str) -> float:
        """What the stage took itself, and nothing that was entered from it."""
        entered, left = _border_ns()
        return max(0.0, self._ns[stage] - entered * self._entered[stage] - left * self._left[stage])


@cache
def _border_ns() -> tuple[float, float]:
    """What a watch adds to a stage each time that it is entered, and left for another one."""
    watch = Stopwatch()
    empty = step_borders.bordered(lambda: None, "trees", watch)

    def enters() -> None:
        for _ in range(_ENTRIES):
            empty()

    step_borders.bordered(enters, "step", watch)()
    return watch._ns["trees"] / _ENTRIES, watch._ns["step"] / _ENTRIES


class Opcodes:
    """Bytecode instructions by stage: the same for the same work, on every machine.

    C code is not seen: pydantic's validation and orjson's encoding count as one call each.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._stages = ["other"]

    def enter(self, stage: str) -> None:
        self._stages.append(stage)

    def leave(self) -> None:
        self._stages.pop()

    @contextmanager
    def counting(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(before)

    def _call(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_code.co_filename in _OURS:
            return None
        frame.f_trace_lines = False
        frame.f_trace_opcodes = True
        return self._opcode

    def _opcode(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event == "opcode":
            self.counts[self._stages[-1]] += 1
        return self._opcode


def opcodes(work: Work) -> dict[str, float]:
    """Bytecode instructions an event of the work, by stage."""
    meter, given = Opcodes(), fresh(work)
    with metered(meter), meter.counting():
        do(given)
    return {stage: meter.counts[stage] / work.events for stage in step_borders.MEASURED}


def seconds(work: Work) -> float:
    """An event's of this thread's processor time, without any meter; changes the work's tables."""
    began = time.thread_time()
    do(work)
    return (time.thread_time() - began) / work.events
