"""What a replay leaves, kept in a DuckDB file as the sink would keep it from Kafka."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from agents.sink_records import STATES, event_record, made_record, records_made, state_records
from config.settings import DuckdbSettings
from schemas.errors import RejectedEvent
from schemas.topics import TREE_VERSIONS
from sinks.contract import SinkRecord
from sinks.duckdb import DuckdbSink

if TYPE_CHECKING:
    from schemas.tree import TreeDocument
    from streams.batch import Batch
    from streams.decode import Record
    from streams.rules import Rules
    from streams.tables import TableValue

_AT_ONCE = 20_000


class KeptReplay:
    """A file that is there already is added to: the same events change nothing."""

    def __init__(self, file: Path, rules: Rules) -> None:
        self._sink = DuckdbSink(DuckdbSettings(file=file))
        self._rules = rules
        self._records: list[SinkRecord] = []
        self._changed: dict[str, dict[str, TableValue | None]] = {table: {} for table in STATES}
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self._runner.run(self._sink.setup())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
        finally:
            self._runner.run(self._sink.close())
            self._runner.close()

    def keep(self, record: Record, batch: Batch) -> None:
        """An event and what came of it."""
        with suppress(RejectedEvent):
            self._records.append(event_record(0, record, self._rules))
        self._records += records_made(0, record.offset, batch)
        for table in STATES:
            self._changed[table].update(batch.tables.changed[table])
        if len(self._records) >= _AT_ONCE:
            self._flush()

    def keep_version(self, version: TreeDocument) -> None:
        raw = version.model_dump_json().encode()
        self._records.append(made_record(TREE_VERSIONS, 0, version.version, None, raw))

    def _flush(self) -> None:
        # Of a learner's states only the last one before the flush is worth encoding.
        self._records += state_records(0, 0, self._changed)
        self._runner.run(self._sink.write(self._records))
        self._records, self._changed = [], {table: {} for table in STATES}
