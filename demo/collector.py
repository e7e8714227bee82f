"""Reads all topics as a consumer would, keeps them in the embedded file, and checks what it reads.

Reading goes on while the file is written, since the embedded broker keeps little.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from aiokafka import AIOKafkaConsumer

from agents import topics
from agents.kafka_client import committed_reader
from agents.prompt_sets import prompts_in
from agents.sink import seed_records, topic_names
from agents.sink_batch import Batch
from agents.worker import rules
from config.seed_trees import seed_trees
from config.settings import Settings
from schemas.chat import ChatRecord, chat_adapter
from schemas.decision import Decision, decision_adapter
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from sinks.contract import Sink, SinkRecord
from streams.scoring import CompiledTree, compile_tree
from streams.verification import verify

_WAIT_MS = 20
_RECORDS_AT_ONCE = 200
"""Few, since judging them keeps the event loop, and the latencies are measured on it."""
_ROWS_AT_ONCE = 2_000
_MOST_ROWS = 50_000


class Collector:
    """``sent_at`` (by event id, seconds) is filled by the feeder; the first decision of an event
    takes its entry out and adds to ``latencies`` (ms).

    ``chat``: the chat messages read, by event id. ``events``: records of valid events read,
    repeats included. ``faults``: records of ours that
    are not what their topic holds, and decisions that do not hold when worked out again.
    """

    def __init__(self, settings: Settings, sink: Sink) -> None:
        self.sent_at: dict[str, float] = {}
        self.latencies: list[float] = []
        self.events = 0
        self.decisions = 0
        self.faults = 0
        self.labels: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.chat: dict[str, ChatRecord] = {}
        self._names = topic_names(settings.worker.app_id, sink.topics)
        self._rules = rules(settings.worker)
        self._prompts = prompts_in(settings.prompts.folder)
        self._consumer: AIOKafkaConsumer = committed_reader(
            settings.kafka, *self._names, auto_offset_reset="earliest"
        )
        self._sink = sink
        self._rows: list[SinkRecord] = []
        self._writing: asyncio.Task[None] | None = None
        self._known: dict[tuple[TreeId, int], CompiledTree] = {}
        self._early: list[Decision] = []  # topics overtake each other

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``, and then until nothing more has come for a while."""
        await self._sink.setup()
        self._rows = seed_records()
        for tree in seed_trees().values():
            self._learn_version(tree)
        await self._consumer.start()
        try:
            quiet = 0
            while not stop.is_set() or quiet < 10:
                quiet = 0 if await self._read() else quiet + 1
                if len(self._rows) >= _ROWS_AT_ONCE:
                    await self._keep(wait=len(self._rows) >= _MOST_ROWS)
            await self._keep(wait=True)
            await self._written()
            self.faults += sum(not self._judge(decision) for decision in self._early)
        finally:
            await self._consumer.stop()
            await self._sink.close()

    async def _read(self) -> bool:
        """What has come, if anything has."""
        fetched = await self._consumer.getmany(timeout_ms=_WAIT_MS, max_records=_RECORDS_AT_ONCE)
        batch = Batch()
        for records in fetched.values():
            for record in records:
                batch.add(record, self._names[record.topic], self._rules)
        self.faults += len(batch.unreadable)
        for judged in batch.records:
            self._take(judged)
        return bool(fetched)

    def _take(self, record: SinkRecord) -> None:
        self._rows.append(record)
        match record.topic:
            case topics.EVENTS:
                self.events += 1
            case topics.DECISIONS:
                self._decision(record.raw)
            case topics.CHAT:
                message = chat_adapter.validate_json(record.raw)
                self.chat[message.event_id] = message
            case topics.TREE_VERSIONS:
                self._learn_version(TreeDocument.model_validate_json(record.raw))
            case topics.DEAD_LETTERS if record.value is not None:
                self.dead_letters[record.value["reason"]] += 1

    def _decision(self, raw: bytes) -> None:
        now = time.perf_counter()
        decision = decision_adapter.validate_json(raw)
        sent = self.sent_at.pop(decision.event_id, None)
        if sent is not None:
            self.latencies.append(1000 * (now - sent))
        self.decisions += 1
        if decision.tree_id == "primary_classification":
            self.labels[decision.decision_label] += 1
        if not self._judge(decision):
            self._early.append(decision)

    def _judge(self, decision: Decision) -> bool:
        """Works the decision out again; false if its version has not come yet."""
        tree = self._known.get((decision.tree_id, decision.decision_version))
        self.faults += tree is not None and bool(verify(decision, tree, self._prompts))
        return tree is not None

    def _learn_version(self, tree: TreeDocument) -> None:
        self._known[(tree.tree_id, tree.version)] = compile_tree(tree)
        if tree.version:
            self.versions[tree.tree_id] += 1

    async def _keep(self, *, wait: bool) -> None:
        """Writes the rows, unless a write is under way and there is no need to ``wait`` for it."""
        if self._writing is not None and not (wait or self._writing.done()):
            return
        await self._written()
        rows, self._rows = self._rows, []
        self._writing = asyncio.create_task(self._sink.write(rows))

    async def _written(self) -> None:
        if self._writing is not None:
            await self._writing
