"""One partition's state on disk: a RocksDB that follows Kafka and is never ahead of it.

Beside the rows stands how far each changelog has been read into them. What is written at once is
there whole or not at all, also after ``kill -9``; after a power loss the latest may be gone, and is
read from Kafka again. State that belongs to other topics, to another layout, or that was last
written too long ago, is thrown away: Kafka has all of it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson
from rocksdict import BlockBasedOptions, Cache, DBCompressionType, Options, Rdict, WriteBatch

from schemas.errors import StateInUse, StoreUnavailable

LAYOUT = 1
"""Of keys and marks here; the rows are the changelogs' own bytes."""

TRUSTED_SECONDS = 12 * 3600
"""Kafka keeps a tombstone for a day (``delete.retention.ms``). State that was away for longer could
miss one, and keep a row that was deleted."""

MARKS = b"\x00marks"
"""The key under which a state says what it belongs to and how far it goes."""
_WRITE_BUFFER_BYTES = 16 * 1024 * 1024
_CACHE_BYTES = 64 * 1024 * 1024
_BLOOM_BITS = 10
"""A key: one in a hundred that are not there is looked for in a file."""
_cache: Cache | None = None


class PartitionState:
    """Rows by key, and ``reached``: by changelog, the offset from which it is to be read on.

    Args:
        folder: the partition's own; made if absent.
        belongs_to: what the rows come from: app, topics and their ids; ``None`` where Kafka cannot
            tell, and what there is cannot be trusted.

    Raises:
        StateInUse: another process has it open.
        StoreUnavailable: the disk is full, read-only or broken.
    """

    def __init__(self, folder: Path, belongs_to: str | None) -> None:
        self._folder = folder
        self._belongs_to = belongs_to and f"{belongs_to}, layout {LAYOUT}"
        self._db = self._open()
        self.reached: dict[str, int] = {}
        with self._told():
            raw = self._db.get(MARKS)
        marks = None if raw is None else orjson.loads(raw)
        if (
            marks is not None
            and self._belongs_to is not None
            and marks["belongs_to"] == self._belongs_to
            and 0 <= time.time() - marks["written_at"] < TRUSTED_SECONDS
        ):
            self.reached = marks["reached"]
        elif raw is not None or next(iter(self._db.keys()), None) is not None:
            self.begin_anew()

    def get(self, key: bytes) -> bytes | None:
        value: bytes | None = self._db.get(key)
        return value

    def write(self, rows: Iterable[tuple[bytes, bytes | None]], reached: Mapping[str, int]) -> None:
        """Rows (``None`` deletes one) and how far the changelogs are in them, as one.

        Raises:
            StoreUnavailable: nothing was written.
        """
        batch = WriteBatch(raw_mode=True)
        for key, value in rows:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        self.reached = {**self.reached, **reached}
        marks = {
            "belongs_to": self._belongs_to,
            "reached": self.reached,
            "written_at": time.time(),
        }
        batch.put(MARKS, orjson.dumps(marks))
        with self._told():
            self._db.write(batch)

    def begin_anew(self) -> None:
        """Throws everything away."""
        self.close()
        shutil.rmtree(self._folder)
        self._db, self.reached = self._open(), {}

    def close(self) -> None:
        self._db.close()

    def _open(self) -> Rdict:
        with self._told():
            self._folder.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self._folder), _options())

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # rocksdict has no class of its own for what RocksDB says
            if "lock hold" in str(error) or "While lock file" in str(error):
                raise StateInUse(
                    f"{self._folder} is open in another process: is a worker still running on it?"
                ) from error
            raise StoreUnavailable(
                f"the state folder {self._folder} cannot be used: {error}. Make room or mend the "
                "disk, or delete the folder: all of it is read from Kafka again"
            ) from error


def _options() -> Options:
    """Small buffers: a worker has many partitions, and a bound on its memory."""
    global _cache  # noqa: PLW0603  # one for all partitions of the process
    if _cache is None:
        _cache = Cache(_CACHE_BYTES)
    blocks = BlockBasedOptions()
    blocks.set_bloom_filter(_BLOOM_BITS, block_based=False)
    blocks.set_block_cache(_cache)
    options = Options(raw_mode=True)  # bytes only: otherwise values would be pickled
    options.create_if_missing(True)
    options.set_block_based_table_factory(blocks)
    options.set_write_buffer_size(_WRITE_BUFFER_BYTES)
    options.set_compression_type(DBCompressionType.lz4())
    return options
