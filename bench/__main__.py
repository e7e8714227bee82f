"""`make bench`: every benchmark, and one closing JSON line.

    make bench ARGS="--only guards --only delivery --rounds 3"

worker    the worker on a real Kafka against the same step in an ordinary one-event-at-a-time Faust
          agent with the same tables and output topic, and in Quix Streams with its state and its
          exactly-once guarantee: all read the same preloaded topic, in turn, each pinned to one
          core with the broker on the others, each from a fresh group; and against the step alone
scaling   one worker against two on two partitions, each on a core of its own (bench.scaling)
guards    the worker against itself without anything that keeps events from being lost or doubled:
          throughput as above, and from an event to its decision at one load (bench.guards_cost)
recovery  from the restart of a worker that was killed to its first decision, with the state of
          many learners, and with a longer event log (bench.recovery)
delivery  from an event to its delivered decision (bench.delivery_latency)
trainer   examples learned a second, and how long a new version holds a worker up
          (bench.trainer_rate)
replay    `learner replay` over OULAD (bench.replay_rate)
chat      learners at one gateway (bench.chat_load)
sinks     against the bulk paths of their stores (bench.sink_rates)
stages    where an event's time goes, in a worker and in the pure step (bench.stage_profile)
growth    what an event costs against history, learners, courses, depth, batch (bench.growth)
partitions  what it costs a worker against the partitions that it holds (bench.partitions_growth)
capacity  what two loads need, by measured costs; seconds, no broker (bench.capacity_report)

A part that refuses to report is named in `failed`; the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping

from bench.capacity_report import capacity_figures
from bench.chat_load import chat_load
from bench.delivery_latency import DELIVERY_APP_ID, delivery_latency
from bench.goals import tell
from bench.growth import growth
from bench.guards_cost import guards_latency, guards_throughput
from bench.machine import machine
from bench.measured_kafka import measured_kafka, settings_for
from bench.partitions_growth import partitions_growth
from bench.recovery import recovery
from bench.replay_rate import replay_rate
from bench.scaling import PARTITIONS, scaling
from bench.sink_rates import sink_rates
from bench.stage_profile import stage_profile
from bench.trainer_rate import trainer_rate
from bench.worker_contest import contest

_DELIVERY_SECONDS = 15.0
_CHAT_SECONDS = 60.0
_CHAT_PAUSE_SECONDS = 30.0
_TRAINER_EVENTS = 100_000
_STAGES_EVENTS = 30_000
_MOST_LONG_ROUNDS = 2
"""Of what takes long and differs by little: all of it shall be through in 20 minutes."""
_PARTITIONS_EVENTS = 12_000


def main() -> None:
    args = _arguments()
    result: dict[str, object] = {}
    failed: list[str] = []
    for part in args.only or PARTS:
        sys.stderr.write(f"{part} …\n")
        try:
            result |= PARTS[part](args)
        except SystemExit as said:
            sys.stderr.write(f"{part}: {said}\n")
            failed.append(part)
    tell(result)
    print(json.dumps({**result, **machine(), "failed": failed}))
    raise SystemExit(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", choices=PARTS, action="append", help="a part; may be repeated")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each, in turn (3)")
    parser.add_argument(
        "--events", type=int, default=40_000, help="worker, scaling, guards: preloaded (40,000)"
    )
    parser.add_argument(
        "--latency-rate", type=float, default=1_000, help="guards: events a second (1,000)"
    )
    parser.add_argument(
        "--latency-seconds", type=float, default=8, help="guards: of load, each time (8)"
    )
    parser.add_argument(
        "--learners-of-state",
        type=int,
        nargs="+",
        default=[100_000],
        help="recovery: sizes, in turn (100,000); a million wants 20 GB and some minutes",
    )
    parser.add_argument(
        "--days-of-state", type=int, default=14, help="recovery: that a learner was active (14)"
    )
    parser.add_argument(
        "--long-log", type=int, default=100_000, help="recovery: events more in the log (100,000)"
    )
    parser.add_argument(
        "--state-on-disk", action="store_true", help="recovery: kept and found there"
    )
    parser.add_argument(
        "--learners", type=int, default=10_000, help="chat: connected to the gateway (10,000)"
    )
    parser.add_argument(
        "--sink-records", type=int, default=30_000, help="sinks: for each run of one (30,000)"
    )
    return parser.parse_args()


def throughput(events: int, rounds: int) -> dict[str, object]:
    """Events per second and processor time of each, and the ratios round by round."""
    found = contest(("lists", "per_event", "quix", "step", "step_of_quix"), events, rounds)
    return {
        "events": found.events,
        "rounds": rounds,
        **found.ratios("ratio_vs_per_event", "per_event"),
        **found.ratios("ratio_vs_quix", "quix"),
        **found.cpu_ratios("ratio_to_step", "step"),
        "events_per_s": found.rate("lists"),
        "events_per_s_per_event": found.rate("per_event"),
        "events_per_s_quix": found.rate("quix"),
        "changelog_bytes_per_event": found.changelog_bytes("lists"),
        "cpu_us_per_event": found.cpu_us("lists"),
        "cpu_us_per_event_per_event": found.cpu_us("per_event"),
        "cpu_us_per_event_quix": found.cpu_us("quix"),
        "cpu_us_per_event_step": found.cpu_us("step"),
        "cpu_us_per_event_step_of_quix": found.cpu_us("step_of_quix"),
    }


def _delivery(args: argparse.Namespace) -> dict[str, object]:
    with measured_kafka() as kafka:
        settings_for(kafka.bootstrap, DELIVERY_APP_ID)
        return {**delivery_latency(kafka.bootstrap, _DELIVERY_SECONDS, args.rounds)}


PARTS: dict[str, Callable[[argparse.Namespace], Mapping[str, object]]] = {
    "worker": lambda args: throughput(args.events, args.rounds),
    "scaling": lambda args: scaling(args.events // PARTITIONS, args.rounds),
    "guards": lambda args: {
        **guards_throughput(args.events, args.rounds),
        **guards_latency(
            min(args.rounds, _MOST_LONG_ROUNDS), args.latency_rate, args.latency_seconds
        ),
    },
    "recovery": lambda args: recovery(
        args.learners_of_state, args.days_of_state, args.long_log, on_disk=args.state_on_disk
    ),
    "delivery": _delivery,
    "trainer": lambda args: trainer_rate(_TRAINER_EVENTS, args.rounds),
    "replay": lambda args: replay_rate(min(args.rounds, _MOST_LONG_ROUNDS)),
    "chat": lambda args: chat_load(args.learners, _CHAT_SECONDS, _CHAT_PAUSE_SECONDS),
    "sinks": lambda args: sink_rates(args.sink_records, args.rounds),
    "stages": lambda _: stage_profile(_STAGES_EVENTS),
    "growth": lambda _: growth(),
    "partitions": lambda _: partitions_growth(_PARTITIONS_EVENTS),
    "capacity": lambda _: capacity_figures(),
}
"""By name, what runs it."""


if __name__ == "__main__":
    main()
