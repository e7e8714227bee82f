"""The DuckDB file while several want it, and after its writer was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from audit.duckdb import DuckdbAudit
from config.settings import DuckdbSettings
from schemas.errors import StoreUnavailable
from sink_suite.contract_tests import contents, expected
from sink_suite.stream_records import stream_records
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink
from sinks.duckdb_file import reading
from sinks.duckdb_table import ROW_GROUP

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kept.duckdb"


def sink_of(file: Path) -> DuckdbSink:
    return DuckdbSink(DuckdbSettings(file=file))


def audit_of(file: Path) -> DuckdbAudit:
    return DuckdbAudit(DuckdbSettings(file=file))


async def write(file: Path, *batches: Sequence[SinkRecord]) -> None:
    """By a sink of its own, set up and closed."""
    sink = sink_of(file)
    await sink.setup()
    for batch in batches:
        await sink.write(batch)
    await sink.close()


def rows(file: Path, sql: str) -> list[tuple[Any, ...]]:
    with reading(file) as db:
        found: list[tuple[Any, ...]] = db.execute(sql).fetchall()
        return found


async def test_a_write_leaves_the_file_open_to_others(file: Path) -> None:
    """While the sink idles, another process reads, and no log lies beside the file."""
    sink = sink_of(file)
    await sink.setup()
    await sink.write(stream_records()[:500])
    count = (
        "import duckdb, sys; print(duckdb.connect(sys.argv[1], read_only=True)"
        ".execute('SELECT count(*) FROM events').fetchall())"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", count, file], capture_output=True, check=True
    )
    must = sum(record.topic == "learner.events" for record in stream_records()[:500])
    assert done.stdout.decode().strip() == f"[({must},)]"
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]
    await sink.close()


HOLD = """
import duckdb, sys, time
db = duckdb.connect(sys.argv[1], read_only=sys.argv[2] == "reader")
print("held", flush=True)
time.sleep(float(sys.argv[3]))
"""


@contextmanager
def held(file: Path, how: str, seconds: float) -> Iterator[None]:
    """By another process."""
    command = [sys.executable, "-c", HOLD, str(file), how, str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.kill()


async def test_a_writer_waits_for_a_reader(file: Path) -> None:
    await write(file, stream_records()[:10])
    with held(file, "reader", 0.4):
        await write(file, stream_records()[:50])
    assert len(await contents(audit_of(file))) > 10


async def test_a_file_that_is_held_for_long_is_unavailable(file: Path) -> None:
    await write(file, ())
    sink = sink_of(file)
    with held(file, "reader", 60), pytest.raises(StoreUnavailable, match=r"kept\.duckdb.*lock"):
        await sink.setup()
    await sink.setup()
    await sink.close()


async def test_a_reader_waits_for_a_writer(file: Path) -> None:
    await write(file, stream_records()[:10])
    with held(file, "writer", 1.5):
        began = time.monotonic()
        assert rows(file, "SELECT count(*) FROM events")[0][0] > 0
    assert time.monotonic() - began > 0.5


async def test_a_reader_in_the_same_process_keeps_a_writer_waiting_only(file: Path) -> None:
    await write(file, stream_records()[:10])
    with reading(file):
        writing = asyncio.create_task(write(file, stream_records()[:50]))
        await asyncio.sleep(0.3)
        assert not writing.done()
    await writing


async def test_the_loop_goes_on_while_a_batch_is_written(file: Path) -> None:
    sink = sink_of(file)
    await sink.setup()
    writing = asyncio.create_task(sink.write(stream_records()))
    longest = 0.0
    while not writing.done():
        before = time.monotonic()
        await asyncio.sleep(0.001)
        longest = max(longest, time.monotonic() - before)
    began = time.monotonic()
    await sink.write(stream_records())
    assert longest < max(0.05, (time.monotonic() - began) / 2)
    await sink.close()


async def test_the_file_stays_tidy_under_small_writes(file: Path) -> None:
    """Every write leaves a row group; DuckDB joins them as they gather."""
    events = [record for record in stream_records() if record.topic == "learner.events"]
    await write(file, *([event] for event in events[:100]))
    sql = "SELECT count(DISTINCT row_group_id) FROM pragma_storage_info('events')"
    assert rows(file, sql)[0][0] < 20
    assert ROW_GROUP % 2048 == 0


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from config.settings import DuckdbSettings
from schemas.errors import StoreUnavailable
from sink_suite.stream_records import stream_records
from sinks.duckdb import DuckdbSink

async def run(file):
    sink, records = DuckdbSink(DuckdbSettings(file=file)), stream_records()[: int(sys.argv[3])]
    await sink.setup()
    await sink.write(records[:300])
    unlimited, room = resource.RLIM_INFINITY, int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + room, unlimited))
    for _ in range(2):
        try:
            await sink.write(records)
        except StoreUnavailable as error:
            print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (unlimited, unlimited))
    if sys.argv[2] == "again":
        await sink.write(records)

asyncio.run(run(Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("then", "records", "room"),
    [
        ("again", 2_000, 50_000),
        ("ends", 2_000, 50_000),
        ("again", 301, 0),  # one is kept in the log, and not taken over into the file
    ],
)
async def test_a_full_disk_is_unavailable_and_loses_nothing(
    file: Path, then: str, records: int, room: int
) -> None:
    command = [sys.executable, "-c", FULL_DISK, str(file), then, str(records), str(room)]
    done = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, env=with_paths(), check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("DuckDB, ") == done.stdout.count("File too large") == 2
    kept = stream_records()[: records if then == "again" else 300]
    assert await contents(audit_of(file)) == expected(audit_of(file), kept)


def with_paths() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}


WRITER = """
import asyncio, sys
from pathlib import Path
from config.settings import DuckdbSettings
from sink_suite.stream_records import stream_records
from sinks.duckdb import DuckdbSink

