"""What is judged of the brokers: the requests they take, features, defaults, disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from config.settings import KafkaSettings
from doctor.finding import Finding, listed, size

GROUP = "kafka"
TRIED = "4.3.1"

Range = tuple[int, int]

_RELEASES = {
    7: "3.3", 8: "3.4", 11: "3.5", 14: "3.6", 19: "3.7", 20: "3.8", 21: "3.9", 25: "4.0",
}  # fmt: skip
"""The last ``metadata.version`` of each release, by which a cluster tells its age."""

_FULL, _NEARLY_FULL = 0.05, 0.15
_OUR_TRANSACTION_MS = 60_000


class LogDir(NamedTuple):
    """A broker's folder; bytes, -1 where it does not tell. ``error``: Kafka's word, "" if well."""

    path: str
    total: int
    usable: int
    error: str = ""


class BrokerFacts(NamedTuple):
    """``requests``: versions it takes, by request. ``features``: the level of each in force.
    ``config``: of its own settings those in `ASKED`, as text; empty if it does not tell.
    """

    node: int
    address: str
    requests: Mapping[str, Range]
    features: Mapping[str, int]
    config: Mapping[str, str]
    log_dirs: Sequence[LogDir] = ()


ASKED = (
    "log.cleaner.enable",
    "offsets.topic.replication.factor",
    "transaction.max.timeout.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
    "unclean.leader.election.enable",
)


def judge_requests(brokers: Sequence[BrokerFacts], ours: Mapping[str, Range]) -> Iterator[Finding]:
    """Whether each broker takes the requests that our client knows, transactions among them.

    Args:
        ours: the versions that our client can send, by request.
    """
    where = listed(f"{broker.node} at {broker.address}" for broker in brokers)
    missing = {
        f"broker {broker.node}: {name}"
        for broker in brokers
        for name, (least, most) in ours.items()
        if not _overlap(broker.requests.get(name), (least, most))
    }
    if missing:
        yield Finding(
            GROUP,
            "versions",
            "wrong",
            f"requests that we send are not taken: {listed(sorted(missing))}",
            f"use a Kafka that takes them; {TRIED} is what this program is tried with",
        )
        return
    levels = brokers[0].features
    level = levels.get("metadata.version")
    told = listed((f"{name} {at}" for name, at in sorted(levels.items())), 9) or "no features told"
    found = f"broker{'s' if len(brokers) > 1 else ''} {where}; {told}"
    if any(broker.features != levels for broker in brokers):
        yield Finding(
            GROUP,
            "versions",
            "warning",
            f"{found}; the brokers do not agree on the features in force",
            "is an upgrade under way? Finish it: kafka-features.sh describe, then upgrade",
        )
    elif level is None or level < 25:
        release = "older than 3.3, or on ZooKeeper" if level is None else f"of {_release(level)}"
        yield Finding(
            GROUP,
            "versions",
            "warning",
            f"{found}; the cluster is {release}, this program is tried with {TRIED} only",
            "upgrade it: brokers first, then kafka-features.sh upgrade",
        )
    else:
        yield Finding(GROUP, "versions", "ok", f"{found}; takes every request that we send")


def judge_defaults(brokers: Sequence[BrokerFacts]) -> Iterator[Finding]:
    """Brokers' own settings that endanger what we keep there."""
    silent = [str(broker.node) for broker in brokers if not broker.config]
    if silent:
        yield Finding(
            GROUP,
            "broker settings",
            "warning",
            f"not checked: broker {listed(silent)} does not tell its settings",
            "allow this user DESCRIBE_CONFIGS on the cluster",
        )
        return
    faults = list(_faults(brokers))
    yield from faults
    if not faults:
        yield Finding(GROUP, "broker settings", "ok", "nothing in them endangers what we keep")


