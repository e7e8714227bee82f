"""What a sink tells while its store is away, refuses a record, and takes the others."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable

from confluent_kafka import Producer

from agents.metrics_sink import SinkMetrics
from agents.sink import run_sinks
from agents.topics import DECISIONS
from config.settings import Settings, SinkSettings
from schemas.sample_records import SAMPLES
from sink_suite.told_store import ToldStore

QUICK = SinkSettings(max_age_seconds=0.1, retry_first_seconds=0.02, retry_longest_seconds=0.2)
BAD = str(uuid.UUID(int=7))


def decisions(count: int) -> list[bytes]:
    (_, sample), *_ = SAMPLES["decision"]
    return [
        json.dumps({**sample, "decision_id": str(uuid.UUID(int=number))}).encode()
        for number in range(count)
    ]


async def test_away_refused_and_written(fresh_kafka: Settings) -> None:
    metrics, stop = SinkMetrics(["told"]), asyncio.Event()
    store = ToldStore((DECISIONS,))
    store.away = True
    store.refuses = lambda record: record.value is not None and record.value["decision_id"] == BAD
    settings = fresh_kafka.model_copy(update={"sink": QUICK})
    task = asyncio.create_task(run_sinks(settings, [store], stop, metrics=metrics))

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"learner_sink_{name}", {"store": "told"})

    async def soon(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0.02)

    await soon(lambda: value("store_away") == 1)
    producer = Producer({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for record in [*decisions(20), b"no decision"]:
        producer.produce(DECISIONS, record, key="u")
    assert producer.flush(10) == 0
    await soon(lambda: value("records_behind") == 21)
    assert value("written_records_total") == 0
    store.away = False
    await soon(lambda: value("written_records_total") == 19)
    await soon(lambda: value("records_behind") == 0)
    assert value("store_away") == 0
    assert value("refused_records_total") == 2
    # Only what the store has taken is a write: neither what it refused nor what it was away for.
    assert value("write_seconds_count") == len(store.sizes)
    stop.set()
    await asyncio.wait_for(task, 20)
