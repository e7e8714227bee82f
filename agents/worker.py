"""Runs the learner agent until it is told to stop, or has to leave.

A worker that meets an error it cannot mend leaves its process at once, without the graceful stop
that would commit or wait: the next start restores what Kafka has committed, and only that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import structlog

from agents import topics
from agents.broker_errors import broker_errors
from agents.kafka_client import committed_reader
from agents.learner import LearnerAgent
from agents.metrics_worker import WorkerMetrics
from agents.prompt_sets import prompts_in
from agents.tree_versions import TreeVersions
from config.seed_trees import seed_trees
from config.settings import KafkaSettings, Settings, WorkerSettings
from schemas.errors import BrokerUnavailable, LeftInDoubt
from schemas.tree import TreeDocument
from streams.prompt import PLAIN, Prompts
from streams.rules import Rules
from streams.scoring import compile_tree, compile_trees
from streams.step import Trees

log = structlog.get_logger(__name__)

Progress = Callable[[Counter[str]], None]
"""Called many times a second with what happened to the records so far."""

_PROGRESS_SECONDS = 0.05


def rules(worker: WorkerSettings, prompts: Prompts = PLAIN) -> Rules:
    """The settings that decide, as the pure parts take them.

    Args:
        prompts: `agents.prompt_sets.prompts_in` the folder of the settings, for who decides; who
            only judges events needs none.
    """
    return Rules(
        max_event_bytes=worker.max_event_bytes,
        future_tolerance=timedelta(seconds=worker.future_tolerance_seconds),
        horizon=timedelta(days=worker.horizon_days),
        decide_on_every_event=worker.decide_on_every_event,
        prompts=prompts,
    )


async def run_worker(
    settings: Settings,
    stop: asyncio.Event,
    on_progress: Progress | None = None,
    metrics: WorkerMetrics | None = None,
) -> Counter[str]:
    """Works until ``stop`` is set; returns what happened to the records, by outcome.

    Raises:
        BrokerUnavailable: Kafka cannot be reached, or our topics are not there.
        InvalidSetting: the prompts cannot be used.
        LeftInDoubt: whatever the worker had to leave for once it had begun.
    """
    decides = rules(settings.worker, prompts_in(settings.prompts.folder))
    partitions = await _partitions(settings.kafka, settings.worker.app_id)
    trees = CurrentTrees()
    versions = None if settings.worker.pin_trees else TreeVersions(settings.kafka, trees.adopt)
    if versions is not None:
        await versions.start()
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def leave(error: BaseException) -> None:
        if not failed.done():
            left = LeftInDoubt(str(error))
            left.__cause__ = error
            failed.set_exception(left)

    agent = LearnerAgent(settings, decides, trees.compiled, leave, partitions, metrics=metrics)
    await agent.start()
    stopping = asyncio.ensure_future(stop.wait())
    try:
        while not stopping.done():
            await asyncio.wait(
                (stopping, failed),
                timeout=_PROGRESS_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if failed.done():
                failed.result()
            if on_progress is not None:
                on_progress(agent.counts)
    finally:
        stopping.cancel()
    await agent.stop()
    if versions is not None:
        await versions.stop()
    return agent.counts


class CurrentTrees:
    """The version of each tree in force, compiled when it changes."""

    def __init__(self) -> None:
        self._compiled = compile_trees(seed_trees())

    def compiled(self) -> Trees:
        """What the next batch decides with."""
        return self._compiled

    def adopt(self, document: TreeDocument) -> None:
        """Puts a version in force: a new mapping, so a batch under way keeps the one it has."""
        self._compiled = {**self._compiled, document.tree_id: compile_tree(document)}
        log.info("tree in force", tree_id=document.tree_id, version=document.version)


async def _partitions(kafka: KafkaSettings, app_id: str) -> int:
    """How many partitions ``learner.events`` has; all that goes with it must have as many."""
    consumer = committed_reader(kafka)
    try:
        with broker_errors(kafka):
            await consumer.start()
            cluster = await consumer._client.fetch_all_metadata()
    finally:
        await consumer.stop()
    co_partitioned = [topics.changelog(app_id, table) for table in topics.TABLES]
    co_partitioned += [
        topics.DECISIONS,
        topics.CHAT,
        topics.EXAMPLES,
        topics.DEAD_LETTERS,
        topics.ADOPTIONS,
    ]
    counts = {name: len(cluster.partitions_for_topic(name) or ()) for name in cluster.topics()}
    for name in (topics.EVENTS, *co_partitioned, topics.TREE_VERSIONS, topics.PROMPT_SETS):
        if not counts.get(name):
            raise BrokerUnavailable(f"topic {name} is not there: run `learner topics create`")
    for name in co_partitioned:
        if counts[name] != counts[topics.EVENTS]:
            raise BrokerUnavailable(
                f"topic {name} has {counts[name]} partitions, {topics.EVENTS} has "
                f"{counts[topics.EVENTS]}: they must have as many"
            )
    return counts[topics.EVENTS]
