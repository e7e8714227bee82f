"""One worker on a preloaded topic, its processor time by stage; its process is that of
`bench.contender_process`.

A timer on the folding thread's own processor time interrupts it some 250 times a second. Python
runs the handler in that thread at the next instruction that looks for signals, which is right after
a call into C, in the function that made the call; a sample counts as much as the thread has worked
since the one before. So C code counts for its caller, waiting counts for nothing, and the other
threads do not disturb. A thread that looks at `sys._current_frames` gets to run where
the other one lets go of the interpreter, before each read and write, and would see little else.

Linux counts for each thread, so folding, fetching and the rest are told apart exactly.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from agents.learner import LearnerAgent
from agents.prompt_sets import prompts_in
from bench.contender_process import Told, leave, tell, told
from bench.stages import Call, stage_of
from config.seed_trees import seed_trees
from config.settings import Settings
from streams.rules import Rules
from streams.scoring import compile_trees

_CLOCK_THREAD_CPUTIME_ID = 3
_SIGEV_THREAD_ID = 4
_EVERY_NS = 4_000_000
_POLL_SECONDS = 0.02


class _SignalEvent(ctypes.Structure):
    """``struct sigevent`` of Linux."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("_rest", ctypes.c_int * 11),
    )


class Sampler:
    """By stage, seconds of processor time of the thread that sampled; see the module."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._before = 0.0

    @contextmanager
    def sampling(self) -> Iterator[None]:
        """Of the main thread, which must be the one that asks."""
        libc = ctypes.CDLL(None, use_errno=True)
        event = _SignalEvent(None, signal.SIGPROF, _SIGEV_THREAD_ID, threading.get_native_id())
        timer = ctypes.c_void_p()
        signal.signal(signal.SIGPROF, self._sample)
        if libc.timer_create(_CLOCK_THREAD_CPUTIME_ID, ctypes.byref(event), ctypes.byref(timer)):
            raise OSError(ctypes.get_errno(), "timer_create")
        every = (ctypes.c_long * 4)(0, _EVERY_NS, 0, _EVERY_NS)
        self._before = time.thread_time()
        libc.timer_settime(timer, 0, every, None)
        try:
            yield
        finally:
            libc.timer_delete(timer)
            signal.signal(signal.SIGPROF, signal.SIG_IGN)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self.seconds[stage_of(_calls(frame))] += time.thread_time() - self._before
        self._before = time.thread_time()


def _calls(frame: FrameType | None) -> Iterator[Call]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_code.co_name
        frame = frame.f_back


class Clocks:
    """Processor seconds since it was made, of each thread that Python knows, and of the process."""

    def __init__(self) -> None:
        self._threads = self._now()
        self._process = time.process_time()

    def seconds(self) -> dict[str, float]:
        """``folding``, ``fetching``, and ``others`` (of Python and of C libraries)."""
        now, process = self._now(), time.process_time() - self._process
        used = {ident: at - self._threads.get(ident, 0.0) for ident, at in now.items()}
        main = threading.main_thread().ident
        folding = used.pop(main) if main is not None else 0.0
        fetching = max(used.values(), default=0.0)
        return {"folding": folding, "fetching": fetching, "others": process - folding - fetching}

    @staticmethod
    def _now() -> dict[int, float]:
        idents = [thread.ident for thread in threading.enumerate() if thread.ident is not None]
        return {ident: time.clock_gettime(time.pthread_getcpuclockid(ident)) for ident in idents}


async def run(settings: Settings, events: int) -> dict[str, object]:
    """From the first batch to the last: events, seconds, and processor seconds by stage and
    thread."""
    trees = compile_trees(seed_trees())
    decides = Rules(prompts=prompts_in(None))
    agent = LearnerAgent(settings, decides, lambda: trees, leave, settings.kafka.partitions)
    await agent.start()
    while not (first := agent.counts.total()):
        await asyncio.sleep(_POLL_SECONDS)
    sampler, clocks, began = Sampler(), Clocks(), time.perf_counter()
    with sampler.sampling():
        while agent.counts.total() < events:
            await asyncio.sleep(_POLL_SECONDS)
    return {
        "events": agent.counts.total() - first,
        "seconds": time.perf_counter() - began,
        "threads": clocks.seconds(),
        "stages": sampler.seconds,
    }


async def _run_and_leave(told: Told) -> None:
    tell(json.dumps(await run(told.settings, told.events)))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_run_and_leave(told()))
