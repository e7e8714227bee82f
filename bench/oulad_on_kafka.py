"""All of OULAD through the worker on a real Kafka, compared with replay, record by record.

`python -m bench.oulad_on_kafka DIR` ends with one JSON line; exit code 0 only if nothing is lost,
doubled or different.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

from agents import topics
from agents.topic_admin import create_topics
from bench.feed import feed
from config.settings import KafkaSettings, Settings, WorkerSettings
from converters.oulad import oulad_events
from faults.command_process import CommandProcess
from faults.committed_records import lag
from faults.log_oracle import compare_with_replay, outcomes
from servers.kafka import LASTING, start_kafka

_POLL_SECONDS = 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="OULAD's CSV files")
    folder: Path = parser.parse_args().folder
    kafka = start_kafka(LASTING)
    try:
        result = through_the_worker(kafka.bootstrap, folder)
    finally:
        kafka.stop()
    sys.stdout.write(json.dumps(result) + "\n")
    raise SystemExit(any(result[kind] for kind in ("lost", "doubled", "different")))


def through_the_worker(bootstrap: str, folder: Path) -> dict[str, float]:
    """Feeds everything, lets one worker fold it, compares."""
    settings = Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=bootstrap),
        worker=WorkerSettings(pin_trees=True),
    )
    asyncio.run(create_topics(settings))
    feed(bootstrap, oulad_events(folder))
    with tempfile.TemporaryDirectory() as logs:
        began = time.perf_counter()
        worker = CommandProcess("worker", settings, Path(logs) / "worker.log")
        try:
            while lag(settings) > 0:
                if not worker.alive:
                    raise SystemExit((Path(logs) / "worker.log").read_text()[-2000:])
                time.sleep(_POLL_SECONDS)
            seconds = time.perf_counter() - began
            worker.terminate()
        finally:
            worker.kill()
    partitions = settings.kafka.partitions
    compared = compare_with_replay(bootstrap, partitions, settings.worker.app_id)
    return {
        "events": compared.events,
        "seconds": round(seconds, 1),
        "decisions": outcomes(bootstrap, partitions)[topics.DECISIONS],
        "lost": len(compared.lost),
        "doubled": len(compared.doubled),
        "different": len(compared.different),
    }


if __name__ == "__main__":
    main()
