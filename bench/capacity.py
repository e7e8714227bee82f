"""From measured costs and a load to what has to be there: partitions, workers, brokers, bytes.

Pure. Each formula stands in the docstring of its function, with units. MB and GB are decimal.
Whoever plans for state on disk passes `MeasuredCosts.with_state_on_disk`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from agents.topics import topic_specs
from bench.measured_costs import MeasuredCosts
from config.settings import KafkaSettings, WorkerSettings
from streams.seen import PAGE_IDS
from streams.tables import TABLE_NAMES

UTILISATION = 0.5
"""Of a core, a broker's disk or network at the peak. At a half, what an outage left is worked off
in as long as the outage was, and the latency is that of the flat part of its curve."""
PARTITIONS_PER_WORKER = 3
"""At least, so that a dead worker's go to three others, and that workers can be trebled."""
_TWELVE = 12
_DAY_SECONDS = 86_400
_DECODED_TABLES = len(TABLE_NAMES) - 1  # the ids in `seen` are bytes
_DIRTY_SHARE, _SEGMENT_BYTES, _SEGMENT_SECONDS = 0.2, 64 * 2**20, 600.0
"""Of a changelog, as `agents.topics` makes it: what may be uncompacted before Kafka compacts it."""
PRODUCERS_OF_A_PARTITION = 2
"""In turn (docs/decisions/0027); each may have a connection to each broker."""
MOST_PARTITIONS = 1024
"""By `config.settings.KafkaSettings`."""


@dataclass(frozen=True)
class Load:
    """``events_per_s``: at the peak, as the LMS sends them, without what the facilitator adds."""

    name: str
    learners: int
    events_per_s: float
    events_per_learner_per_day: float
    courses_per_learner: float
    replication: int = 3
    retention_days: float = 30.0

    @property
    def mean_events_per_s(self) -> float:
        return self.learners * self.events_per_learner_per_day / _DAY_SECONDS

    def cells_of(self, cell: Load) -> int:
        """The least number of parts none of which has more learners or events/s than ``cell``."""
        return math.ceil(max(self.learners / cell.learners, self.events_per_s / cell.events_per_s))

    def divided(self, cells: int) -> Load:
        learners = math.ceil(self.learners / cells)
        return replace(self, learners=learners, events_per_s=self.events_per_s / cells)


NATIONAL = Load("national university", 1_000_000, 20_000, 100, 5)
PLANET = Load("planet", 100_000_000, 1_000_000, 100, 5)
"""Half of the national peak a learner: not all of the planet studies at one hour."""


class Workers(NamedTuple):
    """``needed`` by their cores; ``processes``, so that each has as many partitions."""

    partitions: int
    needed: int
    processes: int
    utilisation: float
    transactions_per_s: float


class State(NamedTuple):
    """Of all learners, once; memory and restore of one worker."""

    bytes: float
    records: float
    memory_bytes: float
    memory_bytes_on_disk: float
    restore_seconds: float


class Disk(NamedTuple):
    """Of all brokers together, with the copies. ``changelog_written_bytes_per_day``: what the
    changelogs grow by if nothing is compacted."""

    changelog_bytes: float
    changelog_written_bytes_per_day: float
    log_bytes: float


class Brokers(NamedTuple):
    """How many each limit asks for; ``needed`` is the most, and at least the copies."""

    by_cpu: int
    by_write: int
    by_disk: int
    by_partition_copies: int
    needed: int


class Store(NamedTuple):
    """``processes`` of its sink. ``bytes_per_day`` as the store keeps them; 0 where it keeps only
    the last of each learner."""

    rows_per_s: float
    rows_per_day: float
    processes: int
    bytes_per_day: float


class Sizing(NamedTuple):
    load: Load
    folded_per_s: float
    workers: Workers
    state: State
    disk: Disk
    brokers: Brokers
    facilitators: int
    trainer_utilisation: float
    stores: Mapping[str, Store]


