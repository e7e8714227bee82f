"""The trainer killed while examples come in: what it learned equals what one learns that nobody
kills, from the same examples, each once."""

from __future__ import annotations

import asyncio
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer
from example_streams.drifting import drifting
from structlog.testing import capture_logs

from agents.topics import EXAMPLES, SNAPSHOTS, TREE_VERSIONS
from agents.trainer import TrainerProgress, learning, run_trainer
from agents.trainer_log import version_key
from config.seed_trees import seed_trees
from config.settings import Settings, TrainerSettings
from faults.command_at_a_moment import variables
from faults.command_process import CommandProcess
from faults.committed_records import committed_records
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.in_order import compare_in_order
from faults.log_oracle import Compared, Difference
from schemas.contract import encode
from schemas.example import TreeExample
from schemas.fields import TREE_IDS, TreeId
from schemas.snapshot import TrainerSnapshot, TreeSnapshot, snapshot_adapter
from schemas.tree import TreeDocument
from servers.kafka import Kafka
from streams.learning import OnlineTree

_RATE = 200
_MOMENTS = ("fenced", "before", "sent", "committed", None)
_MOMENT_SECONDS = 60.0
_LEARN_SECONDS = 120.0


class TrainerFault(NamedTuple):
    """A round is one kill, at a moment of the snapshot's transaction or at any time."""

    name: str
    about: str
    asked: int
    together: int = 10

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`."""
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")
        settings = keeping_often(on_fresh_topics(bootstrap))
        with tempfile.TemporaryDirectory(prefix="learner-faults-") as folder:
            log = Path(folder) / "trainer.log"
            with Examples(bootstrap, seed) as examples:
                for number in range(rounds):
                    moment = chance.choice(_MOMENTS)
                    progress(f"{self.name} seed {seed}, round {number + 1}: {moment}")
                    nth = 1 if moment == "fenced" else chance.randint(1, 6)
                    _start_and_kill(settings, log, moment, nth, chance.uniform(0, 0.3))
        progress(f"{self.name} seed {seed}: learning the rest, comparing")
        asyncio.run(learn_the_rest(settings, sum(map(len, examples.sent.values()))))
        compared = compare_with_uninterrupted(settings, examples.sent)
        notes = {"versions": float(len(versions(settings)))}
        return Outcome(rounds, compared, time.monotonic() - began, notes)


class Examples:
    """Comes in while the block runs, about `_RATE` a second, the same for a seed.

    ``sent``: by tree, each into a partition of its own, so that their order is the same for
    whoever reads them.
    """

    def __init__(self, bootstrap: str, seed: int) -> None:
        self.sent: dict[TreeId, list[TreeExample]] = {tree_id: [] for tree_id in TREE_IDS}
        self._seed = seed
        self._ended = threading.Event()
        self._refused: list[str] = []
        # Idempotent, since a retry (the topic is new) would otherwise change their order.
        self._producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
        self._thread = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Examples:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        assert self._producer.flush(60) == 0
        assert not self._refused, self._refused[0]

    def _send(self) -> None:
        sources = [
            drifting(10_000_000, drift_every=2_500, seed=self._seed, tree_id=tree_id)
            for tree_id in TREE_IDS
        ]
        began, number = time.monotonic(), 0
        while not self._ended.is_set():
            for partition, source in enumerate(sources):
                example = next(source)
                self._producer.produce(
                    EXAMPLES, encode(example), partition=partition, on_delivery=self._delivered
                )
                self.sent[example.tree_id].append(example)
                number += 1
            self._producer.poll(0)
            time.sleep(max(0.0, number / _RATE - (time.monotonic() - began)))

    def _delivered(self, error: object, _: object) -> None:
        if error:
            self._refused.append(str(error))


def compare_with_uninterrupted(
    settings: Settings, sent: dict[TreeId, list[TreeExample]]
) -> Compared:
    """The newest snapshot and the versions on Kafka against what the examples make of a tree."""
    found = Compared(sum(map(len, sent.values())), [], [], [])
    snapshot = last_snapshot(settings) or TrainerSnapshot({}, {})
    published = versions(settings)
    for partition, (tree_id, examples) in enumerate(sent.items()):
        must, documents = uninterrupted(settings, examples)
        read = snapshot.offsets.get(partition, 0)
        place = f"{partition}/{read}"
        found.lost.extend(
            Difference("example", example.example_id, place) for example in examples[read:]
        )
        is_ = snapshot.trees.get(tree_id)
        if is_ is None:
            found.lost.append(Difference("tree", tree_id, place))
        elif is_ != must:
            _compare_learned(must, is_, tree_id, place, found)
        numbers = [
            [version_key(document).decode() for document in made if document.tree_id == tree_id]
            for made in (documents, published)
        ]
        compare_in_order(found, "version", *numbers, place)
    return found


def _compare_learned(
    must: TreeSnapshot, is_: TreeSnapshot, tree_id: str, place: str, found: Compared
) -> None:
    more = is_.challenger.count - must.challenger.count
    kind = found.different if not more else found.doubled if more > 0 else found.lost
    kind.append(Difference(f"snapshot, learned {more:+} examples", tree_id, place))


def uninterrupted(
    settings: Settings, examples: Iterable[TreeExample]
) -> tuple[TreeSnapshot, list[TreeDocument]]:
    """What one that nobody kills learns and publishes from a tree's ``examples``."""
    tree: OnlineTree | None = None
    made = []
    for example in examples:
        tree = tree or OnlineTree(seed_trees()[example.tree_id], learning(settings.trainer))
        made.append(tree.learn(example))
    assert tree is not None, "no examples"
    return tree.snapshot(), [document for document in made if document is not None]


def versions(settings: Settings) -> list[TreeDocument]:
    return [TreeDocument.model_validate_json(v) for v in _committed(settings, TREE_VERSIONS)]


def last_snapshot(settings: Settings) -> TrainerSnapshot | None:
    values = _committed(settings, SNAPSHOTS)
    return snapshot_adapter.validate_json(values[-1]) if values else None


def _committed(settings: Settings, topic: str) -> list[bytes]:
    records = committed_records(settings.kafka.bootstrap_servers, topic)[0]
    return [record.value() or b"" for record in records]


def _start_and_kill(
    settings: Settings, log: Path, moment: str | None, nth: int, pause: float
) -> None:
    """At the ``nth`` of a moment; ``None``: after as many snapshots and a pause."""
    fault = variables(moment, nth, "kill") if moment else None
    kept = len(_committed(settings, SNAPSHOTS))
    process = CommandProcess("trainer", settings, log, fault)
    try:
        if moment:
            code = process.wait(_MOMENT_SECONDS)
            assert code == -signal.SIGKILL, f"left with {code} before {moment}\n{_end_of(log)}"
            return
        ends = time.monotonic() + _MOMENT_SECONDS
        while len(_committed(settings, SNAPSHOTS)) < kept + nth:
            assert time.monotonic() < ends, f"nothing is learned\n{_end_of(log)}"
            time.sleep(0.1)
        time.sleep(pause)
    finally:
        process.kill()


def _end_of(log: Path) -> str:
    return log.read_text()[-3000:]


async def learn_the_rest(settings: Settings, count: int) -> None:
    """Until it has read everything, or nothing more can be hoped for."""
    stop, ends = asyncio.Event(), time.monotonic() + _LEARN_SECONDS

    def look(progress: TrainerProgress) -> None:
        learned = sum(tree.examples for tree in progress.metrics.values())
        if (learned >= count and not progress.behind) or time.monotonic() > ends:
            stop.set()

    with capture_logs():
        await run_trainer(settings, stop, look)


def keeping_often(settings: Settings) -> Settings:
    """So that there are many snapshots to be killed in."""
    trainer = TrainerSettings(min_examples=100, snapshot_examples=50)
    return settings.model_copy(update={"trainer": trainer})
