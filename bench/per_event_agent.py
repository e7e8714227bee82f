"""The same step in an ordinary Faust agent: one event at a time, tables and topic as documented.

At least once, since that is what Faust gives. The tables are of the same names and values, each
write goes to the changelog by itself, each decision is sent by ``topic.send``; settings are what
Faust's documentation recommends for throughput (no web server, no debug log, acks as they come).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import faust
from faust.types import EventT, StreamT

from agents import topics
from agents.prompt_sets import prompts_in
from config.settings import Settings
from schemas.contract import encode
from streams.batch import Source, process
from streams.decode import Record
from streams.rules import Rules
from streams.step import Trees
from streams.tables import TABLE_NAMES, MemoryTables, encode_value


class PerEventAgent:
    """``folded`` counts the events handled so far; ``folder`` is Faust's own, nothing is kept."""

    def __init__(self, settings: Settings, trees: Trees, partitions: int, folder: str) -> None:
        self.folded = 0
        self._trees = trees
        self._rules = Rules(prompts=prompts_in(None))
        # Decoded values are kept beside the tables, as ours are: decoding is not what is compared.
        self._decoded = MemoryTables()
        worker, kafka = settings.worker, settings.kafka
        self.app = faust.App(
            worker.app_id,
            broker=f"kafka://{kafka.bootstrap_servers}",
            store="memory://",
            datadir=folder,
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=partitions,
            broker_commit_interval=1.0,
            producer_linger=0.005,
            web_enabled=False,
            autodiscover=False,
            consumer_auto_offset_reset="earliest",
        )
        raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}
        self._tables = {
            name: self.app.Table(name, partitions=partitions, schema=faust.Schema(**raw))
            for name in TABLE_NAMES
        }
        self._decisions = self.app.topic(topics.DECISIONS, **raw)
        self._examples = self.app.topic(topics.EXAMPLES, **raw)
        self._letters = self.app.topic(topics.DEAD_LETTERS, **raw)
        self.app.agent(self.app.topic(topics.EVENTS, **raw), name="per_event")(self._fold)

    async def _fold(self, stream: StreamT[Any]) -> None:
        async for event in stream.events():
            await self._fold_one(event)
            self.folded += 1

    async def _fold_one(self, event: EventT[Any]) -> None:
        message = event.message
        record = Record(
            message.offset,
            message.key or b"",
            message.value or b"",
            datetime.fromtimestamp(message.timestamp, UTC),
        )
        source = Source(topics.EVENTS, message.partition)
        batch = process((record,), self._decoded, self._trees, self._rules, source)
        for table, changes in batch.tables.changed.items():
            for key, value in changes.items():
                if value is None:
                    self._tables[table].pop(key.encode(), None)
                else:
                    self._tables[table][key.encode()] = encode_value(value)
        self._decoded.apply(batch.tables.changed)
        for decision in batch.decisions:
            await self._decisions.send(key=decision.user_id.encode(), value=encode(decision))
        for example in batch.examples:
            await self._examples.send(key=example.user_id.encode(), value=encode(example))
        for letter in batch.dead_letters:
            await self._letters.send(
                key=letter.dead_letter_id.encode(), value=letter.model_dump_json().encode()
            )
