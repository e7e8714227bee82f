"""Every fault of the suite, by name: what is done, and how often issue 6 wants it done."""

from __future__ import annotations

from faults.all_stores import SERVERS
from faults.broker_faults import BROKER_FAULTS
from faults.chat_fault import ChatFault
from faults.disk_full_fault import DiskFullFault
from faults.facilitator_fault import FacilitatorFault
from faults.fault import Fault
from faults.sink_fault import SinkFault
from faults.store_away_fault import StoreAwayFault
from faults.trainer_fault import TrainerFault
from faults.worker_fault import Way, WorkerFault

_AT_BATCHES = "1..30"
"""Batches after which a worker is hit: within its first seconds."""

JOINED = ("works a", "start n", "ended a", "start a", "works n", "stop n")
"""A second worker comes, which is what the first one dies of, and goes again."""

WORKER_KILLED = WorkerFault(
    "worker-killed",
    "a worker's kill -9: at random, in a take-over, at each step of a batch, in a rebalance",
    asked=200,
    ways=(
        Way(("start a", "works a", "wait 0.1..2.5", "kill a")),
        Way((f"start a kill before {_AT_BATCHES}", "ended a")),
        Way((f"start a kill sending {_AT_BATCHES}", "ended a")),
        Way((f"start a kill sent {_AT_BATCHES}", "ended a")),
        Way((f"start a kill committed {_AT_BATCHES}", "ended a")),
        Way(("start a kill fenced 1..4", "ended a")),
        Way(("start a kill restoring 1..800", "ended a")),
        *(Way((f"start a kill {moment}", *JOINED)) for moment in ("rebalancing 2", "giving-up 1")),
    ),
)
WORKER_FROZEN = WorkerFault(
    "worker-frozen",
    "two workers SIGSTOPped at a moment, past their session, and woken when a third has their work",
    asked=60,
    begin=("start c", "works c"),
    ways=tuple(
        Way(
            (
                *(f"start a freeze {one} 15..60", f"start b freeze {other} 15..60"),
                *("frozen a", "frozen b", "wait 13..15", "wake a", "wake b", "wait 1..3"),
                *("kill a", "kill b"),
            ),
            rounds=2,
        )
        for one, other in (("sent", "committed"), ("before", "sending"), ("sending", "sent"))
    ),
    together=12,
    rate=300,
)
WORKER_STOPPED = WorkerFault(
    "worker-stopped",
    "SIGTERM under load: stopped within 10 s, and nothing handled again",
    asked=30,
    begin=("start a", "works a"),
    ways=(Way(("wait 0.2..2", "stop a", "start a", "works a")),),
)
WORKERS_JOIN_AND_LEAVE = WorkerFault(
    "workers-join-and-leave",
    "1 → 3 → 1 workers under load, all in good order",
    asked=30,
    begin=("start n1", "works n1"),
    ways=(
        Way(("start n2", "start n3", "works n2", "works n3", "wait 0.2..1", "stop n2", "stop n3")),
        Way(("start n2", "works n2", "start n3", "works n3", "wait 0.2..1", "stop n3", "stop n2")),
    ),
    together=6,
    partitions=6,  # Faust gives nobody more than his share, rounded up: of 4 the third gets none
)
BROKER_KILLED = WorkerFault(
    "broker-killed",
    "the only broker's kill -9, and back after seconds",
    asked=30,
    begin=("start a", "works a"),
    ways=(Way(("wait 0.5..3", "broker kill", "wait 0.5..6", "broker start", "caught-up")),),
    together=6,
    rate=300,
)
COMPACTION = WorkerFault(
    "compaction-during-restore",
    "changelogs compacted all the time, tombstones dropped, while workers are killed and restore",
    asked=10,
    begin=("compact", "start a", "works a", "wait 4"),
    ways=(
        Way((f"start a kill committed {_AT_BATCHES}", "ended a")),
        Way(("start a kill restoring 1..200", "ended a")),
        Way(("start a", "works a", "wait 0.1..2", "kill a")),
    ),
    together=10,
    rate=400,
)
TOMBSTONES = WorkerFault(
    "tombstones",
    "restores from changelogs that tell of deleted keys",
    asked=10,
    begin=("start a", "works a", "wait 5"),
    ways=COMPACTION.ways,
    together=10,
    rate=400,
)
STATE_ON_DISK = WorkerFault(
    "state-on-disk",
    "kill -9 at each step of a batch and of a take-over, with state on disk instead of in memory",
    asked=10,
    ways=(
        *WORKER_KILLED.ways[:-3],
        # The disk has all but what was committed last.
        Way(
            (
                *(f"start a kill committed {_AT_BATCHES}", "ended a"),
                *("start a kill restoring 1..3", "ended a"),
            ),
            rounds=2,
        ),
    ),
    together=10,
    on_disk=True,
)
STATE_FOLDER = WorkerFault(
    "state-folder",
    "the folder of state deleted, or from another version, when a worker starts on it",
    asked=5,
    ways=(
        Way(("start a", "works a", "wait 0.5..2", "kill a", "state deleted|older")),
        Way((f"start a kill committed {_AT_BATCHES}", "ended a", "state deleted|older")),
    ),
    together=5,
    on_disk=True,
)
STATE_DISK_FULL = WorkerFault(
    "state-disk-full",
    "no room under the folder of state for seconds: workers leave, and go on when there is some",
    asked=5,
    begin=("start a", "works a"),
    ways=(Way(("wait 0.5..3", "disk full", "leaves a", "wait 1..5", "disk room", "caught-up")),),
    together=5,
    rate=1_000,  # RocksDB has room put by for a while
    on_disk=True,
    disk_megabytes=256,
)
PARTITIONS_64 = WorkerFault(
    "64-partitions",
    "kill -9 of one of two workers that share 64 partitions",
    asked=10,
    begin=("start b", "works b"),
    ways=(
        Way((f"start a kill sent {_AT_BATCHES}", "ended a")),
        Way(("start a", "works a", "wait 0.5..2", "kill a")),
        Way(("start a kill restoring 1..200", "ended a")),
    ),
    together=10,
    partitions=64,
)
SINK_KILLED = SinkFault(
    "sink-killed", "each store's sink in turn, kill -9 before its write, after it, at random", 30
)
TRAINER_KILLED = TrainerFault(
    "trainer-killed",
    "the trainer's kill -9: at random, at its start, at each step of a snapshot's transaction",
    asked=30,
)
FACILITATOR_KILLED = FacilitatorFault(
    "facilitator-killed",
    "one of two facilitators' kill -9: at random, in a take-over, at each step of a transaction",
    asked=30,
)
GATEWAY_KILLED = ChatFault(
    "gateway-killed",
    "one of two chat gateways' kill -9 while twelve learners talk",
    asked=30,
    kinds=("gateway",),
)
RESPONDER_KILLED = ChatFault(
    "responder-killed",
    "one of two responders' kill -9 while twelve learners talk",
    asked=30,
    kinds=("responder",),
)
STORES_AWAY = tuple(StoreAwayFault(store) for store in SERVERS)
DISK_FULL = DiskFullFault(
    "disk-full-duckdb", "the disk under DuckDB's file is full, and has room again later", asked=5
)

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        WORKER_KILLED,
        WORKER_FROZEN,
        WORKER_STOPPED,
        WORKERS_JOIN_AND_LEAVE,
        BROKER_KILLED,
        COMPACTION,
        TOMBSTONES,
        STATE_ON_DISK,
        STATE_FOLDER,
        STATE_DISK_FULL,
        PARTITIONS_64,
        SINK_KILLED,
        TRAINER_KILLED,
        FACILITATOR_KILLED,
        GATEWAY_KILLED,
        RESPONDER_KILLED,
        *STORES_AWAY,
        DISK_FULL,
        *BROKER_FAULTS,
    )
}
