"""From no server running to the verdict: `make audit`.

Starts Kafka and every store, sends OULAD (a sample; all of it with EVENTS=all) through worker,
trainer and all six sinks, each in a process of its own, then asks `learner audit`. Without the
data set a simulated class takes its place. Ends with one JSON line: for each store rows, missing,
extra, different. Exit code 0 only if all of them are in step.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from agents.topic_admin import create_topics
from bench.feed import feed
from config.settings import KafkaSettings, Settings, SinkSettings
from converters.oulad import oulad_events
from faults.all_stores import all_stores
from faults.command_process import CommandProcess, environment
from faults.committed_records import lag
from servers.kafka import LASTING, start_kafka
from simulation.classroom import simulate
from sinks.registry import STORES

_SAMPLE = 20_000
_POLL_SECONDS = 0.5
_MOST_RESTARTS = 5
_OULAD = Path(__file__).parents[2] / "shared" / "data" / "oulad"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make audit", description=__doc__)
    parser.add_argument("--events", default=str(_SAMPLE), help="how many, or all")
    parser.add_argument("--oulad", type=Path, default=_OULAD, help="folder with OULAD's CSV files")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=STORES, help="only these")
    args = parser.parse_args()
    wanted = None if args.events == "all" else int(args.events)
    with ExitStack() as stack:
        _say("starting Kafka and five stores")
        kafka = start_kafka(LASTING)
        stack.callback(kafka.stop)
        stores = stack.enter_context(all_stores(args.stores))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
        settings = stores.settings(plain, folder)
        # A bulk load: of states that come many times only the last of a batch is written.
        bulk = SinkSettings(max_records=100_000, max_bytes=268_435_456, max_age_seconds=2)
        settings = settings.model_copy(update={"sink": bulk})
        asyncio.run(create_topics(settings))
        commands = ("worker", "trainer", *(f"sink {store}" for store in args.stores))
        processes = Supervised(commands, settings, folder)
        stack.callback(processes.kill)
        began = time.perf_counter()
        sent = feed(kafka.bootstrap, _events(args.oulad, wanted))
        _say(f"{sent:,} events sent in {time.perf_counter() - began:.0f} s")
        while lag(settings) > 0:
            processes.keep_running()
            time.sleep(_POLL_SECONDS)
        _say(f"all folded and decided after {time.perf_counter() - began:.0f} s")
        audit = [sys.executable, "-m", "cli.main", "audit", *args.stores]
        audit += ["--wait", "3600", "--json"]
        found, said = folder / "audit.json", folder / "audit.log"
        with found.open("wb") as out, said.open("wb") as errors:
            auditing = subprocess.Popen(audit, env=environment(settings), stdout=out, stderr=errors)
        while auditing.poll() is None:
            processes.keep_running()
            time.sleep(_POLL_SECONDS)
        _say(f"audited after {time.perf_counter() - began:.0f} s")
        processes.terminate()
        if not found.stat().st_size:
            raise SystemExit(said.read_text())
        report = json.loads(found.read_bytes())
    _show(report)
    kinds = ("rows", "missing", "extra", "different")
    last = {store: {kind: table[kind] for kind in kinds} for store, table in report.items()}
    sys.stdout.write(json.dumps(last) + "\n")
    raise SystemExit(auditing.returncode)


class Supervised:
    """Commands in processes of their own; one that leaves is started again, as compose does it."""

    def __init__(self, commands: Sequence[str], settings: Settings, folder: Path) -> None:
        self._settings, self._folder = settings, folder
        self._processes = {command: self._start(command) for command in commands}
        self._left: Counter[str] = Counter()

    def keep_running(self) -> None:
        for command, process in self._processes.items():
            if not process.alive:
                said = self._log(command).read_text().splitlines()[-1][-300:]
                self._left[command] += 1
                if self._left[command] > _MOST_RESTARTS:
                    raise SystemExit(f"learner {command} ends again and again: {said}")
                _say(f"learner {command} left, and is started again: {said}")
                self._processes[command] = self._start(command)

    def terminate(self) -> None:
        for process in self._processes.values():
            process.terminate(60)

    def kill(self) -> None:
        for process in self._processes.values():
            process.kill()

    def _start(self, command: str) -> CommandProcess:
        return CommandProcess(command, self._settings, self._log(command))

    def _log(self, command: str) -> Path:
        return self._folder / f"{command}.log"


def _events(folder: Path, wanted: int | None) -> Iterator[bytes]:
    if folder.is_dir():
        events = oulad_events(folder)
        if wanted is not None:
            events = (line for line in events if _sampled(line))
    else:
        _say(f"{folder} is not there: a simulated class instead")
        events = simulate(learners=400, days=120, seed=7)
    return itertools.islice(events, wanted)


def _sampled(line: bytes) -> bool:
    """Whole learners, every ninth: the first events of OULAD are enrolments only."""
    return uuid.UUID(json.loads(line)["user_id"]).int % 9 == 0


def _show(report: dict[str, dict[str, object]]) -> None:
    for store, found in report.items():
        tables = found["tables"]
        assert isinstance(tables, dict)
        for name, table in tables.items():
            _say(
                f"{store:>13} {name:<22} {table['rows']:>9,} rows  {table['missing']} missing  "
                f"{table['extra']} extra  {table['different']} different"
            )
            for difference in table["first"]:
                _say(json.dumps(difference)[:2000])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    main()
