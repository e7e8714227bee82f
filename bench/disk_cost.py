"""What state on disk costs an event, beside the step: figures of `bench/measured_costs.json`.

    PYTHONPATH=.:tests python -m bench.disk_cost

No broker; needs the extra ``disk``. Prints one JSON line, in µs of CPU an event: to write what
changed, in batches of 30, and to read and decode a learner's values that are not kept decoded any
more. What is read is in memory nonetheless, RocksDB's or the kernel's: a real disk comes on top.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from agents.disk_tables import DiskTables
from agents.partition_tables import encoded
from agents.prompt_sets import prompts_in
from agents.topics import EVENTS, changelog
from bench.step_cost import LEARNERS
from config.seed_trees import seed_trees
from simulation.classroom import simulate
from simulation.disturbance import routing_key
from streams.batch import Batch, Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.scoring import compile_trees
from streams.tables import TABLE_NAMES, MemoryTables, Tables

_BEFORE = 40_000
_MEASURED = 9_000
_BATCH = 30

Apply = Callable[[Batch, int], None]


def main() -> None:
    lines = enumerate(simulate(LEARNERS, days=400, seed=5))
    before, batched, kept, not_kept = (
        list(islice(lines, count)) for count in (_BEFORE, _MEASURED, _MEASURED, _MEASURED)
    )
    topics = {changelog("disk-cost", name): name for name in TABLE_NAMES}
    with tempfile.TemporaryDirectory() as folder:
        disk, memory = DiskTables(Path(folder) / "0", topics, LEARNERS * 30), MemoryTables()
        disk.open("disk-cost")

        def onto_disk(batch: Batch, position: int) -> None:
            disk.apply(encoded(batch.tables.changed), position, dict.fromkeys(topics, position))

        def into_memory(batch: Batch, _: int) -> None:
            encoded(batch.tables.changed)
            memory.apply(batch.tables.changed)

        gc.disable()
        cpu_us(before, disk, onto_disk, _BATCH)
        cpu_us(before, memory, into_memory, _BATCH)
        written = cpu_us(batched, disk, onto_disk, _BATCH)
        written -= cpu_us(batched, memory, into_memory, _BATCH)
        one_by_one = cpu_us(kept, disk, onto_disk, 1)
        disk.close()
        disk = DiskTables(Path(folder) / "0", topics, 0)
        disk.open("disk-cost")
        missed = cpu_us(not_kept, disk, onto_disk, 1) - one_by_one
        disk.close()
    result = {"disk_us_per_event": round(written, 1), "miss_us_per_event": round(missed, 1)}
    sys.stdout.write(json.dumps(result) + "\n")


def cpu_us(lines: Sequence[tuple[int, bytes]], tables: Tables, apply: Apply, size: int) -> float:
    """Of an event, through the step and into the tables, in batches of ``size``."""
    trees = compile_trees(seed_trees())
    rules, source = Rules(prompts=prompts_in(None)), Source(EVENTS, 0)
    now = datetime.now(UTC)
    began = time.thread_time()
    for at in range(0, len(lines), size):
        batch = lines[at : at + size]
        records = [Record(offset, routing_key(line), line, now) for offset, line in batch]
        apply(process(records, tables, trees, rules, source), records[-1].offset + 1)
    return 1e6 * (time.thread_time() - began) / len(lines)


if __name__ == "__main__":
    main()
