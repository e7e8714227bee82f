"""Workers and trainers as processes: how they stop, and how they leave."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORK = """
import asyncio, atexit, sys
from pathlib import Path
from cli.running import run_until_stopped
from config.logging import configure_logging
from config.settings import LogSettings
from schemas.errors import BrokerUnavailable, LeftInDoubt, StoreUnavailable

async def until_stopped(stop):
    print("working", flush=True)
    await stop.wait()
    return "stopped in good order"

async def stubborn(stop):
    print("working", flush=True)
    await asyncio.sleep(60)

async def fails(stop):
    raise RuntimeError("in doubt")

async def full_disk(stop):
    raise LeftInDoubt from StoreUnavailable("the disk is full")

async def no_broker(stop):
    raise BrokerUnavailable("no Kafka")

configure_logging(LogSettings())
atexit.register(print, "cleaned up")
print(run_until_stopped(globals()[sys.argv[1]], Path(sys.argv[2])))
"""


def start(work: str, heartbeat: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORK, work, str(heartbeat)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_good_order(number: signal.Signals, tmp_path: Path) -> None:
    process = start("until_stopped", tmp_path / "beat")
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said == "stopped in good order\ncleaned up\n"


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    process = start("stubborn", tmp_path / "beat")
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said == ""


def test_what_it_cannot_mend_ends_the_process_without_clean_up(tmp_path: Path) -> None:
    process = start("fails", tmp_path / "beat")
    said, logged = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == ""
    assert "in doubt" in logged


def test_an_error_of_ours_in_mid_work_is_told_in_a_line_and_ends_it_like_any_other(
    tmp_path: Path,
) -> None:
    process = start("full_disk", tmp_path / "beat")
    said, logged = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == ""
    assert logged == "learner: the disk is full\n"


def test_an_error_of_ours_is_raised(tmp_path: Path) -> None:
    process = start("no_broker", tmp_path / "beat")
    said, logged = process.communicate(timeout=20)
    assert process.returncode == 1
    assert said == "cleaned up\n"
    assert "BrokerUnavailable: no Kafka" in logged


def test_the_heartbeat_goes_on_while_it_works(tmp_path: Path) -> None:
    heartbeat = tmp_path / "beat"
    process = start("until_stopped", heartbeat)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.2)
    first = heartbeat.stat().st_mtime
    time.sleep(1.5)
    assert heartbeat.stat().st_mtime > first
    process.terminate()
    process.communicate(timeout=20)
