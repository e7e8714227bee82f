"""What a fault of the suite is: a name, and rounds that end in a comparison."""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from config.settings import KafkaSettings, MetricsSettings, Settings, WorkerSettings
from faults.log_oracle import Compared
from servers.kafka import Kafka
from servers.kafka_topics import make_anew

Progress = Callable[[str], None]


class Outcome(NamedTuple):
    """What was found after ``rounds``; ``notes``: figures that belong to one fault only."""

    rounds: int
    compared: Compared
    seconds: float
    notes: dict[str, float]


class BrokenOff(NamedTuple):
    """A run that one of its steps ended: of its ``rounds`` nothing is known."""

    rounds: int
    seconds: float
    why: str


class Fault(Protocol):
    """``asked``: rounds that issue 6 wants; ``together`` of them share one log and one comparison.

    Its input and its steps follow from the seed.
    """

    @property
    def name(self) -> str: ...
    @property
    def about(self) -> str: ...
    @property
    def asked(self) -> int: ...
    @property
    def together(self) -> int: ...

    def run(
        self, bootstrap: str, rounds: int, seed: int, broker: Kafka | None, progress: Progress
    ) -> Outcome:
        """At least ``rounds`` rounds on topics of their own; ``broker``: to be killed."""
        ...


def on_fresh_topics(bootstrap: str, partitions: int = 4) -> Settings:
    """Settings of a Kafka whose topics were made just now, and an ``app_id`` of the run's own."""
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap, partitions=partitions),
        worker=WorkerSettings(app_id=f"f{uuid.uuid4().hex[:8]}"),
        metrics=MetricsSettings(port=0),
    )
    make_anew(settings)
    return settings


def runs(
    fault: Fault, kafka: Kafka, rounds: int, seed: int, progress: Progress
) -> Iterator[Outcome | BrokenOff]:
    """As many runs as the rounds need, each with the next seed, also after one that broke off."""
    while rounds > 0:
        together, began = min(fault.together, rounds), time.monotonic()
        run: Outcome | BrokenOff
        try:
            run = fault.run(kafka.bootstrap, together, seed, kafka, progress)
        except Exception:
            run = BrokenOff(together, time.monotonic() - began, traceback.format_exc())
            kafka.restart()  # whatever state the step has left it in
        yield run
        rounds -= run.rounds
        seed += 1
