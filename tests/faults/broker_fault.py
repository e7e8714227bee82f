"""A fault of brokers or the network to them: workers ride it out, or leave and are started again.

Three brokers with a proxy before them; the load goes past the proxy, the workers go through it.
"""

from __future__ import annotations

import random
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from config.settings import KafkaSettings, MetricsSettings, Settings, WorkerSettings
from faults.commit_pauses import CommitPauses
from faults.committed_records import lag
from faults.fault import Outcome, Progress
from faults.load import Load
from faults.log_oracle import Compared, compare_with_replay
from faults.supervised_workers import Exit, SupervisedWorkers
from servers.broker_proxy import BrokerProxy
from servers.kafka import Kafka
from servers.kafka_cluster import KafkaCluster
from servers.kafka_topics import make_anew

PARTITIONS = 2
RATE = 300
_SETTLE_SECONDS = 1.5
_READ_SECONDS = 180
"""A request that nobody answers is given up after 40 s, and a group waits 10 s for a member."""


class Stage(NamedTuple):
    """What a fault may touch. Workers reach the brokers through ``cluster.proxy`` only."""

    cluster: KafkaCluster
    workers: SupervisedWorkers
    random: random.Random

    @property
    def proxy(self) -> BrokerProxy:
        assert self.cluster.proxy is not None
        return self.cluster.proxy

    def any_broker(self) -> int:
        return self.random.randrange(len(self.cluster.brokers))


Do = Callable[[Stage, float], None]
"""Does a fault for so many seconds; over when it returns: brokers in sync, network healed."""


class Disturbed(NamedTuple):
    """What was found, which workers left, and figures."""

    compared: Compared
    exits: list[Exit]
    notes: dict[str, float]

    @property
    def unclear(self) -> list[str]:
        """What workers said last that left without a clear word."""
        return [left.said for left in self.exits if not left.clear]


class BrokerFault(NamedTuple):
    """A round does it for something between ``shortest`` and ``longest`` seconds."""

    name: str
    do: Do
    shortest: float
    longest: float
    asked: int = 5
    together: int = 5

    @property
    def about(self) -> str:
        return " ".join((self.do.__doc__ or "").split())

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`; on a cluster of its own.

        Raises:
            ServerUnavailable: three brokers and toxiproxy cannot run here.
        """
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")
        steps = [(self.do, chance.uniform(self.shortest, self.longest)) for _ in range(rounds)]
        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as folder,
            KafkaCluster(proxied=True) as cluster,
        ):
            found = disturbed(
                cluster, Path(folder), steps, seed, lambda what: progress(f"{self.name}: {what}")
            )
        assert not found.unclear, found.unclear[0]
        return Outcome(rounds, found.compared, time.monotonic() - began, found.notes)


def disturbed(
    cluster: KafkaCluster,
    folder: Path,
    steps: Sequence[tuple[Do, float]],
    seed: int,
    progress: Progress = lambda _: None,
) -> Disturbed:
    """Each fault for its seconds, one after the other under one load, then one comparison.

    Raises:
        TimeoutError: workers don't get going, or don't read everything afterwards.
    """
    direct, proxied = _settings(cluster)
    make_anew(direct)
    load = Load(cluster.bootstrap, None, RATE, seed)
    workers = SupervisedWorkers(proxied, folder)
    try:
        load.start()
        stage = Stage(cluster, workers, random.Random(seed))
        with CommitPauses(direct) as pauses:
            pauses.wait_until_committing()
            for do, seconds in steps:
                time.sleep(_SETTLE_SECONDS)
                progress(f"seed {seed}: {do.__name__}, {seconds:.1f} s")
                do(stage, seconds)
            time.sleep(_SETTLE_SECONDS)
        load.stop()
        load.wait()
        over = time.monotonic()
        _wait_until_read(direct, workers)
        notes = {
            "longest_pause": round(pauses.longest, 1),
            "seconds_to_catch_up": round(time.monotonic() - over, 1),
            "workers_left": len(workers.exits),
            "log_lines": workers.log_lines(),
        }
    finally:
        load.stop()
        workers.stop()
    compared = compare_with_replay(
        cluster.bootstrap, PARTITIONS, direct.worker.app_id, bad=load.bad
    )
    return Disturbed(compared, workers.exits, notes)


def _settings(cluster: KafkaCluster) -> tuple[Settings, Settings]:
    """Of who goes past the proxy, and of the workers behind it."""
    kafka = KafkaSettings(
        bootstrap_servers=cluster.bootstrap,
        partitions=PARTITIONS,
        replication=cluster.replication,
        min_insync_replicas=cluster.min_insync_replicas,
    )
    direct = Settings(
        _env_file=None,
        kafka=kafka,
        worker=WorkerSettings(app_id=f"b{uuid.uuid4().hex[:8]}"),
        metrics=MetricsSettings(port=0),
    )
    behind = kafka.model_copy(update={"bootstrap_servers": cluster.proxied_bootstrap})
    return direct, direct.model_copy(update={"kafka": behind})


def _wait_until_read(settings: Settings, workers: SupervisedWorkers) -> None:
    """Until every event's offset is committed."""
    ends = time.monotonic() + _READ_SECONDS
    while (behind := lag(settings)) > 0:
        if time.monotonic() > ends:
            raise TimeoutError(
                f"{behind} events are still not read after {_READ_SECONDS} s\n"
                + workers.last_words()
            )
        time.sleep(0.5)