def _faults(brokers: Sequence[BrokerFacts]) -> Iterator[Finding]:
    def fault(state: str, found: str, advice: str) -> Finding:
        return Finding(GROUP, "broker settings", state, found, advice)  # type: ignore[arg-type]

    if _some(brokers, "log.cleaner.enable", "false"):
        yield fault(
            "wrong",
            "log.cleaner.enable is false: no changelog is ever compacted, and restores take longer "
            "each day",
            "set it to true in server.properties, and restart the broker",
        )
    if _some(brokers, "unclean.leader.election.enable", "true"):
        yield fault(
            "wrong",
            "unclean.leader.election.enable is true: a copy that lags may become the leader, and "
            "what was committed is gone",
            "set it to false",
        )
    for name, what in (
        ("transaction.state.log.replication.factor", "the transactions' state"),
        ("offsets.topic.replication.factor", "the groups' positions"),
    ):
        copies = min((int(broker.config.get(name, "3")) for broker in brokers), default=3)
        if copies < min(3, len(brokers)):
            yield fault(
                "warning",
                f"{name} is {copies} with {len(brokers)} brokers: with the wrong one {what} is "
                "gone, and nobody can commit",
                f"set it to {min(3, len(brokers))}, and spread what is there by "
                "kafka-reassign-partitions.sh",
            )
    limits = [int(b.config.get("transaction.max.timeout.ms", "900000")) for b in brokers]
    if min(limits, default=900_000) < _OUR_TRANSACTION_MS:
        yield fault(
            "wrong",
            f"transaction.max.timeout.ms is {min(limits)}: our transactions ask for "
            f"{_OUR_TRANSACTION_MS}, and no worker can start",
            f"set it to {_OUR_TRANSACTION_MS} or more",
        )


def judge_copies_wanted(kafka: KafkaSettings, brokers: int) -> Iterator[Finding]:
    """Our settings for topics against how many brokers there are."""
    copies, in_sync = kafka.replication, kafka.min_insync_replicas
    found = f"replication {copies}, min_insync_replicas {in_sync}, {brokers} broker(s)"
    names = "LEARNER_KAFKA__REPLICATION and LEARNER_KAFKA__MIN_INSYNC_REPLICAS"
    if in_sync > copies:
        state, why = "wrong", "no record could ever be kept"
    elif copies > brokers:
        state, why = "wrong", "no topic can be made with so many copies"
    elif brokers > 1 and copies == 1:
        state, why = "wrong", "with any one broker its partitions are gone"
    elif copies > 1 and in_sync == copies:
        state, why = "warning", "with any one broker away nothing can be written"
    elif copies > 1 and in_sync == 1:
        state, why = "warning", "what only the leader has counts as kept, and can be lost with it"
    else:
        yield Finding(GROUP, "copies", "ok", found)
        return
    best = min(3, brokers)
    advice = f"set {names} to {best} and {max(1, best - 1)}, and see `learner topics create`"
    yield Finding(GROUP, "copies", state, f"{found}: {why}", advice)  # type: ignore[arg-type]


def judge_log_dirs(brokers: Sequence[BrokerFacts]) -> Iterator[Finding]:
    """Room on the brokers' disks."""
    shown, faults = [], []
    for broker in brokers:
        for folder in broker.log_dirs:
            where = f"broker {broker.node}, {folder.path}"
            if folder.error:
                faults.append(
                    Finding(
                        GROUP,
                        "disk",
                        "wrong",
                        f"{where}: {folder.error}",
                        "see the broker's log: has the disk failed?",
                    )
                )
            elif folder.total > 0:
                free = folder.usable / folder.total
                told = f"{where}: {size(folder.usable)} free ({free:.0%})"
                shown.append(told)
                if free < _NEARLY_FULL:
                    state = "wrong" if free < _FULL else "warning"
                    advice = "a broker whose disk is full ends: make room, or lower retention.ms"
                    faults.append(Finding(GROUP, "disk", state, told, advice))  # type: ignore[arg-type]
    yield from faults
    if not faults:
        told = listed(shown) or "no broker tells how full its disks are"
        yield Finding(GROUP, "disk", "ok", told)


def _overlap(theirs: Range | None, ours: Range) -> bool:
    return theirs is not None and theirs[0] <= ours[1] and ours[0] <= theirs[1]


def _some(brokers: Sequence[BrokerFacts], name: str, value: str) -> bool:
    return any(broker.config.get(name) == value for broker in brokers)


def _release(level: int) -> str:
    return max((at, name) for at, name in ((0, "3.2 or older"), *_RELEASES.items()) if at <= level)[
        1
    ]
