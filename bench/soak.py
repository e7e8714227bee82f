"""`make soak`: a worker held under load and killed again and again; nothing may be lost or grow.

    make soak ARGS="--minutes 60 --rate 1000"

One worker, what the world sends (`faults.world_input`) at a steady rate, ``kill -9`` once a minute;
it is started again at once, in its slot (``instance_id``), as a supervisor does. At the end
everything on Kafka is compared with a replay of the log. Ends with one JSON line: minutes, kills,
events, lost, doubled, different; the worker's memory in its first and its last life at the same
age, and the state that it is made of; the lag when the load ends, and how long it takes to catch
up. Exit code 0 only if nothing is lost, doubled or different.

Of an hour at 1,500 events a second (5.4 million) the comparison took twelve minutes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.process_size import resident_kb
from config.settings import Settings
from faults.command_process import CommandProcess
from faults.committed_records import lag
from faults.fault import on_fresh_topics
from faults.load import Load
from faults.partition_oracle import compare_by_partition
from servers.kafka import LASTING, start_kafka

_RATE = 1_000.0
_LOOK_SECONDS = 0.5
_LONGEST_CATCH_UP_SECONDS = 900.0
_TAKEN_OVER = "partition taken over"


def main() -> None:
    args = _arguments()
    kafka = start_kafka(LASTING)
    try:
        result = soak(kafka.bootstrap, args)
    finally:
        kafka.stop()
    sys.stdout.write(json.dumps(result) + "\n")
    raise SystemExit(any(result[kind] for kind in ("lost", "doubled", "different")))


class Sample(NamedTuple):
    """``age`` of the process in seconds."""

    age: float
    resident_mb: float


class TakenOver(NamedTuple):
    """``partitions``, with so many records ``restored``, within ``seconds`` of the start."""

    partitions: int
    restored: int
    seconds: float


@dataclass
class Life:
    """A worker's, from its start to the kill that ends it."""

    process: CommandProcess
    log: Path
    began: float = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)

    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def age(self) -> float:
        return time.monotonic() - self.began

    def look(self) -> None:
        self.samples.append(Sample(self.age, resident_kb(self.process.pid) / 1024))

    def taken_over(self) -> TakenOver:
        return taken_over(self.log.read_text(), self.started_at)


def taken_over(log: str, started_at: datetime) -> TakenOver:
    """What a worker told so far of a start at that time."""
    told = [json.loads(line) for line in log.splitlines() if _TAKEN_OVER in line]
    ready = [datetime.fromisoformat(one["timestamp"]) for one in told]
    seconds = (max(ready, default=started_at) - started_at).total_seconds()
    return TakenOver(len(told), sum(one["restored"] for one in told), round(seconds, 1))


class KeptWorker:
    """One worker in one slot, started again at once whatever ends it; ``left``: by itself."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self.lives: list[Life] = []
        self.left = 0
        self.start()

    def start(self) -> None:
        log = self._folder / f"worker-{len(self.lives):04}.log"
        self.lives.append(Life(CommandProcess("worker", self._settings, log), log))

    def look(self) -> Life:
        """At its memory, and whether it is still there."""
        life = self.lives[-1]
        if life.process.alive:
            life.look()
        else:
            self.left += 1
            _say(f"the worker left by itself: {life.log.read_text()[-500:]}")
            self.start()
        return self.lives[-1]

    def kill(self) -> None:
        self.lives[-1].process.kill()


def soak(bootstrap: str, args: argparse.Namespace) -> dict[str, float]:
    """The figures of the closing line."""
    settings = on_fresh_topics(bootstrap, args.partitions)
    in_a_slot = settings.worker.model_copy(update={"instance_id": "slot"})
    settings = settings.model_copy(update={"worker": in_a_slot})
    load = Load(bootstrap, None, args.rate, args.seed)
    with tempfile.TemporaryDirectory(prefix="learner-soak-") as folder:
        worker = KeptWorker(settings, Path(folder))
        try:
            load.start()
            kills = _hold(worker, settings, 60 * args.minutes, args.kill_every)
            load.stop()
            load.wait()
            lag_at_end = lag(settings)
            seconds = _until_caught_up(worker, settings)
            _say(f"the load ends {lag_at_end:,} events ahead, caught up after {seconds:.1f} s")
            worker.look()
        finally:
            worker.kill()
            load.abandon()
        lives = worker.lives
        first, last = at_the_same_age(lives[0].samples, lives[-1].samples)
        start = lives[-1].taken_over()
    _say(f"comparing {load.sent:,} records with a replay")
    compared, learners, state_bytes = compare_by_partition(settings, load.bad)
    if any(compared[1:]):
        _say(compared.told())
    return {
        "minutes": args.minutes,
        "events_per_s": args.rate,
        "kills": kills,
        "left_by_itself": worker.left,
        "events": compared.events,
        "lost": len(compared.lost),
        "doubled": len(compared.doubled),
        "different": len(compared.different),
        "rss_mb_first": round(first.resident_mb),
        "rss_mb_last": round(last.resident_mb),
        "rss_at_age_s": round(first.age),
        "learners": learners,
        "state_mb": round(state_bytes / 2**20),
        "restored_last": start.restored,
        "seconds_to_restore_last": start.seconds,
        "lag_at_end": lag_at_end,
        "seconds_to_catch_up": round(seconds, 1),
    }


def at_the_same_age(first: Sequence[Sample], last: Sequence[Sample]) -> tuple[Sample, Sample]:
    """Of each the last sample that is no older than the younger of the two ends."""
    age = min(first[-1].age, last[-1].age)
    young = [[sample for sample in samples if sample.age <= age] for samples in (first, last)]
    return young[0][-1], young[1][-1]


def _hold(worker: KeptWorker, settings: Settings, seconds: float, kill_every: float) -> int:
    """Kills, but not at the very end; how often it did."""
    ends, kills = time.monotonic() + seconds, 0
    while (left := ends - time.monotonic()) > 0:
        time.sleep(_LOOK_SECONDS)
        life = worker.look()
        if life.age >= kill_every and left > kill_every / 2:
            behind = lag(settings)
            worker.kill()
            kills += 1
            worker.start()
            start = life.taken_over()
            _say(
                f"life {kills}: {start.partitions} partitions, {start.restored:,} records restored "
                f"within {start.seconds} s; {life.samples[-1].resident_mb:,.0f} MB after "
                f"{life.age:.0f} s, {behind:,} events behind; killed"
            )
    return kills


def _until_caught_up(worker: KeptWorker, settings: Settings) -> float:
    began = time.monotonic()
    while lag(settings) > 0:
        if time.monotonic() - began > _LONGEST_CATCH_UP_SECONDS:
            raise SystemExit("the worker does not catch up: no report")
        worker.look()
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=60, help="under load (60)")
    parser.add_argument(
        "--rate", type=float, default=_RATE, help="events a second (1,000, on every machine)"
    )
    parser.add_argument("--kill-every", type=float, default=60, help="seconds of a life (60)")
    parser.add_argument("--partitions", type=int, default=4, help="of learner.events (4)")
    parser.add_argument("--seed", type=int, default=7, help="of the input (7)")
    return parser.parse_args()


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    main()
