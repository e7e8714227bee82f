"""A class of simulated learners through the whole stream, in one process.

    simulation ─► feeder ─► learner.events ─► worker ─► states, decisions, dead letters ─┐
                                   │           ▲  └───► tree.examples ─► trainer         │
                                   │           └──────── tree.versions ◄──┘              ▼
                                   └───────────────────────────────────────► collector ─► DuckDB

The first part is sent as fast as it is taken (its rate is the throughput), the last part at a
steady pace well below that (its times are the latency).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.embedded_kafka import EmbeddedKafka
from agents.trainer import TrainerProgress, run_trainer
from agents.worker import run_worker
from config.settings import Settings
from demo.collector import Collector
from demo.conversation import Conversation, converse
from demo.feeder import Feeder, Progress
from schemas.fields import TreeId
from simulation.classroom import simulate
from simulation.disturbance import Ledger, disturb
from sinks.duckdb import DuckdbSink
from streams.learning import TreeMetrics


class Class(NamedTuple):
    """The class that is followed: how many learners, for how many days, drawn from which seed."""

    learners: int = 100
    days: int = 60
    seed: int = 7


@dataclass
class Figures:
    """What a run came to. ``sent`` counts every record, ``ledger`` those that are no new event.

    ``latencies``: milliseconds from sending an event to reading its first decision, for the paced
    part. ``metrics``: how well each tree foretold. ``kept_events``: valid ones that the collector
    read, repeats included; ``faults``: records that do not hold, as it says. ``talk``: a question
    and its answer.
    """

    sent: int
    ledger: Ledger
    outcomes: Counter[str]
    events_per_s: float
    latencies: list[float]
    decisions: int
    kept_events: int
    faults: int
    labels: Counter[str]
    dead_letters: Counter[str]
    versions: Counter[str]
    metrics: dict[TreeId, TreeMetrics] = field(default_factory=dict)
    talk: Conversation | None = None

    @property
    def unaccounted(self) -> int:
        """Records without an outcome, outcomes that the simulation did not cause, dead letters
        that did not come, events that were not kept, records that do not hold."""
        return (
            abs(self.sent - self.outcomes.total())
            + abs(self.ledger.repeats - self.outcomes["repeated"])
            + abs(self.ledger.malformed - self.outcomes["dead"])
            + abs(self.outcomes["dead"] - self.dead_letters.total())
            + abs(self.kept_events - self.outcomes["folded"] - self.outcomes["repeated"])
            + self.faults
        )


async def run_class(settings: Settings, class_: Class, on_progress: Progress) -> Figures:
    """Runs the class to its end; what came out is in the embedded file, which is made anew."""
    ledger = Ledger()
    events = simulate(class_.learners, class_.days, class_.seed)
    lines = list(disturb(events, class_.seed, ledger))
    file = settings.duckdb.file
    for old in (file, file.with_name(f"{file.name}.wal")):
        old.unlink(missing_ok=True)
    with EmbeddedKafka(settings) as broker:
        return await _follow(broker.settings, lines, ledger, on_progress)


async def _follow(
    settings: Settings,
    lines: list[bytes],
    ledger: Ledger,
    on_progress: Progress,
) -> Figures:
    collector = Collector(settings, DuckdbSink(settings.duckdb))
    feeder = Feeder(settings.kafka, collector.sent_at)
    progress: list[TrainerProgress] = []
    fed, worked, learned = asyncio.Event(), asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        worker = tasks.create_task(run_worker(settings, fed, feeder.on_worker))
        trainer = tasks.create_task(run_trainer(settings, worked, progress.append))
        tasks.create_task(collector.run(learned))
        await feeder.send(lines, on_progress)
        talk = await _talk(settings, collector)
        fed.set()
        outcomes = await worker
        worked.set()
        last = await trainer
        learned.set()
    return Figures(
        sent=feeder.sent + (2 if talk else 0),
        ledger=ledger,
        outcomes=outcomes,
        events_per_s=feeder.events_per_s,
        latencies=collector.latencies,
        decisions=collector.decisions,
        kept_events=collector.events,
        faults=collector.faults,
        labels=collector.labels,
        dead_letters=collector.dead_letters,
        versions=collector.versions,
        metrics=last.metrics,
        talk=talk,
    )


async def _talk(settings: Settings, collector: Collector) -> Conversation | None:
    """With the learner who said something last."""
    said = [m for m in collector.chat.values() if m.message_direction == "user"]
    if not said:
        return None
    last = max(said, key=lambda message: message.timestamp)
    return await converse(settings, last, collector.chat.get)


def run(settings: Settings, class_: Class, on_progress: Callable[[int, int], None]) -> Figures:
    """`run_class` in an event loop of its own."""
    return asyncio.run(run_class(settings, class_, on_progress))
