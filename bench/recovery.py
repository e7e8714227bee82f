"""How long a worker that was killed is away: from its restart to its first decision.

A worker is killed (``kill -9``); while it is away, the state of many learners comes into its
changelogs (`bench.state_of_learners`); it is started again, in its own slot (``instance_id``, so no
session has to time out), and an event waits for it. One partition: a worker takes those that it has
over one after the other, so what counts is how much state they hold in all. At the first size the
event log is made much longer by a few learners' events, which the worker folds, and it is killed
and started once more. They are there at once and folded in large batches, so the changelogs grow
by little; what they hold between two compactions under a steady load is seen in `bench.soak`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import NamedTuple

import orjson
from confluent_kafka import Message

from agents.topics import DECISIONS
from bench.feed import Keyed, feed, send
from bench.measured_kafka import measured_kafka, settings_for
from bench.process_size import resident_kb
from bench.state_of_learners import class_of, rows_of
from bench.steady_load import reader_at_the_end
from config.settings import MetricsSettings, Settings
from faults.command_process import CommandProcess
from faults.committed_records import lag
from servers.kafka import free_ports
from simulation.classroom import simulate

_APP_ID = "bench-recovery"
_LONGEST_SECONDS = 900.0
_RESTORED = re.compile(r"\"restored\": (\d+), \"event\": \"partition taken over\"")
_RESTORE_SECONDS = re.compile(r"^learner_restore_seconds_sum (\S+)", re.MULTILINE)
_FEW_LEARNERS = 20


class Recovery(NamedTuple):
    """``seconds`` from the start of the process to its first decision, as a reader sees it;
    ``restore_seconds`` of them went into ``restored`` records. ``resident_kb`` afterwards."""

    seconds: float
    restore_seconds: float
    restored: int
    resident_kb: int


class Changelogs:
    """Counts what is written into them."""

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0

    def counted(self, rows: Iterator[Keyed]) -> Iterator[Keyed]:
        for row in rows:
            self.records += 1
            self.bytes += len(row.key) + len(row.value)
            yield row


def recovery(
    sizes: Sequence[int], days: int, long_log: int, *, on_disk: bool = False
) -> dict[str, float]:
    """``recovery_seconds_<learners>`` and what belongs to it, for each size.

    Args:
        days: of activity that each learner's state is the sum of.
        long_log: by so many events the log is made longer.
        on_disk: the state is; ``recovery_on_disk_…`` then, of a worker that finds it there.

    Raises:
        SystemExit: a worker left, or did not restore all that was there.
    """
    known = class_of(days)
    result: dict[str, float] = {"recovery_days_of_state": days}
    written, there = Changelogs(), 0
    with measured_kafka() as kafka, tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state" if on_disk else None
        worker = RestartedWorker(_settings(kafka.bootstrap, state), Path(folder))
        try:
            empty = worker.restart(0)
            _tell("no state", empty)
            for size in sorted(sizes):
                worker.kill()
                rows = rows_of(known, range(there, size), _APP_ID)
                began = time.perf_counter()
                send(kafka.bootstrap, written.counted(rows))
                _say(f"{size:,} learners written in {time.perf_counter() - began:.0f} s")
                found = worker.restart(written.records)
                _tell(f"{size:,} learners", found)
                result |= figures(size, found, empty, written.bytes)
                if on_disk:
                    result |= _found_on_disk(worker, size)
                if there == 0:
                    result |= _with_a_long_log(worker, kafka.bootstrap, size, long_log)
                there = size
        finally:
            worker.kill()
    return result


def figures(size: int, found: Recovery, empty: Recovery, changelog_bytes: int) -> dict[str, float]:
    """Of one size; what the state takes is counted against a worker without any."""
    return {
        f"recovery_seconds_{size}": round(found.seconds, 1),
        f"restore_seconds_{size}": round(found.restore_seconds, 1),
        f"changelog_bytes_{size}": changelog_bytes,
        f"restored_records_{size}": found.restored,
        f"restored_records_per_s_{size}": round(found.restored / found.restore_seconds),
        "changelog_bytes_per_learner": round(changelog_bytes / size),
        "worker_bytes_per_learner": round(1024 * (found.resident_kb - empty.resident_kb) / size),
    }


class RestartedWorker:
    """One worker after another in the same slot."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._events = simulate(learners=1, days=400, seed=9)
        self._process: CommandProcess | None = None
        self._starts = 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def restart(self, records: int) -> Recovery:
        """Kills the one that runs; ``records`` must be restored, at least."""
        self.kill()
        self._starts += 1
        log = self._folder / f"worker-{self._starts}.log"
        bootstrap = self._settings.kafka.bootstrap_servers
        reader = reader_at_the_end(bootstrap, (DECISIONS,))
        event = next(self._events)
        feed(bootstrap, [event])
        waits_for = orjson.loads(event)["event_id"]
        began = time.perf_counter()
        self._process = CommandProcess("worker", self._settings, log)
        while not _decided(reader.consume(100, timeout=0.05), waits_for):
            if not self._process.alive or time.perf_counter() - began > _LONGEST_SECONDS:
                raise SystemExit(f"no decision: {log.read_text()[-2000:]}")
        seconds = time.perf_counter() - began
        reader.close()
        told = _RESTORED.search(log.read_text())
        restored = int(told[1]) if told else 0
        if restored < records:
            raise SystemExit(f"{restored:,} of {records:,} records were restored: no report")
        return Recovery(seconds, self._restore_seconds(), restored, resident_kb(self._process.pid))

    def until_caught_up(self) -> None:
        assert self._process is not None
        while lag(self._settings) > 0:
            if not self._process.alive:
                raise SystemExit("the worker left: no report")
            time.sleep(0.5)

    def _restore_seconds(self) -> float:
        url = f"http://127.0.0.1:{self._settings.metrics.port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            found = _RESTORE_SECONDS.search(answer.read().decode())
        assert found is not None
        return float(found[1])


