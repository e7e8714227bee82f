"""What an event, a learner and a restart cost, as measured: ``measured_costs.json`` beside it.

Each figure there has its value, its kind and where it comes from. The kinds: ``measured``;
``code``, which sets or says it; ``derived`` from measured ones, as told; ``assumed``, since nobody
has measured it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

KINDS = ("measured", "code", "derived", "assumed")
_FILE = Path(__file__).with_name("measured_costs.json")


class Source(NamedTuple):
    """Of a figure: what kind it is (`KINDS`), and the run, page or file it comes from."""

    kind: str
    text: str


@dataclass(frozen=True)
class MeasuredCosts:
    """Times are CPU's but for the waits; an event is one of ``learner.events``."""

    step_us_per_event: float
    step_time_quantiles: tuple[float, ...]
    disk_us_per_event: float
    miss_us_per_event: float
    worker_us_per_event: float
    worker_us_per_transaction: float
    outside_ms: float
    transaction_wait_ms: float
    transaction_wait_p99_ms: float
    replicated_transaction_wait_ms: float
    base_memory_bytes: float
    memory_bytes_per_record: float
    decoded_bytes_per_value: float
    restore_records_per_s: float
    restore_bytes_per_s: float
    start_seconds: float
    profile_bytes: float
    behavior_bytes: float
    engagement_bytes: float
    seen_page_bytes: float
    seen_bytes_per_event: float
    event_bytes: float
    changelog_bytes_per_event: float
    compression: float
    decisions_per_event: float
    strategies_per_event: float
    decision_bytes: float
    delivery_bytes: float
    examples_per_event: float
    example_bytes: float
    learn_us_per_example: float
    broker_us_per_event: float
    broker_us_per_transaction: float
    facilitator_us_per_delivery: float
    postgres_rows_per_s: float
    clickhouse_rows_per_s: float
    mongodb_rows_per_s: float
    redis_rows_per_s: float
    elasticsearch_rows_per_s: float
    clickhouse_bytes_per_row: float
    elasticsearch_bytes_per_row: float
    record_overhead_bytes: float
    session_timeout_seconds: float
    follower_share_of_broker_cpu: float
    broker_cores: float
    broker_write_bytes_per_s: float
    broker_disk_bytes: float
    broker_partition_copies: float

    def with_state_on_disk(self) -> MeasuredCosts:
        """Of a worker with so many learners that none of an event's values is still decoded."""
        step = self.step_us_per_event + self.disk_us_per_event + self.miss_us_per_event
        return replace(self, step_us_per_event=step)

    def slower(self, factor: float) -> MeasuredCosts:
        """On a machine whose cores need that much longer, as a busy one's do."""
        times = {
            name: factor * getattr(self, name)
            for name in (
                "step_us_per_event",
                "worker_us_per_event",
                "worker_us_per_transaction",
                "transaction_wait_ms",
                "transaction_wait_p99_ms",
            )
        }
        return replace(self, **times)


def measured_costs() -> MeasuredCosts:
    values = {name: entry["value"] for name, entry in _entries().items()}
    quantiles = tuple(values.pop("step_time_quantiles"))
    return MeasuredCosts(**values, step_time_quantiles=quantiles)


def sources() -> dict[str, Source]:
    """By the name of the figure."""
    return {name: Source(entry["kind"], entry["from"]) for name, entry in _entries().items()}


def _entries() -> dict[str, Any]:
    entries: dict[str, Any] = json.loads(_FILE.read_text())
    assert entries.keys() == {field.name for field in fields(MeasuredCosts)}
    return entries
