"""What a contender is told and tells goes through its process; one that breaks off is noticed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.contender_process import Run, Told, run_of, wait_until_ready

RUN = Run(10, 5.0, 7.0, 0.5, batch_records=2.5, decisions="d")


def saying(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)


def test_both_are_json() -> None:
    told = Told("lists", "kafka:9092", "app", 2, 10, core=1)
    assert Told(*json.loads(json.dumps(told))) == told
    assert Run(*json.loads(json.dumps(RUN))) == RUN
    assert (RUN.events_per_s, RUN.cpu_us) == (5.0, 50_000.0)


def test_its_log_is_passed_over() -> None:
    process = saying(f"print('log\\nready\\nlog\\n' + {json.dumps(RUN)!r})")
    wait_until_ready(process)
    assert run_of(process) == RUN


@pytest.mark.parametrize("code", ["pass", "print('log'); raise SystemExit(1)"])
def test_one_that_breaks_off_ends_the_benchmark(code: str) -> None:
    with pytest.raises(SystemExit, match="ended before it was ready"):
        wait_until_ready(saying(code))
    with pytest.raises(SystemExit, match="a contender left"):
        run_of(saying(code))
