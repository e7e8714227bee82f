"""What an event costs a worker, against the partitions that it holds: on a Kafka of its own each.

The whole process is measured (`bench.contender`): each batch is of one partition, so there are more
and smaller transactions, and each partition has two producers.
"""

from __future__ import annotations

import asyncio
import sys
from itertools import islice

from agents.topic_admin import create_topics
from bench.contender_process import Told, run_of, started
from bench.curve_shape import shape_of
from bench.feed import feed
from bench.measured_kafka import measured_kafka, pin_broker
from simulation.classroom import simulate

PARTITIONS = (1, 8, 64)
_APP_ID = "bench-partitions"


def partitions_growth(events: int) -> dict[str, object]:
    """``partitions_growth`` from the fewest to the most, and µs of processor an event by number.

    Args:
        events: preloaded, over all partitions.
    """
    costs = {}
    for partitions in PARTITIONS:
        costs[partitions] = cpu_us(partitions, events)
        sys.stderr.write(f"partitions {partitions:3}: {costs[partitions]:6.1f} µs CPU/event\n")
    return {
        "partitions_growth": round(costs[PARTITIONS[-1]] / costs[PARTITIONS[0]] - 1, 3),
        "partitions_us": {partitions: round(cost, 1) for partitions, cost in costs.items()},
        "partitions_shape": shape_of(list(costs.items())),
    }


def cpu_us(partitions: int, events: int) -> float:
    """Of one worker that holds all of them, pinned to one core; from its first batch on."""
    with measured_kafka() as kafka:
        pin_broker(kafka.pid)
        task = Told("lists", kafka.bootstrap, _APP_ID, partitions, events, core=0)
        asyncio.run(create_topics(task.settings))
        sent = feed(kafka.bootstrap, islice(simulate(learners=400, days=120, seed=1), events))
        with started(task._replace(events=sent)) as process:
            return run_of(process).cpu_us
