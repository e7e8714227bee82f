"""Reads what comes out as a consumer would, keeps it in the embedded file, and checks it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from aiokafka import AIOKafkaConsumer, ConsumerRecord

from agents import topics
from agents.kafka_client import committed_reader
from config.seed_trees import seed_trees
from config.settings import KafkaSettings
from schemas.dead_letter import DeadLetter
from schemas.decision import decision_adapter
from schemas.fields import TreeId
from schemas.tree import TreeDocument
from sinks.embedded_file import EmbeddedFile
from streams.scoring import CompiledTree, compile_tree
from streams.verification import verify

_TOPICS = (topics.DECISIONS, topics.EXAMPLES, topics.TREE_VERSIONS, topics.DEAD_LETTERS)
_WAIT_MS = 20
_ROWS_AT_ONCE = 2_000


class Collector:
    """``sent_at`` (by event id, seconds) is filled by the feeder; the first decision of an event
    takes its entry out and adds to ``latencies`` (ms)."""

    def __init__(self, kafka: KafkaSettings, file: EmbeddedFile) -> None:
        self.sent_at: dict[str, float] = {}
        self.latencies: list[float] = []
        self.decisions = 0
        self.unconfirmed = 0
        self.labels: Counter[str] = Counter()
        self.dead_letters: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._consumer: AIOKafkaConsumer = committed_reader(
            kafka, *_TOPICS, auto_offset_reset="earliest"
        )
        self._file = file
        self._rows: list[tuple[str, bytes]] = []
        self._known: dict[tuple[TreeId, int], CompiledTree] = {}
        self._unjudged: list[bytes] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``, and then until nothing more has come for a while."""
        for tree in seed_trees().values():
            self._learn_version(tree)
        await self._consumer.start()
        try:
            quiet = 0
            while not stop.is_set() or quiet < 10:
                fetched = await self._consumer.getmany(timeout_ms=_WAIT_MS)
                quiet = 0 if fetched else quiet + 1
                for records in fetched.values():
                    for record in records:
                        self._take(record)
                if len(self._rows) >= _ROWS_AT_ONCE:
                    self._flush()
            self._flush()
        finally:
            await self._consumer.stop()

    def _take(self, record: ConsumerRecord) -> None:
        self._rows.append((record.topic, record.value))
        match record.topic:
            case topics.DECISIONS:
                self._decision(record.value)
            case topics.TREE_VERSIONS:
                self._learn_version(TreeDocument.model_validate_json(record.value))
            case topics.DEAD_LETTERS:
                letter = DeadLetter.model_validate_json(record.value)
                self.dead_letters[letter.reason.value] += 1

    def _decision(self, raw: bytes) -> None:
        now = time.perf_counter()
        decision = decision_adapter.validate_json(raw)
        sent = self.sent_at.pop(decision.event_id, None)
        if sent is not None:
            self.latencies.append(1000 * (now - sent))
        self.decisions += 1
        if decision.tree_id == "primary_classification":
            self.labels[decision.decision_label] += 1
        self._unjudged.append(raw)

    def _learn_version(self, tree: TreeDocument) -> None:
        self._known[(tree.tree_id, tree.version)] = compile_tree(tree)
        if tree.version:
            self.versions[tree.tree_id] += 1

    def _flush(self) -> None:
        """Writes the rows; works the decisions out again, whose versions have come by now."""
        self._file.write(self._rows)
        self._rows.clear()
        for raw in self._unjudged:
            decision = decision_adapter.validate_json(raw)
            tree = self._known.get((decision.tree_id, decision.decision_version))
            self.unconfirmed += tree is None or bool(verify(decision, tree))
        self._unjudged.clear()
