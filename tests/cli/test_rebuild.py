"""`learner rebuild` and `learner audit worker` as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from agents.topics import EVENTS
from cli.main import app
from cli.rebuild import _until_done
from config.settings import Settings
from faults.committed_records import lag
from faults.running_sinks import until
from faults.supervised_workers import SupervisedWorkers
from simulation.classroom import simulate


def learner(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.stdout, done.stderr


def test_from_the_log_to_a_new_file_and_to_tables_that_were_right(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    producer = Producer({"bootstrap.servers": fresh_kafka.kafka.bootstrap_servers})
    for line in simulate(3, 5, seed=5):
        producer.produce(EVENTS, line, json.loads(line)["user_id"])
    assert producer.flush(10) == 0
    workers = SupervisedWorkers(fresh_kafka, tmp_path)
    try:
        until(lambda: lag(fresh_kafka) == 0, 60)
    finally:
        workers.stop()
    where = ("--kafka", fresh_kafka.kafka.bootstrap_servers, "--app-id", fresh_kafka.worker.app_id)
    code, out, _ = learner("audit", "worker", "--json", *where)
    told = json.loads(out)["worker"]
    assert (code, told["missing"], told["extra"], told["different"]) == (0, 0, 0, 0)
    assert set(told["tables"]) == {"profile", "behavior", "engagement", "seen"}
    assert told["tables"]["behavior"]["rows"] == 3
    code, out, _ = learner("audit", "worker", *where)
    assert code == 0
    assert out.splitlines()[-1] == "in step"

    for table in ("worker", "seen"):
        code, out, err = learner("rebuild", table, *where)
        assert code == 0, err
        done = json.loads(out)
        assert done.pop("events") > 20
        assert done == {
            "store": "worker", "partitions": 4, "missing": 0, "extra": 0, "different": 0,
        }  # fmt: skip

    file = tmp_path / "learner.duckdb"
    of_file = (*where, "--file", str(file))
    code, out, err = learner("rebuild", "duckdb", *of_file)
    first = json.loads(out)
    assert (code, first["old"], first["refused"]) == (0, "", 0)
    assert first["written"] > 20
    assert file.exists()
    code, out, err = learner("rebuild", "duckdb", *of_file)
    kept = json.loads(out)["old"]
    assert Path(kept).exists()
    assert f"kept as {kept}; `learner rebuild duckdb --drop-old` drops it" in err
    code, out, err = learner("rebuild", "duckdb", "--drop-old", *of_file)
    assert (code, json.loads(out)) == (0, {"store": "duckdb", "dropped": [kept]})
    assert not Path(kept).exists()
    assert file.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("orcale",), "'orcale' is nothing to rebuild; there are postgres, mongodb"),
        (("worker", "--drop-old"), "--even-if-shorter and --drop-old are for stores"),
        (("seen", "--even-if-shorter"), "--even-if-shorter and --drop-old are for stores"),
        (("duckdb", "--kafka", "127.0.0.1:1"), "127.0.0.1:1"),
        (("worker", "--kafka", "127.0.0.1:1"), "127.0.0.1:1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = learner("rebuild", *arguments)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


async def _long() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        await asyncio.sleep(60)
    finally:
        OPENED.append("again")


OPENED: list[str] = []


def test_sigterm_ends_it_in_good_order() -> None:
    with pytest.raises(KeyboardInterrupt):
        _until_done(_long())
    assert OPENED == ["again"]