def sizing(costs: MeasuredCosts, load: Load) -> Sizing:
    plan = workers(costs, load)
    return Sizing(
        load=load,
        folded_per_s=folded(costs, load.events_per_s),
        workers=plan,
        state=state(costs, load, plan),
        disk=disk(costs, load, plan.partitions),
        brokers=brokers(costs, load, plan),
        facilitators=facilitators(costs, load),
        trainer_utilisation=trainer_utilisation(costs, load.events_per_s),
        stores=stores(costs, load),
    )


def folded(costs: MeasuredCosts, events_per_s: float) -> float:
    """Events/s on ``learner.events``: the LMS's, and a ``strategy.delivered`` for each strategy
    that is acknowledged = events/s x (1 + strategies an event)."""
    return events_per_s * (1 + costs.strategies_per_event)


def core_events_per_s(costs: MeasuredCosts) -> float:
    """Events/s that one core folds in large batches, so also the most of one partition
    = 10^6 / (µs of step + µs of worker an event). Large: a transaction's cost is shared by many."""
    return 1e6 / (costs.step_us_per_event + costs.worker_us_per_event)


def cycle_seconds(costs: MeasuredCosts, events_per_s: float, partitions: int, wait: float) -> float:
    """From one batch of a partition to its next, of a worker that has so many.

    A batch takes f + c b of the core and then ``wait`` seconds without it, where f is the CPU of a
    transaction, c that of an event, and b what came in a cycle: b = (events/s / partitions) x
    cycle. A lone partition waits for itself: cycle = (f + wait) / (1 - c events/s / partitions);
    together they wait for the core: cycle = partitions f / (1 - c events/s). The longer one holds,
    up to a fifth short where both are alike (by the simulation, `bench.queueing`).

    Raises:
        ValueError: the core folds no ``events_per_s``.
    """
    used = events_per_s / core_events_per_s(costs)
    if used >= 1:
        raise ValueError(f"{events_per_s:,.0f} events/s are more than a core folds")
    batch = costs.worker_us_per_transaction / 1e6
    return max((batch + wait) / (1 - used / partitions), partitions * batch / (1 - used))