def _found_on_disk(worker: RestartedWorker, size: int) -> dict[str, float]:
    found = worker.restart(0)
    _tell(f"{size:,} learners, found on disk", found)
    return {
        f"recovery_on_disk_seconds_{size}": round(found.seconds, 1),
        f"restored_records_on_disk_{size}": found.restored,
        f"worker_on_disk_mb_{size}": found.resident_kb // 1024,
    }


def _with_a_long_log(
    worker: RestartedWorker, bootstrap: str, size: int, events: int
) -> dict[str, float]:
    classes = (simulate(_FEW_LEARNERS, 400, seed) for seed in count(100))
    feed(bootstrap, islice(chain.from_iterable(classes), events))
    worker.until_caught_up()
    found = worker.restart(0)
    _tell(f"{size:,} learners and {events:,} more events", found)
    return {
        "long_log_events": events,
        f"recovery_seconds_{size}_long_log": round(found.seconds, 1),
        f"restored_records_{size}_long_log": found.restored,
    }


def _settings(bootstrap: str, state: Path | None) -> Settings:
    settings = settings_for(bootstrap, _APP_ID)
    # Any event decides then, so the one that waits needs not be chosen.
    worker = {"instance_id": "slot", "decide_on_every_event": True, "state_folder": state}
    return settings.model_copy(
        update={
            "worker": settings.worker.model_copy(update=worker),
            "metrics": MetricsSettings(port=free_ports(1)[0]),
        }
    )


def _decided(messages: Sequence[Message], event_id: str) -> bool:
    return any(
        message.error() is None and orjson.loads(message.value())["event_id"] == event_id
        for message in messages
    )


def _tell(what: str, found: Recovery) -> None:
    _say(
        f"{what}: first decision after {found.seconds:.1f} s, {found.restore_seconds:.1f} s of "
        f"them for {found.restored:,} records; {found.resident_kb // 1024:,} MB"
    )


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
