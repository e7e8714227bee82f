"""What a report is put beside: the goals, each met or missed, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.console import Console
from rich.table import Table


class Goal(NamedTuple):
    """For a figure of the closing line; ``most`` if less is better, otherwise ``least``."""

    what: str
    figure: str
    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )


GOALS = (
    Goal("a worker on one core, events/s", "events_per_s", least=15_000),
    Goal("… its processor time to the step's alone", "ratio_to_step", most=1.5),
    Goal("… to an agent that takes one event at a time", "ratio_vs_per_event", least=6),
    Goal("… to Quix Streams", "ratio_vs_quix", least=1.5),
    Goal("… changelog bytes an event", "changelog_bytes_per_event"),
    Goal("two workers to one", "scaling_2", least=1.8),
    Goal("with all guards to without any, events/s", "guards_throughput_ratio", least=0.85),
    Goal("half of top load: decided, p50 ms", "latency_p50_ms", most=12),
    Goal("… p99", "latency_p99_ms", most=40),
    Goal("… delivered, p50 ms", "delivered_p50_ms", most=25),
    Goal("… p99", "delivered_p99_ms", most=80),
    Goal("a lone event: decided, p99 ms", "lone_latency_p99_ms", most=25),
    Goal("bytes in a worker's memory for each learner", "worker_bytes_per_learner"),
    Goal("1,000,000 on disk: first decision, s", "recovery_on_disk_seconds_1000000", most=15),
    Goal("… the worker's memory, MB", "worker_on_disk_mb_1000000", most=1_000),
    Goal("trainer, examples/s", "trainer_examples_per_s", least=5_000),
    Goal("… a version holds a worker up, ms", "tree_adoption_longest_ms", most=5),
    Goal("replay, events/s", "replay_events_per_s", least=15_000),
    Goal("10 to 100,000 events of history, share more", "history_growth", most=0.05),
    Goal("10,000 learners at a gateway: echo, p99 ms", "chat_echo_p99_ms", most=100),
)


def table_of(result: Mapping[str, object]) -> Table:
    """The figures that are in ``result``; with their spread over the rounds where it is known."""
    table = Table(box=None, header_style="bold")
    for name in ("what", "measured", "rounds", "goal", ""):
        table.add_column(name)
    for goal in GOALS:
        value = result.get(goal.figure)
        if not isinstance(value, int | float):
            continue
        low, high = (result.get(f"{goal.figure}_{end}") for end in ("min", "max"))
        bound = "" if goal.least is None else f"≥ {goal.least:,}"
        bound = bound if goal.most is None else f"≤ {goal.most:,}"
        table.add_row(
            goal.what,
            f"{value:,}",
            "" if low is None else f"{low:,}–{high:,}",
            bound or "stated",
            "" if not bound else "met" if goal.met(value) else "missed",
        )
    return table


def tell(result: Mapping[str, object]) -> None:
    """On stderr, if there is anything to tell."""
    table = table_of(result)
    if table.row_count:
        Console(stderr=True, width=120).print(table)
