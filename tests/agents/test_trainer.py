"""The trainer on a real Kafka: kills, a second trainer, restarts, operators, bad records."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from example_streams.drifting import drifting, guess_one_label

from agents import topics, trainer_log
from agents.embedded_kafka import EmbeddedKafka
from agents.trainer import TrainerProgress, run_trainer
from agents.tree_publisher import publish_edit
from config.settings import KafkaSettings, Settings, TrainerSettings
from faults.command_process import CommandProcess
from faults.trainer_fault import last_snapshot, uninterrupted, versions
from schemas.contract import encode
from schemas.errors import BrokerUnavailable, Fenced, InvalidRecord
from schemas.example import TreeExample
from schemas.fields import TREE_IDS, TreeId
from schemas.snapshot import TrainerSnapshot
from schemas.tree import TreeDocument
from streams.tree_edits import Editor, pin, unpin

TREE: TreeId = "primary_classification"
SECONDS = 60


@pytest.fixture
def kafka(fresh_kafka: Settings) -> Settings:
    trainer = TrainerSettings(min_examples=100, snapshot_examples=200)
    return fresh_kafka.model_copy(update={"trainer": trainer})


@pytest.fixture
def start(kafka: Settings, tmp_path: Path) -> Iterator[Callable[[], CommandProcess]]:
    started: list[CommandProcess] = []

    def start_one() -> CommandProcess:
        log = tmp_path / f"trainer-{len(started)}.log"
        started.append(CommandProcess("trainer", kafka, log))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()


def send(
    kafka: Settings,
    topic: str,
    values: Iterable[bytes],
    partition: int = 0,
    key: bytes = b"sent by the test",
) -> None:
    refused: list[object] = []
    # Idempotent, since a retry (the topic is new) would otherwise change their order.
    producer = Producer(
        {"bootstrap.servers": kafka.kafka.bootstrap_servers, "enable.idempotence": True}
    )
    for value in values:
        producer.produce(
            topic,
            value,
            key,
            partition=partition,
            on_delivery=lambda error, _: refused.append(error) if error else None,
        )
    assert producer.flush(30) == 0
    assert not refused


def feed(kafka: Settings, examples: Iterable[TreeExample], partition: int = 0) -> None:
    """Into one partition, so that their order is the same in every run."""
    send(kafka, topics.EXAMPLES, map(encode, examples), partition)


def read_up_to(kafka: Settings) -> int:
    snapshot = last_snapshot(kafka)
    return snapshot.offsets[0] if snapshot else 0


def wait_for(what: Callable[[], bool]) -> None:
    limit = time.monotonic() + SECONDS
    while not what():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.02)


async def run_until(kafka: Settings, done: Callable[[TrainerProgress], bool]) -> TrainerProgress:
    stop = asyncio.Event()
    async with asyncio.timeout(SECONDS):
        return await run_trainer(kafka, stop, lambda p: stop.set() if done(p) else None)


def learn_the_rest(kafka: Settings, count: int) -> None:
    asyncio.run(run_until(kafka, lambda p: p.metrics[TREE].examples >= count))


def test_a_second_trainer_fences_the_first_off(
    kafka: Settings, start: Callable[[], CommandProcess], tmp_path: Path
) -> None:
    examples = list(drifting(2_000, drift_every=1_000))
    feed(kafka, examples[:700])
    first = start()
    wait_for(lambda: read_up_to(kafka) > 0)
    second = start()
    log = tmp_path / "trainer-1.log"
    wait_for(lambda: "trainer started" in log.read_text())
    feed(kafka, examples[700:])
    assert first.wait() == 1
    said = (tmp_path / "trainer-0.log").read_text()
    assert "another process was started in this one's place" in said
    assert "Traceback" not in said
    wait_for(lambda: read_up_to(kafka) > 1_800)
    assert second.terminate() == 0
    learn_the_rest(kafka, 2_000)
    snapshot = last_snapshot(kafka)
    assert snapshot is not None
    expected, documents = uninterrupted(kafka, examples)
    assert snapshot.trees[TREE] == expected
    assert versions(kafka) == documents


async def test_started_again_it_goes_on_from_its_snapshot(kafka: Settings) -> None:
    examples = list(drifting(1_200, drift_every=1_000))
    feed(kafka, examples[:1_000])
    first = await run_until(kafka, lambda p: p.examples >= 1_000)
    again = await run_until(kafka, lambda _: True)
    assert again.examples == 0
    assert again.metrics == first.metrics
    feed(kafka, examples[1_000:])
    last = await run_until(kafka, lambda p: p.examples >= 200)
    assert last.examples == 200
    assert last.metrics[TREE].examples == 1_200
    snapshot = last_snapshot(kafka)
    assert snapshot is not None
    assert snapshot.trees[TREE] == uninterrupted(kafka, examples)[0]


async def test_both_trees_learn_from_every_partition(kafka: Settings) -> None:
    for partition, tree_id in enumerate((*TREE_IDS, *TREE_IDS)):
        examples = drifting(300, drift_every=300, seed=partition, tree_id=tree_id)
        feed(kafka, examples, partition)
    done = await run_until(kafka, lambda p: p.examples >= 1_200)
    assert {t: m.examples for t, m in done.metrics.items()} == dict.fromkeys(TREE_IDS, 600)
    assert done.behind == 0


async def test_an_operators_version_comes_into_force_and_is_counted_on_from(
    kafka: Settings,
) -> None:
    examples = list(drifting(2_000, drift_every=2_000))
    by_hand = guess_one_label().model_copy(update={"version": 40, "author": "operator"})
    raw = by_hand.model_dump_json().encode()
    by_then = [
        (lambda p: p.examples >= 1_000, lambda: send(kafka, topics.TREE_VERSIONS, [raw])),
        (lambda p: p.metrics[TREE].version == 40, lambda: feed(kafka, examples[1_000:])),
    ]

    def send_both_in_the_middle(progress: TrainerProgress) -> bool:
        if by_then and by_then[0][0](progress):
            by_then.pop(0)[1]()
        return progress.examples >= 2_000

    feed(kafka, examples[:1_000])
    done = await run_until(kafka, send_both_in_the_middle)
    numbers = [document.version for document in versions(kafka)]
    assert numbers == sorted(set(numbers))
    assert numbers[numbers.index(40) + 1] == 41
    assert done.metrics[TREE].version == numbers[-1]


@pytest.mark.parametrize("pinned", [True, False])
async def test_who_is_first_with_a_number_is_the_champion(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch, pinned: bool
) -> None:
    """Somebody publishes version 1 at the very moment at which the trainer does."""
    update = {"version": 1, "author": "operator", "pinned": pinned}
    theirs = guess_one_label().model_copy(update=update)
    write = trainer_log.TrainerLog.write
    lost: list[TreeDocument] = []

    async def write_second(
        log: trainer_log.TrainerLog, made: Sequence[TreeDocument], snapshot: TrainerSnapshot
    ) -> int | None:
        if made and not lost:
            send(kafka, topics.TREE_VERSIONS, [theirs.model_dump_json().encode()])
            lost.extend(made)
        return await write(log, made, snapshot)

    monkeypatch.setattr(trainer_log.TrainerLog, "write", write_second)
    feed(kafka, drifting(2_000, drift_every=2_000))
    done = await run_until(kafka, lambda p: p.examples >= 2_000)
    first, second, *others = versions(kafka)
    assert (first, [second]) == (theirs, lost)
    assert done.versions == len(others)
    assert [document.version for document in others] == list(range(2, len(others) + 2))
    assert bool(others) is not pinned
    assert done.metrics[TREE].version == (1 if pinned else others[-1].version)
    if others:
        assert "version 1 " in others[0].reason
        # The race with theirs began when they came into force, not before.
        examples = [e.labelled_at for e in drifting(2_000, drift_every=2_000)]
        learned_at = [examples.index(document.created_at) for document in (second, others[0])]
        assert learned_at[1] - learned_at[0] >= kafka.trainer.min_examples
    again = await run_until(kafka, lambda _: True)
    assert again.metrics == done.metrics


async def test_while_a_version_is_pinned_nothing_replaces_it(kafka: Settings) -> None:
    examples = list(drifting(4_000, drift_every=1_000))
    by = Editor("operator", "exam week", datetime(2026, 6, 1, tzinfo=UTC))
    feed(kafka, examples[:1_000])
    await run_until(kafka, lambda p: p.examples >= 1_000)
    assert versions(kafka)[-1].author == "trainer"
    pinned = await publish_edit(kafka.kafka, TREE, lambda v: pin(v, v[-1].version, by))
    feed(kafka, examples[1_000:3_000])
    done = await run_until(kafka, lambda p: p.examples >= 2_000)
    assert versions(kafka)[-1] == pinned
    assert done.metrics[TREE].version == pinned.version
    assert done.metrics[TREE].examples == 3_000
    unpinned = await publish_edit(kafka.kafka, TREE, lambda v: unpin(v, by))
    feed(kafka, examples[3_000:])
    await run_until(kafka, lambda p: p.examples >= 1_000)
    after = [v for v in versions(kafka) if v.version > unpinned.version]
    assert after
    assert after[0].version == unpinned.version + 1
    assert after[0].author == "trainer"


async def test_what_cannot_be_learned_is_counted_and_passed_over(kafka: Settings) -> None:
    good = list(drifting(10, drift_every=10))
    whole = encode(good[0]).decode()
    bad = [
        b"",
        b"\xff\xfe",
        b"{}",
        whole.replace('"gpa":', '"gpa":NaN,"old":').encode(),
        whole.replace('"gpa":', '"shoe_size":').encode(),
        whole.replace(TREE, "other_tree").encode(),
        whole.replace(good[0].label, "Genius").encode(),
        b"[" * 10_000,
    ]
    feed(kafka, good[:5])
    send(kafka, topics.EXAMPLES, bad)
    feed(kafka, good[5:])
    done = await run_until(kafka, lambda p: p.examples + p.refused >= 10 + len(bad))
    assert (done.examples, done.refused) == (10, len(bad))
    assert done.metrics[TREE].examples == 10


async def start_only(kafka: Settings) -> None:
    async with asyncio.timeout(SECONDS):
        await run_trainer(kafka, asyncio.Event())


async def test_no_kafka_is_one_clear_error() -> None:
    nowhere = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"))
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1.*start it"):
        await start_only(nowhere)


@pytest.mark.parametrize("topic", [topics.EXAMPLES, topics.SNAPSHOTS, topics.TREE_VERSIONS])
async def test_a_missing_topic_is_one_clear_error(kafka: Settings, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.kafka.bootstrap_servers})
    admin.delete_topics([topic], operation_timeout=10)[topic].result()
    wait_for(lambda: topic not in admin.list_topics(timeout=10).topics)
    with pytest.raises(BrokerUnavailable, match=f"{topic} is not there.*topics create"):
        await start_only(kafka)


async def test_a_topic_deleted_meanwhile_ends_the_trainer(
    kafka: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("ERROR", "aiokafka.cluster")  # thousands of warnings a second
    admin = AdminClient({"bootstrap.servers": kafka.kafka.bootstrap_servers})
    deleted = False

    def delete(_: TrainerProgress) -> bool:
        nonlocal deleted
        if not deleted:
            admin.delete_topics([topics.EXAMPLES])[topics.EXAMPLES].result()
            deleted = True
        return False

    with pytest.raises(BrokerUnavailable, match="is gone"):
        await run_until(kafka, delete)


async def test_a_snapshot_too_large_for_a_record_is_said_before_it_is_sent(
    kafka: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_log, "MAX_SNAPSHOT_BYTES", 1_000)
    feed(kafka, drifting(300, drift_every=300))
    with pytest.raises(InvalidRecord, match="MAX_DEPTH"):
        await run_until(kafka, lambda _: False)
    assert last_snapshot(kafka) is None


@pytest.mark.parametrize("value", [b"not a snapshot", b'{"trees":{},"offsets":{"0":1},"format":2}'])
async def test_a_snapshot_that_is_none_stops_the_start(kafka: Settings, value: bytes) -> None:
    send(kafka, topics.SNAPSHOTS, [value], key=trainer_log.SNAPSHOT_KEY)
    with pytest.raises(InvalidRecord, match="delete"):
        await start_only(kafka)


async def test_examples_made_anew_under_a_snapshot_stop_the_start(kafka: Settings) -> None:
    feed(kafka, drifting(50, drift_every=50))
    log = trainer_log.TrainerLog(kafka)
    await log.fence()
    await log.write((), TrainerSnapshot({}, {0: 51}))
    await log.stop()
    with pytest.raises(InvalidRecord, match="made anew"):
        await start_only(kafka)


async def test_the_newest_of_many_snapshots_is_found(kafka: Settings) -> None:
    log = trainer_log.TrainerLog(kafka)
    await log.fence()
    try:
        assert await log.newest() is None
        for number in range(30):
            await log.write((), TrainerSnapshot({}, {0: number}))
        newest = await log.newest()
        assert newest is not None
        assert newest.offsets == {0: 29}
        # Behind it only what is none of ours: looked for further back.
        send(kafka, topics.SNAPSHOTS, [b"other"] * 40)
        assert await log.newest() == newest
    finally:
        await log.stop()


async def test_a_fenced_log_writes_nothing(kafka: Settings) -> None:
    old, new = trainer_log.TrainerLog(kafka), trainer_log.TrainerLog(kafka)
    try:
        await old.fence()
        await old.write((), TrainerSnapshot({}, {0: 1}))
        await new.fence()
        with pytest.raises(Fenced):
            await old.write((), TrainerSnapshot({}, {0: 2}))
        newest = await new.newest()
        assert newest is not None
        assert newest.offsets == {0: 1}
    finally:
        await old.stop()
        await new.stop()


async def test_on_the_embedded_broker_it_learns_publishes_and_resumes() -> None:
    wanted = Settings(_env_file=None, trainer=TrainerSettings(min_examples=100))
    examples = list(drifting(900, drift_every=900))
    with EmbeddedKafka(wanted) as embedded:
        settings = embedded.settings
        feed(settings, examples)
        first = await run_until(settings, lambda p: p.examples >= 900)
        again = await run_until(settings, lambda _: True)
    expected, documents = uninterrupted(wanted, examples)
    assert first.versions == len(documents) > 0
    assert again.metrics == first.metrics
    assert again.metrics[TREE].examples == expected.challenger.count
