"""One run of one contender on Faust, in a process of its own (`bench.contender_process`).

It runs from the first events handled to the last, and counts as through when Kafka has it all.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from tempfile import TemporaryDirectory

from agents.learner import LearnerAgent
from agents.metrics_worker import WorkerMetrics
from agents.prompt_sets import prompts_in
from agents.topics import EVENTS
from bench.contender_process import READY, Clock, Run, Told, leave, tell, told
from bench.per_event_agent import PerEventAgent
from bench.unguarded import all_delivered, take_out_all_guards
from config.seed_trees import seed_trees
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.step import Trees

_POLL_SECONDS = 0.005


async def run(told: Told) -> Run:
    """Starts the contender, waits until it has handled its events, leaves it running."""
    trees = compile_trees(seed_trees())
    if told.kind == "per_event":
        return await _per_event(told, trees)
    return await _lists(told, trees)


async def _per_event(told: Told, trees: Trees) -> Run:
    with TemporaryDirectory() as folder:
        agent = PerEventAgent(told.settings, trees, told.partitions, folder)
        agent.app.finalize()
        await agent.app.start()
        # Ours is counted when Kafka has it.
        return await _timed(told.events, lambda: agent.folded, agent.app.producer.flush)


async def _lists(told: Told, trees: Trees) -> Run:
    delivered: Callable[[], Awaitable[object]] | None = None
    if told.kind == "unguarded":
        take_out_all_guards()
        delivered = all_delivered
    metrics = WorkerMetrics()
    agent = LearnerAgent(
        told.settings,
        Rules(prompts=prompts_in(None)),
        lambda: trees,
        leave,
        told.partitions,
        metrics=metrics,
    )
    await agent.start()
    if told.own is not None:
        while not agent.ready or _owned(agent) != told.own:
            await asyncio.sleep(_POLL_SECONDS)
        tell(READY)

    def handled() -> int:
        return agent.counts.total()

    run = await _timed(told.events, handled, delivered)
    batches = metrics.registry.get_sample_value("learner_batch_events_count")
    return run._replace(batch_records=handled() / batches if batches else None)


def _owned(agent: LearnerAgent) -> int:
    return sum(tp.topic == EVENTS for tp in agent.app.consumer.assignment())


async def _timed(
    events: int, handled: Callable[[], int], delivered: Callable[[], Awaitable[object]] | None
) -> Run:
    while not (first := handled()):
        await asyncio.sleep(_POLL_SECONDS)
    clock = Clock(first)
    while handled() < events:
        await asyncio.sleep(_POLL_SECONDS)
    if delivered is not None:
        await delivered()
    return clock.stopped(handled())


async def _run_and_leave(told: Told) -> None:
    tell(await run(told))
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(_run_and_leave(told()))
