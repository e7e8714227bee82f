"""One worker against two, each on a core of its own, on a topic of two partitions.

Both partitions hold as many events, in a Kafka transaction that stays open until every worker owns
its share: so nobody can begin before the others, and nothing has to be shared out once events flow.
"""

from __future__ import annotations

import os
import statistics
import sys
import uuid
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from confluent_kafka import Producer

from agents.topics import EVENTS
from bench.contender_process import Run, Told, run_of, started, wait_until_ready
from bench.measured_kafka import measured_kafka, pin_broker
from bench.process_size import cpu_seconds
from bench.results_agree import assert_same_decisions, assert_same_digest
from bench.worker_contest import spread
from faults.fault import on_fresh_topics
from simulation.classroom import simulate
from simulation.disturbance import routing_key

PARTITIONS = 2
_TRANSACTION_MS = 600_000


class Measured(NamedTuple):
    """What some workers did together, the first moment of any to the last of any.

    In µs of processor time an event: ``cpu_us`` the workers', ``broker_cpu_us`` the broker's,
    ``step_cpu_us`` that of as many processes with nothing but the step, on the same cores.
    """

    events_per_s: float
    cpu_us: float
    broker_cpu_us: float
    step_cpu_us: float


def scaling(events: int, rounds: int) -> dict[str, object]:
    """``scaling_2``, the ratio of total rates, and how it came about; ``events`` a partition.

    Raises:
        SystemExit: the workers did not decide everything once, or not alike.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < PARTITIONS:
        raise SystemExit("two workers, each on a core of its own, need two cores")
    found: dict[int, list[Measured]] = {1: [], 2: []}
    decided: set[str] = set()
    lines = shared_out(simulate(learners=400, days=120, seed=1), events)
    with measured_kafka() as kafka:
        pin_broker(kafka.pid, set(cores[:PARTITIONS]))
        for round_ in range(rounds + 1):
            for workers in (1, 2) if round_ % 2 == 0 else (2, 1):
                measured, digest = _work(kafka.bootstrap, kafka.pid, lines, cores[:workers])
                assert_same_digest(digest, decided)
                decided.add(digest)
                told = (
                    f"{measured.events_per_s:8,.0f} events/s, {measured.cpu_us:5.0f} µs CPU/event"
                )
                told += f", broker {measured.broker_cpu_us:.0f}"
                sys.stderr.write(f"round {round_}/{rounds} with {workers}: {told}\n")
                if round_ > 0:  # the first one warms up a broker that has just started
                    found[workers].append(measured)
    return figures(found[1], found[2], len(cores))


def figures(one: Sequence[Measured], two: Sequence[Measured], cores: int) -> dict[str, object]:
    """``…_by_cpu``: if each worker had its core to itself and nothing else were scarce;
    ``…_step_by_cpu``: the same for processes that share nothing: what the machine lets grow."""
    by_one, by_two = _medians(one), _medians(two)
    by_cpu = 2 * by_one.cpu_us / by_two.cpu_us
    step_by_cpu = 2 * by_one.step_cpu_us / by_two.step_cpu_us
    return {
        **spread("scaling_2", [m.events_per_s for m in two], [m.events_per_s for m in one]),
        "scaling_2_by_cpu": round(by_cpu, 2),
        "scaling_2_step_by_cpu": round(step_by_cpu, 2),
        "scaling_2_how": how(cores, by_one, by_two),
        "scaling_events_per_s_1": round(by_one.events_per_s),
        "scaling_events_per_s_2": round(by_two.events_per_s),
        "scaling_cpu_us_per_event_1": round(by_one.cpu_us, 1),
        "scaling_cpu_us_per_event_2": round(by_two.cpu_us, 1),
        "scaling_broker_cpu_us_per_event_1": round(by_one.broker_cpu_us, 1),
        "scaling_broker_cpu_us_per_event_2": round(by_two.broker_cpu_us, 1),
    }


def how(cores: int, one: Measured, two: Measured) -> str:
    """In a sentence: where workers and broker ran, and what the cores had room for."""
    if cores > PARTITIONS:
        return f"each worker pinned to a core of its own, the broker to the other {cores - 2}"
    room = 2 * one.cpu_us / (two.cpu_us + two.broker_cpu_us)
    return (
        f"two cores: each worker pinned to one, the broker free on both beside them; with its "
        f"{two.broker_cpu_us:.0f} µs an event they have room for a ratio of {room:.2f}"
    )


def shared_out(lines: Iterable[bytes], events: int) -> list[list[bytes]]:
    """So many events for each partition, learner by learner in turn, each learner's in order.

    Raises:
        SystemExit: there are not as many.
    """
    homes: dict[bytes, int] = {}
    shared: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
    for line in lines:
        home = homes.setdefault(routing_key(line), len(homes) % PARTITIONS)
        if len(shared[home]) < events:
            shared[home].append(line)
        elif all(len(some) == events for some in shared):
            return shared
    if any(len(some) < events for some in shared):
        raise SystemExit(f"the class has {[len(some) for some in shared]} events only")
    return shared


def _work(
    bootstrap: str, broker: int | None, lines: Sequence[Sequence[bytes]], cores: Sequence[int]
) -> tuple[Measured, str]:
    """A worker on each core, on topics of their own; and the digest of what they decided."""
    settings = on_fresh_topics(bootstrap, PARTITIONS)
    give_out = _held_back(bootstrap, lines)
    events, own = sum(map(len, lines)) // len(cores), PARTITIONS // len(cores)
    task = Told("lists", bootstrap, settings.worker.app_id, PARTITIONS, events, own=own)
    with ExitStack() as stack:
        workers = [stack.enter_context(started(task._replace(core=core))) for core in cores]
        for worker in workers:
            wait_until_ready(worker)
        spent = cpu_seconds(broker)
        give_out()
        runs = [run_of(worker) for worker in workers]
        spent = cpu_seconds(broker) - spent
    step = task._replace(kind="step", own=None, batch_records=round(runs[0].batch_records or 500))
    with ExitStack() as stack:
        beside = [stack.enter_context(started(step._replace(core=core))) for core in cores]
        steps = [run_of(process) for process in beside]
    return together(runs, spent, steps), assert_same_decisions(bootstrap, PARTITIONS, 1)


def together(runs: Sequence[Run], broker_cpu_seconds: float, steps: Sequence[Run]) -> Measured:
    events = sum(run.events for run in runs)
    seconds = max(run.ended for run in runs) - min(run.began for run in runs)
    cpu = sum(run.cpu_seconds for run in runs)
    return Measured(
        events / seconds,
        1e6 * cpu / events,
        1e6 * broker_cpu_seconds / events,
        statistics.fmean(step.cpu_us for step in steps),
    )


def _held_back(bootstrap: str, lines: Sequence[Sequence[bytes]]) -> Callable[[], None]:
    """Puts everything on Kafka. Readers see it once what is returned has been called."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"scaling-{uuid.uuid4().hex[:8]}",
            "transaction.timeout.ms": _TRANSACTION_MS,
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 3,
        }
    )
    producer.init_transactions()
    producer.begin_transaction()
    for partition, some in enumerate(lines):
        for line in some:
            producer.produce(EVENTS, line, routing_key(line), partition=partition)
    producer.flush()
    return producer.commit_transaction


def _medians(rounds: Sequence[Measured]) -> Measured:
    return Measured(*map(statistics.median, zip(*rounds, strict=True)))
