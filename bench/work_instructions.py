"""Instructions an event of any pieces of work: `python -m bench.work_instructions FILE` under
Valgrind, where the file holds them pickled."""

from __future__ import annotations

import gc
import pickle
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from bench.step_instructions import counted_whole
from bench.step_work import Work, do, fresh
from bench.valgrind import Callgrind, counted_under_valgrind
from streams.tables import MemoryTables


def instructions_of(works: Mapping[str, Work]) -> dict[str, float]:
    """By name, of the whole step. Only where `bench.valgrind.valgrind_works`."""
    touched = {name: _touched(work) for name, work in works.items()}
    with tempfile.NamedTemporaryFile() as file:
        pickle.dump(touched, file)
        file.flush()
        counted, _ = counted_under_valgrind("bench.work_instructions", file.name)
    return {name: counted[name] / work.events for name, work in works.items()}


def _touched(work: Work) -> Work:
    """With the rows of its own learners only: others are not looked at."""
    users = {record.key.decode() for records in work.batches for record in records if record.key}
    tables = MemoryTables()
    for table, values in work.tables.values.items():
        tables.values[table] = {
            key: value for key, value in values.items() if key.partition("|")[0] in users
        }
    return work._replace(tables=tables)


def main() -> None:
    works: dict[str, Work] = pickle.loads(Path(sys.argv[1]).read_bytes())  # noqa: S301  # our own
    callgrind = Callgrind()
    for work in works.values():
        do(fresh(work))
    gc.collect()
    gc.disable()
    for name, work in works.items():
        callgrind.count(name, partial(counted_whole, callgrind, fresh(work)))


if __name__ == "__main__":
    main()
