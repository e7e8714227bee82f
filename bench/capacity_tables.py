"""The tables of `docs/capacity.md`, as markdown, from measured costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import NamedTuple

from bench.capacity import (
    MOST_PARTITIONS,
    NATIONAL,
    PARTITIONS_PER_WORKER,
    PLANET,
    PRODUCERS_OF_A_PARTITION,
    UTILISATION,
    Load,
    Sizing,
    core_events_per_s,
    folded,
    sizing,
    trainer_utilisation,
    workers,
)
from bench.capacity_runs import (
    PARTITIONS_OF_A_WORKER,
    UTILISATIONS,
    bursts,
    checks,
    knee,
    latencies,
    recoveries,
)
from bench.measured_costs import MeasuredCosts, sources

_GROUP_MEMBERS = 50
"""Workers in one consumer group: more than a few were never run. Assumed."""


def tables(costs: MeasuredCosts) -> dict[str, str]:
    """By the name that its place in the page has. The plans have their state on disk."""
    on_disk = costs.with_state_on_disk()
    return {
        "loads": _loads(),
        "sizing": _sizing(costs),
        "limits": _limits(on_disk),
        "latency": _latency(on_disk),
        "bursts": _bursts(on_disk),
        "recovery": _recovery(on_disk),
        "checks": _checks(costs),
        "costs": _costs(costs),
    }


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _loads() -> str:
    rows: dict[str, Callable[[Load], str]] = {
        "learners": lambda load: f"{load.learners:,}",
        "events/s of the LMS at the peak": lambda load: f"{load.events_per_s:,.0f}",
        "events of a learner a day, on average": lambda load: (
            f"{load.events_per_learner_per_day:.0f}"
        ),
        "events/s of the LMS on average": lambda load: f"{load.mean_events_per_s:,.0f}",
        "courses of a learner, all terms": lambda load: f"{load.courses_per_learner:.0f}",
        "copies of each partition": lambda load: f"{load.replication}",
        "days that events and decisions are kept on Kafka": lambda load: (
            f"{load.retention_days:.0f}"
        ),
    }
    both = (NATIONAL, PLANET)
    return _table(
        ["", *(load.name for load in both)],
        ([what, *(say(load) for load in both)] for what, say in rows.items()),
    )


def _sizing(costs: MeasuredCosts) -> str:
    cells = PLANET.cells_of(NATIONAL)
    on_disk = costs.with_state_on_disk()
    loads = (NATIONAL, PLANET.divided(cells), PLANET)
    plans = [sizing(on_disk, load) for load in loads]
    rows: dict[str, Callable[[Sizing], str]] = {
        "events/s folded at the peak, with `strategy.delivered`": lambda s: (
            f"{s.folded_per_s:,.0f}"
        ),
        "workers, a core each: needed": lambda s: f"{s.workers.needed:,}",
        "… if all that is read were kept decoded": lambda s: f"{workers(costs, s.load).needed:,}",
        "partitions": lambda s: f"{s.workers.partitions:,}",
        "workers, so that they share evenly": lambda s: f"{s.workers.processes:,}",
        "utilisation of a worker": lambda s: f"{100 * s.workers.utilisation:.0f} %",
        "transactions/s of the workers": lambda s: f"{s.workers.transactions_per_s:,.0f}",
        "state of all learners": lambda s: _bytes(s.state.bytes),
        "memory of a worker: state in memory": lambda s: _bytes(s.state.memory_bytes),
        "memory of a worker: state on disk": lambda s: _bytes(s.state.memory_bytes_on_disk),
        "disk of a worker for it": lambda s: _bytes(s.state.bytes / s.workers.processes),
        "restore of a worker from the changelogs": lambda s: f"{s.state.restore_seconds:,.0f} s",
        "changelogs on the brokers, compacted": lambda s: _bytes(s.disk.changelog_bytes),
        "what the changelogs grow by in a day, if not": lambda s: _bytes(
            s.disk.changelog_written_bytes_per_day
        ),
        "events, decisions, deliveries on the brokers": lambda s: _bytes(s.disk.log_bytes),
        "brokers by CPU": lambda s: f"{s.brokers.by_cpu:,}",
        "brokers by what they write": lambda s: f"{s.brokers.by_write:,}",
        "brokers by disk": lambda s: f"{s.brokers.by_disk:,}",
        "brokers by copies of partitions": lambda s: f"{s.brokers.by_partition_copies:,}",
        "brokers": lambda s: f"{s.brokers.needed:,}",
        "connections of the workers' producers, at most": lambda s: (
            f"{PRODUCERS_OF_A_PARTITION * s.workers.partitions * s.brokers.needed:,}"
        ),
        "facilitators": lambda s: f"{s.facilitators:,}",
        "trainer at the peak, of the one core it can use": lambda s: (
            f"{100 * s.trainer_utilisation:,.0f} %"
        ),
        **{f"{store}: sinks, rows/s at the peak": _rows_of(store) for store in plans[0].stores},
        **{
            f"{store}: rows a day, bytes a day": _day_of(store)
            for store, plan in plans[0].stores.items()
            if plan.bytes_per_day
        },
    }
    return _table(
        ["", NATIONAL.name, f"planet: one of {cells} cells", "planet: one cluster"],
        ([what, *(say(plan) for plan in plans)] for what, say in rows.items()),
    )


def _rows_of(store: str) -> Callable[[Sizing], str]:
    return lambda s: f"{s.stores[store].processes:,}, {s.stores[store].rows_per_s:,.0f}"


def _day_of(store: str) -> Callable[[Sizing], str]:
    def say(plan: Sizing) -> str:
        kept = plan.stores[store]
        return f"{kept.rows_per_day / 1e6:,.0f} million, {_bytes(kept.bytes_per_day)}"

    return say


class _Limit(NamedTuple):
    """``events_per_s``: of the LMS; ``kind`` of the figure that it follows from; ``then``: what
    makes it more."""

    what: str
    events_per_s: float
    kind: str
    then: str


_MORE_PROCESSES = "another process, up to one a partition"
_CELLS = "cells"


def _limits(costs: MeasuredCosts) -> str:
    core = core_events_per_s(costs) / folded(costs, 1)
    half = UTILISATION * core
    plan = sizing(costs, NATIONAL)
    most = _most_partitions()

    def sink(store: str, rows_per_s: float, kind: str) -> _Limit:
        rows = plan.stores[store].rows_per_s / NATIONAL.events_per_s
        return _Limit(f"one sink to {store}", rows_per_s / rows, kind, _MORE_PROCESSES)

    found = [
        _Limit("one learner, or all of one partition", core, "derived", "nothing"),
        _Limit("one worker at half of its core", half, "derived", _MORE_PROCESSES),
        _Limit(
            "one facilitator at half of its core",
            NATIONAL.events_per_s / plan.facilitators,
            "derived",
            _MORE_PROCESSES,
        ),
        _Limit(
            "the trainer, without falling behind",
            1 / trainer_utilisation(costs, 1),
            "measured",
            "trainers by course, or cells",
        ),
        sink("PostgreSQL", costs.postgres_rows_per_s, "measured"),
        sink("MongoDB", costs.mongodb_rows_per_s, "assumed"),
        sink("ClickHouse", costs.clickhouse_rows_per_s, "measured"),
        sink("Redis", costs.redis_rows_per_s, "assumed"),
        sink("Elasticsearch", costs.elasticsearch_rows_per_s, "assumed"),
        _Limit(
            "three brokers' CPU at a half",
            NATIONAL.events_per_s * NATIONAL.replication / plan.brokers.by_cpu,
            "derived",
            "brokers",
        ),
        _Limit(f"a group of {_GROUP_MEMBERS} workers", half * _GROUP_MEMBERS, "assumed", _CELLS),
        _Limit(
            f"{most} partitions, {PARTITIONS_PER_WORKER} for each worker",
            half * most / PARTITIONS_PER_WORKER,
            "derived",
            _CELLS,
        ),
    ]
    return _table(
        ["limit", "events/s of the LMS", "of the national peak", "by figures", "more by"],
        (
            [
                limit.what,
                f"{_rounded(limit.events_per_s):,.0f}",
                f"{100 * limit.events_per_s / NATIONAL.events_per_s:,.0f} %",
                limit.kind,
                limit.then,
            ]
            for limit in sorted(found, key=lambda limit: limit.events_per_s)
        ),
    )


def _most_partitions() -> int:
    """12, 24, 48, …, as far as the setting goes."""
    return int(12 * 2 ** math.floor(math.log2(MOST_PARTITIONS / 12)))


def _latency(costs: MeasuredCosts) -> str:
    found = {partitions: latencies(costs, partitions) for partitions in PARTITIONS_OF_A_WORKER}
    rows = [
        [
            f"{100 * share:.0f} %",
            f"{share * core_events_per_s(costs):,.0f}",
            *(f"{ones[at].p50_ms:,.0f} / {ones[at].p99_ms:,.0f}" for ones in found.values()),
        ]
        for at, share in enumerate(UTILISATIONS)
    ]
    knees = [f"{100 * knee(costs, partitions):.0f} %" for partitions in found]
    return _table(
        ["utilisation", "events/s", *(f"{n} partition{'s'[: n - 1]}" for n in found)],
        [*rows, ["knee", "", *knees]],
    )


def _bursts(costs: MeasuredCosts) -> str:
    return _table(
        ["times the peak", "utilisation", "p99", "largest backlog", "over after"],
        (
            [
                f"{burst.factor:g}",
                f"{100 * burst.utilisation:.0f} %",
                _seconds(burst.p99_ms / 1000),
                f"{burst.backlog:,}",
                _seconds(burst.seconds),
            ]
            for burst in bursts(costs)
        ),
    )


def _recovery(costs: MeasuredCosts) -> str:
    return _table(
        [
            "the worker is",
            "partitions",
            "utilisation",
            "away",
            "backlog then",
            "worked off in, by hand",
            "p99 of what came meanwhile",
            "usual again after",
        ],
        (
            [
                one.what,
                f"{one.partitions}",
                f"{100 * one.utilisation:.0f} %",
                _seconds(one.away),
                f"{one.backlog:,}",
                _seconds(one.drain_by_hand),
                _seconds(one.p99_seconds),
                _seconds(one.normal_again),
            ]
            for one in recoveries(costs)
        ),
    )


def _checks(costs: MeasuredCosts) -> str:
    return _table(
        ["", "measured", "foretold", ""],
        (
            [
                check.what,
                f"{check.measured} {check.unit}".strip(),
                f"{_rounded(check.foretold):,g} {check.unit}".strip(),
                "fitted" if check.fitted else "",
            ]
            for check in checks(costs)
        ),
    )


def _costs(costs: MeasuredCosts) -> str:
    known = sources()
    return _table(
        ["figure", "value", "kind", "from"],
        (
            [f"`{field.name}`", _value(getattr(costs, field.name)), *known[field.name]]
            for field in fields(costs)
        ),
    )


def _value(value: float | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:g} … {value[-1]:g}"
    return f"{value:,.15g}"


def _bytes(count: float) -> str:
    for unit, size in {"PB": 1e15, "TB": 1e12, "GB": 1e9}.items():
        if count >= size:
            return f"{_rounded(count / size):,g} {unit}"
    return f"{_rounded(count / 1e6):,g} MB"


def _seconds(seconds: float) -> str:
    return f"{_rounded(1000 * seconds):g} ms" if seconds < 1 else f"{_rounded(seconds):,g} s"


def _rounded(value: float) -> float:
    """To three digits."""
    return float(f"{value:.3g}")