def workers(costs: MeasuredCosts, load: Load) -> Workers:
    """Needed = events/s folded / (`core_events_per_s` x `UTILISATION`), rounded up.

    Partitions = the least of 12, 24, 48, … that gives each `PARTITIONS_PER_WORKER`: it cannot be
    changed later, and has many divisors. Workers = its least divisor that is enough, since Faust
    gives none more than its share rounded up. Transactions/s = partitions / `cycle_seconds`.
    """
    rate = folded(costs, load.events_per_s)
    needed = math.ceil(rate / (UTILISATION * core_events_per_s(costs)))
    partitions = _TWELVE
    while partitions < PARTITIONS_PER_WORKER * needed:
        partitions *= 2
    processes = next(n for n in range(needed, partitions + 1) if partitions % n == 0)
    wait = transaction_wait_ms(costs, load.replication) / 1000
    cycle = cycle_seconds(costs, rate / processes, partitions // processes, wait)
    used = rate / processes / core_events_per_s(costs)
    return Workers(partitions, needed, processes, used, partitions / cycle)


def transaction_wait_ms(costs: MeasuredCosts, replication: int) -> float:
    """The median; of several brokers if there are copies."""
    return costs.replicated_transaction_wait_ms if replication > 1 else costs.transaction_wait_ms


def state_of_a_learner(costs: MeasuredCosts, load: Load) -> tuple[float, float]:
    """Bytes, and records.

    Bytes = profile + behaviour + courses x engagement + what ``seen`` keeps for the horizon (45
    days): 8 of each event, and 44 of each page, of which a day has events / 128, rounded up.
    """
    values = costs.profile_bytes + costs.behavior_bytes
    courses = load.courses_per_learner * costs.engagement_bytes
    ids, pages = _ids_of_a_learner(costs, load)
    return values + courses + ids, _values(load) + pages


def _ids_of_a_learner(costs: MeasuredCosts, load: Load) -> tuple[float, float]:
    """Bytes in ``seen``, and pages."""
    days = WorkerSettings().horizon_days
    events = folded(costs, load.events_per_learner_per_day)
    pages = days * math.ceil(events / PAGE_IDS)
    return pages * costs.seen_page_bytes + days * events * costs.seen_bytes_per_event, pages


def _values(load: Load) -> float:
    """Of a learner, those that are kept decoded: a profile, a behaviour, the engagements."""
    return 2 + load.courses_per_learner


def state(costs: MeasuredCosts, load: Load, plan: Workers) -> State:
    """Learners x `state_of_a_learner`.

    Memory of a worker that has all of it in memory = base + its learners' bytes + 182 a record +
    10 kB decoded for each profile, behaviour and engagement (kept once the learner was active);
    with the state on disk = base + 10 kB x 4,000 x 3 tables x its partitions, or less if there are
    fewer. Restore seconds = its records / records/s or its bytes / bytes/s, the longer, / (1 - 0.2)
    since a fifth may be old.
    """
    bytes_, records = (load.learners * each for each in state_of_a_learner(costs, load))
    decoded = load.learners * _values(load) * costs.decoded_bytes_per_value / plan.processes
    partitions = plan.partitions / plan.processes
    cached = (
        partitions
        * _DECODED_TABLES
        * WorkerSettings().decoded_values
        * costs.decoded_bytes_per_value
    )
    raw = (bytes_ + records * costs.memory_bytes_per_record) / plan.processes
    restore = max(records / costs.restore_records_per_s, bytes_ / costs.restore_bytes_per_s)
    return State(
        bytes=bytes_,
        records=records,
        memory_bytes=costs.base_memory_bytes + raw + decoded,
        memory_bytes_on_disk=costs.base_memory_bytes + min(cached, decoded),
        restore_seconds=restore / plan.processes / (1 - _DIRTY_SHARE),
    )


def log_bytes_per_event(costs: MeasuredCosts) -> float:
    """Of an event of the LMS, what is kept for the retention: itself, its decisions, each as
    delivered and twice on ``facilitator.log``, with its acknowledgement and what that adds. What we
    write ourselves is divided by its compression."""
    more, over = costs.strategies_per_event, costs.record_overhead_bytes
    kept = (1 + more) * (costs.event_bytes + over)
    acknowledged = costs.event_bytes + over
    made = (costs.decision_bytes + over + 3 * (costs.delivery_bytes + over)) / costs.compression
    return kept + costs.decisions_per_event * (made + acknowledged)


def written_bytes_per_event(costs: MeasuredCosts) -> float:
    """The same, and the changelogs: the four tables' at each event folded, ``pending`` at each
    delivery, and the examples."""
    tables = (1 + costs.strategies_per_event) * costs.changelog_bytes_per_event
    pending = costs.decisions_per_event * (costs.delivery_bytes + 2 * costs.record_overhead_bytes)
    examples = costs.examples_per_event * (costs.example_bytes + costs.record_overhead_bytes)
    return log_bytes_per_event(costs) + (tables + pending + examples) / costs.compression


def disk(costs: MeasuredCosts, load: Load, partitions: int) -> Disk:
    """Changelogs = copies x (state / (1 - 0.2) + segments that are still written to), the state
    divided by the compression but for the ids in ``seen``, which have none.

    Kafka compacts once a fifth is old, and no segment that is still open: 64 MB or ten minutes of
    each table and partition. Written a day = copies x events folded a day x bytes an event /
    compression. Log = copies x events a day x `log_bytes_per_event` x days of retention.
    """
    events_per_s = folded(costs, load.mean_events_per_s)
    written_per_s = events_per_s * costs.changelog_bytes_per_event / costs.compression
    opened = min(partitions * len(TABLE_NAMES) * _SEGMENT_BYTES, written_per_s * _SEGMENT_SECONDS)
    ids, _ = _ids_of_a_learner(costs, load)
    learner = (state_of_a_learner(costs, load)[0] - ids) / costs.compression + ids
    kept = load.learners * learner / (1 - _DIRTY_SHARE)
    log = load.mean_events_per_s * log_bytes_per_event(costs) * _DAY_SECONDS * load.retention_days
    return Disk(
        changelog_bytes=load.replication * (kept + opened),
        changelog_written_bytes_per_day=load.replication * written_per_s * _DAY_SECONDS,
        log_bytes=load.replication * log,
    )


def brokers(costs: MeasuredCosts, load: Load, plan: Workers) -> Brokers:
    """The largest of four, each at `UTILISATION` (the disk is to be half full), and the copies.

    CPU: events/s x µs an event, or transactions/s (as many of the facilitator's) x µs a
    transaction, the larger; and half as much again for each further copy. Write: events/s x
    `written_bytes_per_event` x copies. Disk: `disk`. Copies of partitions: of all our topics.
    """
    by_event = folded(costs, load.events_per_s) * costs.broker_us_per_event
    by_transaction = 2 * plan.transactions_per_s * costs.broker_us_per_transaction
    copies = 1 + costs.follower_share_of_broker_cpu * (load.replication - 1)
    cores = max(by_event, by_transaction) / 1e6 * copies
    written = load.events_per_s * written_bytes_per_event(costs) * load.replication
    space = disk(costs, load, plan.partitions)
    kafka = KafkaSettings(partitions=min(plan.partitions, MOST_PARTITIONS))
    topics = sum(spec.partitions > 1 for spec in topic_specs(kafka, WorkerSettings()))
    needs = (
        math.ceil(cores / (UTILISATION * costs.broker_cores)),
        math.ceil(written / costs.broker_write_bytes_per_s),
        math.ceil(
            (space.changelog_bytes + space.log_bytes) / (UTILISATION * costs.broker_disk_bytes)
        ),
        math.ceil(topics * plan.partitions * load.replication / costs.broker_partition_copies),
    )
    return Brokers(*needs, needed=max(*needs, load.replication))


def facilitators(costs: MeasuredCosts, load: Load) -> int:
    """Decisions/s x µs a delivery x 2 / `UTILISATION`: an acknowledgement is taken to cost as much
    as its delivery."""
    decisions = load.events_per_s * costs.decisions_per_event
    return math.ceil(2 * decisions * costs.facilitator_us_per_delivery / 1e6 / UTILISATION)


def trainer_utilisation(costs: MeasuredCosts, events_per_s: float) -> float:
    """Of the one core that one process can use: events/s x examples an event x µs to learn one.
    Above 1 it falls behind, and decisions go on with the version in force."""
    return events_per_s * costs.examples_per_event * costs.learn_us_per_example / 1e6


def stores(costs: MeasuredCosts, load: Load) -> dict[str, Store]:
    """Rows/s = events/s x rows an event; processes = rows/s / rows/s of one, rounded up.

    PostgreSQL: each decision, its delivery twice, a summary at each event folded. MongoDB: the
    behaviour and the engagement at each event folded; a batch writes the last of each learner only,
    so fewer. ClickHouse: each event folded. Redis: each decision, its delivery twice.
    Elasticsearch: each event folded. Bytes kept in PostgreSQL are those that decision and delivery
    have on Kafka, without indices or compression.
    """
    all_events = 1 + costs.strategies_per_event
    told = 3 * costs.decisions_per_event
    plans = {
        "PostgreSQL": (
            told + all_events,
            costs.postgres_rows_per_s,
            costs.decisions_per_event * (costs.decision_bytes + costs.delivery_bytes),
        ),
        "MongoDB": (2 * all_events, costs.mongodb_rows_per_s, 0.0),
        "ClickHouse": (
            all_events,
            costs.clickhouse_rows_per_s,
            all_events * costs.clickhouse_bytes_per_row,
        ),
        "Redis": (told, costs.redis_rows_per_s, 0.0),
        "Elasticsearch": (
            all_events,
            costs.elasticsearch_rows_per_s,
            all_events * costs.elasticsearch_bytes_per_row,
        ),
    }
    a_day = load.mean_events_per_s * _DAY_SECONDS
    return {
        name: Store(
            rows_per_s=load.events_per_s * rows,
            rows_per_day=a_day * rows,
            processes=math.ceil(load.events_per_s * rows / rate),
            bytes_per_day=a_day * bytes_,
        )
        for name, (rows, rate, bytes_) in plans.items()
    }
