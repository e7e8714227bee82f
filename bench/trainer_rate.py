"""Examples that a trainer learns a second, and how long a version of its holds a worker up.

The trainer runs here, pinned to one core with the broker on the others, on examples that stand on
``tree.examples`` already: fetch, check, learn, snapshots and versions in their transactions. Each
version is then read and compiled as a worker does it in its event loop, between two batches.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from structlog.testing import capture_logs

from agents.full_collections import collect_now_and_not_later
from agents.prompt_sets import prompts_in
from agents.topics import EVENTS, EXAMPLES, TREE_VERSIONS
from agents.trainer import Trainer, TrainerProgress
from bench.feed import Keyed, send
from bench.measured_kafka import PARTITIONS, measured_kafka, pin_broker
from bench.step_work import as_records
from config.seed_trees import seed_trees
from config.settings import Settings
from faults.committed_records import committed_records
from faults.fault import on_fresh_topics
from schemas.contract import encode
from schemas.tree import TreeDocument
from simulation.classroom import simulate
from streams.batch import Source
from streams.replay import Replay
from streams.rules import Rules
from streams.scoring import compile_tree

_CORE = 0
_TRIES = 5
"""Of each adoption; the quickest counts, so that a pause of the machine is no version's doing."""


class Learned(NamedTuple):
    """By one trainer; ``cpu_us`` of its core an example."""

    examples_per_s: float
    cpu_us: float
    progress: TrainerProgress


def trainer_rate(events: int, rounds: int) -> dict[str, object]:
    """``trainer_examples_per_s``, median over the rounds, and ``tree_adoption_longest_ms``.

    Args:
        events: of a simulated class; a fourth of them settles an example.

    Raises:
        SystemExit: an example was refused, or the rounds did not end with the same trees.
    """
    examples = list(_examples(events))
    found: list[Learned] = []
    with measured_kafka() as kafka:
        pin_broker(kafka.pid, {_CORE})
        for round_ in range(rounds):
            settings = on_fresh_topics(kafka.bootstrap, PARTITIONS)
            send(kafka.bootstrap, examples)
            with _pinned(), capture_logs():
                learned = asyncio.run(_learned(settings, len(examples)))
            found.append(learned)
            sys.stderr.write(
                f"round {round_ + 1}/{rounds} trainer: {learned.examples_per_s:8,.0f} examples/s, "
                f"{learned.cpu_us:.0f} µs CPU/example, {learned.progress.versions} versions\n"
            )
        if any(each.progress != found[0].progress for each in found) or found[0].progress.refused:
            raise SystemExit(f"the rounds did not end alike: {[each.progress for each in found]}")
        held = _adoptions(kafka.bootstrap)  # of the last round, whose topics are still there
    sys.stderr.write(f"a worker takes a version in {min(held):.2f}–{max(held):.2f} ms\n")
    return {
        "trainer_examples": len(examples),
        "trainer_examples_per_s": round(statistics.median(each.examples_per_s for each in found)),
        "trainer_cpu_us_per_example": round(statistics.median(each.cpu_us for each in found), 1),
        "trainer_versions": found[0].progress.versions,
        "tree_adoption_longest_ms": round(max(held), 2),
    }


def _examples(events: int) -> Iterator[Keyed]:
    lines = islice(simulate(learners=400, days=120, seed=1), events)
    replay = Replay(seed_trees(), Rules(prompts=prompts_in(None)), Source(EVENTS, 0))
    for batch in replay.feed(as_records(lines)):
        for example in batch.examples:
            yield Keyed(EXAMPLES, example.user_id.encode(), encode(example))


@contextmanager
def _pinned() -> Iterator[None]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {_CORE})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


async def _learned(settings: Settings, examples: int) -> Learned:
    """From the first fetch to the last snapshot."""
    trainer = Trainer(settings)
    try:
        await trainer.start()
        began, cpu = time.perf_counter(), time.process_time()
        progress = await trainer.progress()
        while progress.examples + progress.refused < examples:
            await trainer.learn_some()
            progress = await trainer.progress()
        await trainer.keep()
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    finally:
        await trainer.close()
    return Learned(examples / seconds, 1e6 * cpu / examples, progress)


def _adoptions(bootstrap: str) -> list[float]:
    """Milliseconds for each version on ``tree.versions``."""
    collect_now_and_not_later()  # as a worker does
    raws = [message.value() for message in committed_records(bootstrap, TREE_VERSIONS)[0]]
    return [min(_adoption(raw) for _ in range(_TRIES)) for raw in raws]


def _adoption(raw: bytes) -> float:
    began = time.perf_counter()
    compile_tree(TreeDocument.model_validate_json(raw))
    return 1000 * (time.perf_counter() - began)