async def run(file, start, size):
    sink, records = DuckdbSink(DuckdbSettings(file=file)), stream_records()
    await sink.setup()
    for at in range(start, len(records), size):
        print("begin", at, flush=True)
        await sink.write(records[at : at + size])
        print("done", at + size, flush=True)

asyncio.run(run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""
"""Writes the class in batches from a record on, and says where it is."""


def killed_writer(file: Path, start: int, size: int, number: int) -> tuple[int, int]:
    """Kills a writer some milliseconds into one of its first batches.

    Returns how many records it said were written, and how many with the batch it had begun.
    """
    command = [sys.executable, "-c", WRITER, str(file), str(start), str(size)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_paths()) as writer:
        assert writer.stdout is not None
        said = {"begin": start, "done": start}
        begun = 0
        for line in writer.stdout:  # to the end, so that nothing it said is missed
            word, at = line.split()
            said[word] = int(at)
            begun += word == "begin"
            if word == "begin" and begun == 3 + number % 3:
                time.sleep(0.005 * number)
                writer.kill()
    assert writer.returncode == -signal.SIGKILL
    return said["done"], said["begin"] + size


async def test_a_writer_killed_in_mid_write_leaves_whole_batches(file: Path) -> None:
    size, kept, amid = 150, 0, 0
    records = stream_records()
    for killed in range(8):
        start = max(0, kept - 300)
        done, began = await asyncio.to_thread(killed_writer, file, start, size, killed)
        kept = max(kept, done)
        amid += began > done
        found = await contents(audit_of(file))
        upto = [kept, min(kept + size, len(records))]
        must = [expected(audit_of(file), records[:end]) for end in upto]
        assert found in must, f"neither {upto[0]} nor {upto[1]} records are there"
        kept = upto[must.index(found)]
    assert amid >= 4, "the kills were to come in mid-write"
    await write(file, records)
    assert await contents(audit_of(file)) == expected(audit_of(file), records)
