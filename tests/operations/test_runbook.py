"""Each alert is brought about on real servers, and ends when docs/operations.md is followed.

By Prometheus with the rules that we ship, `hurry` times quicker. Minutes each:
``make test ARGS="-m long tests/operations"``.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
import redis
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from operations.rehearsal import (
    Rehearsal,
    answers,
    asking,
    coming_in,
    held_back,
    learner,
    send,
    until,
)

from agents.topics import DECISIONS, DELIVERY_LOG, EVENTS, EXAMPLES, TABLES, changelog
from bench.step_work import as_records
from config.seed_trees import seed_trees
from config.settings import (
    FacilitatorSettings,
    KafkaSettings,
    RedisSettings,
    ResponderSettings,
    Settings,
    SinkSettings,
)
from faults.command_process import CommandProcess
from faults.committed_records import lag
from responder_suite.conversation import Conversation, conversation, question
from schemas.contract import encode
from schemas.feature import FEATURE_INDEX, FEATURES
from schemas.fields import TREE_IDS, TreeId
from schemas.sample_records import SAMPLES
from servers import postgres as postgres_for_tests
from servers import redis as redis_for_tests
from servers.kafka import Kafka
from servers.kafka_topics import make_anew
from servers.llm_stub import LlmStub, llm_stub, says, stalls
from servers.llm_stub import answers as status
from servers.postgres import new_database
from servers.store_server import ChildServer, StoreServer
from simulation.classroom import simulate
from streams.batch import Source
from streams.replay import Replay
from streams.rules import Rules

pytestmark = pytest.mark.long


@pytest.fixture
def hurry() -> int:
    """Windows and waits of the rules are so many times shorter: 5 minutes are 10 s."""
    return 30


@pytest.fixture
def rehearsal(
    fresh_kafka: Settings, tmp_path: Path, prometheus: Callable[..., ChildServer], hurry: int
) -> Iterator[Rehearsal]:
    in_tmp = fresh_kafka.duckdb.model_copy(update={"file": tmp_path / "learner.duckdb"})
    settings = fresh_kafka.model_copy(update={"duckdb": in_tmp})
    rehearsed = Rehearsal(settings, tmp_path, prometheus, hurry)
    yield rehearsed
    rehearsed.end()


@pytest.fixture
def own_redis(rehearsal: Rehearsal) -> Iterator[StoreServer]:
    """One to be killed, which the rehearsal's settings name."""
    server = redis_for_tests.start()
    quick = SinkSettings(retry_longest_seconds=1.0)
    rehearsal.settings = rehearsal.settings.model_copy(
        update={"redis": RedisSettings(url=server.url, timeout_seconds=1.0), "sink": quick}
    )
    yield server
    server.stop()


def decisions(**changes: object) -> Iterator[bytes]:
    (_, sample), *_ = SAMPLES["decision"]
    for _ in itertools.count():
        yield json.dumps({**sample, "decision_id": str(uuid.uuid4()), **changes}).encode()


def delivery(user_id: str, tree_id: TreeId) -> bytes:
    (_, sample), *_ = SAMPLES["delivery"]
    ids = {name: str(uuid.uuid4()) for name in ("delivery_id", "decision_id")}
    return json.dumps({**sample, **ids, "user_id": user_id, "decision_tree_id": tree_id}).encode()


def test_job_gone_and_instance_down(rehearsal: Rehearsal) -> None:
    worker = rehearsal.starts("worker")
    rehearsal.until_up("worker")
    worker.kill()
    rehearsal.until_fires("LearnerJobGone", "LearnerInstanceDown")
    rehearsal.starts("worker")
    rehearsal.until_silent("LearnerJobGone", "LearnerInstanceDown")


@pytest.mark.parametrize("hurry", [8])
def test_restarting(rehearsal: Rehearsal) -> None:
    """Something ends it again and again, as a limit on its memory would."""

    def ended_again() -> bool:
        worker = rehearsal.starts("worker")
        rehearsal.until_up("worker")
        worker.kill()
        rehearsal.until_up("worker", up=False)
        return "LearnerRestarting" in rehearsal.firing()

    until(ended_again, "LearnerRestarting does not fire")
    worker = rehearsal.starts("worker")
    rehearsal.until_silent("LearnerRestarting")
    assert worker.alive


def test_two_trainers(rehearsal: Rehearsal) -> None:
    first = rehearsal.starts("trainer", number=0)
    rehearsal.until_up("trainer", 0)
    second = rehearsal.starts("trainer", number=1)
    rehearsal.until_fires("LearnerTwoTrainers")
    first.terminate()
    rehearsal.until_silent("LearnerTwoTrainers")
    assert second.alive


def test_worker_falls_behind(rehearsal: Rehearsal) -> None:
    """One worker, held back to a tenth of the time; a second one helps."""
    slow = rehearsal.starts("worker", number=0)
    rehearsal.until_up("worker", 0)
    with held_back(slow), coming_in(rehearsal.settings, answers(), per_second=400):
        rehearsal.until_fires("LearnerWorkerFallsBehind")
        rehearsal.starts("worker", number=1)
        rehearsal.until_up("worker", 1)
    rehearsal.until_silent("LearnerWorkerFallsBehind")
    until(lambda: lag(rehearsal.settings) == 0, "they do not catch up")


def test_worker_stuck(
    own_kafka: Callable[[], Kafka],
    tmp_path: Path,
    prometheus: Callable[..., ChildServer],
    hurry: int,
) -> None:
    """Its only broker hangs; mended, the worker goes on by itself."""
    kafka = own_kafka()
    settings = Settings(_env_file=None, kafka=KafkaSettings(bootstrap_servers=kafka.bootstrap))
    make_anew(settings)
    rehearsed = Rehearsal(settings, tmp_path, prometheus, hurry)
    try:
        worker = rehearsed.starts("worker")
        rehearsed.until_up("worker")
        with coming_in(settings, answers(), per_second=200):
            until(lambda: lag(settings) > 0, "nothing comes in")
            assert kafka.pid is not None
            os.kill(kafka.pid, signal.SIGSTOP)
            rehearsed.until_fires("LearnerWorkerStuck")
            os.kill(kafka.pid, signal.SIGCONT)
            rehearsed.until_silent("LearnerWorkerStuck")
        until(lambda: lag(settings) == 0, "it does not catch up")
        assert worker.alive
    finally:
        rehearsed.end()


def test_partitions_unowned(rehearsal: Rehearsal) -> None:
    """A member of the group that is none of ours; with its end the worker gets in."""
    foreign = Consumer(
        {
            "bootstrap.servers": rehearsal.settings.kafka.bootstrap_servers,
            "group.id": rehearsal.settings.worker.app_id,
        }
    )
    foreign.subscribe([EVENTS])
    until(lambda: foreign.poll(0.2) is None and bool(foreign.assignment()), "it does not join")
    rehearsal.starts("worker")
    rehearsal.until_fires("LearnerPartitionsUnowned")
    foreign.close()
    rehearsal.starts("worker", number=1)
    rehearsal.until_silent("LearnerPartitionsUnowned")


def test_dead_letters(rehearsal: Rehearsal) -> None:
    """A sender's new version; when it is mended, what it sent is settled."""
    settings = rehearsal.settings
    rehearsal.starts("worker")
    with coming_in(settings, answers()):
        with coming_in(settings, answers(score="high"), per_second=2):
            rehearsal.until_fires("LearnerDeadLetters")
        assert "invalid_value" in learner(settings, "dlq", "list").output
        rehearsal.until_silent("LearnerDeadLetters")
    learner(settings, "dlq", "drop", "--reason", "invalid_value", "--yes")
    assert "invalid_value" not in learner(settings, "dlq", "list").output


@pytest.mark.parametrize("hurry", [5])
def test_events_replayed(rehearsal: Rehearsal) -> None:
    """The changelog that says where to read on was deleted; the tables are made anew."""
    settings = rehearsal.settings
    send(settings, itertools.islice(answers(), 200))
    worker = rehearsal.starts("worker")
    until(lambda: lag(settings) == 0, "nothing is folded")
    rehearsal.until_up("worker")
    worker.terminate()
    _deleted(settings, [changelog(settings.worker.app_id, "seen")])
    learner(settings, "topics", "create")
    worker = rehearsal.starts("worker")
    rehearsal.until_fires("LearnerEventsReplayed")
    worker.terminate()
    learner(settings, "rebuild", "worker")
    rehearsal.starts("worker")
    rehearsal.until_silent("LearnerEventsReplayed")
    learner(settings, "audit", "worker")


def test_events_made_anew(rehearsal: Rehearsal) -> None:
    """``learner.events`` was made anew, the changelogs were kept: the worker says so and leaves."""
    settings = rehearsal.settings
    source = answers()
    send(settings, itertools.islice(source, 200))
    worker = rehearsal.starts("worker")
    until(lambda: lag(settings) == 0, "nothing is folded")
    rehearsal.until_up("worker")
    worker.terminate()
    _deleted(settings, [EVENTS])
    learner(settings, "topics", "create")
    send(settings, itertools.islice(source, 100))
    assert rehearsal.starts("worker").wait() == 1
    assert "it was made anew" in rehearsal.said("worker")
    rehearsal.until_fires("LearnerJobGone")
    app_id = settings.worker.app_id
    _deleted(settings, [changelog(app_id, table) for table in TABLES])
    until(lambda: _group_deleted(settings, app_id), "the group does not get empty")
    learner(settings, "topics", "create")
    rehearsal.starts("worker")
    rehearsal.until_silent("LearnerJobGone")
    until(lambda: lag(settings) == 0, "nothing is folded")


def test_decisions_slow(rehearsal: Rehearsal) -> None:
    """An import of old events: the alert ends with it."""
    rehearsal.starts("worker")
    with coming_in(rehearsal.settings, answers(), seconds_old=60):
        rehearsal.until_fires("LearnerDecisionsSlow")
    rehearsal.until_silent("LearnerDecisionsSlow")


def test_store_away_and_sink_behind(rehearsal: Rehearsal, own_redis: StoreServer) -> None:
    rehearsal.starts("sink", "sink redis")
    rehearsal.until_up("sink")
    own_redis.kill()
    send(rehearsal.settings, itertools.islice(decisions(), 12_000), DECISIONS)
    rehearsal.until_fires("LearnerStoreAway", "LearnerSinkBehind")
    own_redis.start()
    rehearsal.until_silent("LearnerStoreAway", "LearnerSinkBehind")
    with redis.Redis.from_url(own_redis.url) as client:
        assert client.dbsize() > 0


def test_sink_gone(rehearsal: Rehearsal) -> None:
    sink = rehearsal.starts("sink", "sink duckdb")
    rehearsal.until_up("sink")
    sink.terminate()
    rehearsal.until_fires("LearnerSinkGone")
    rehearsal.starts("sink", "sink duckdb")
    rehearsal.until_silent("LearnerSinkGone")


async def test_sink_refuses(rehearsal: Rehearsal, postgres_server: StoreServer) -> None:
    """Somebody has set a constraint; taken back, the letters go where they were refused."""
    async with new_database(postgres_server) as postgres:
        rehearsal.settings = rehearsal.settings.model_copy(update={"postgres": postgres})
        settings = rehearsal.settings
        rehearsal.starts("sink", "sink postgres")
        send(settings, itertools.islice(decisions(), 10), DECISIONS)
        password = postgres.password and postgres.password.get_secret_value()
        connection = await asyncpg.connect(postgres.url, password=password)

        async def rows() -> int:
            with contextlib.suppress(asyncpg.UndefinedTableError):  # the sink is not up yet
                return int(await connection.fetchval("SELECT count(*) FROM decisions"))
            return 0

        await _soon(rows, 10)
        await connection.execute(
            "ALTER TABLE decisions ADD CONSTRAINT none CHECK (decision_label = 'none') NOT VALID"
        )
        send(settings, itertools.islice(decisions(), 5), DECISIONS)
        rehearsal.until_fires("LearnerSinkRefuses")
        listed = await asyncio.to_thread(learner, settings, "dlq", "list")
        assert "store_refused" in listed.output
        await connection.execute("ALTER TABLE decisions DROP CONSTRAINT none")
        await asyncio.to_thread(learner, settings, "dlq", "resend", "--reason", "store_refused")
        await _soon(rows, 15)
        await connection.close()
        rehearsal.until_silent("LearnerSinkRefuses")
        rehearsal.end()


def test_trainer_stalled(rehearsal: Rehearsal) -> None:
    """A transaction of somebody else's hangs on ``tree.examples``; `learner doctor` finds it."""
    settings = rehearsal.settings
    (_, sample), *_ = SAMPLES["tree-example"]
    rehearsal.starts("trainer")
    rehearsal.until_up("trainer")
    hanging = Producer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "transactional.id": "hangs"}
    )
    hanging.init_transactions()
    hanging.begin_transaction()
    for partition in range(settings.kafka.partitions):
        hanging.produce(EXAMPLES, value=json.dumps(sample).encode(), partition=partition)
    hanging.flush()
    rehearsal.until_fires("LearnerTrainerStalled")
    hanging.abort_transaction()
    rehearsal.until_silent("LearnerTrainerStalled")


def test_deliveries_time_out_and_are_given_up(rehearsal: Rehearsal) -> None:
    """The query-strategy service is away, and comes back."""
    quick = FacilitatorSettings(ack_timeout_seconds=1.0, attempts=2)
    rehearsal.settings = rehearsal.settings.model_copy(update={"facilitator": quick})
    rehearsal.starts("worker")
    rehearsal.starts("facilitator")
    # Slowly: a newer decision of a learner's supersedes what waits for an answer.
    with coming_in(rehearsal.settings, answers(), per_second=3):
        rehearsal.until_fires("LearnerDeliveriesTimeOut", "LearnerDeliveriesGivenUp")
        listed = learner(rehearsal.settings, "dlq", "list").output
        assert "not_acknowledged" in listed
        rehearsal.starts("responder", "deliveries --ack")
        rehearsal.until_silent("LearnerDeliveriesTimeOut", "LearnerDeliveriesGivenUp")


def test_deliveries_slow(rehearsal: Rehearsal) -> None:
    """A backlog: the alert ends with it."""
    rehearsal.starts("facilitator")
    label = {"tree_id": "intervention_strategy", "decision_label": "Spaced Review"}
    backlog = decisions(**label)
    with coming_in(rehearsal.settings, backlog, topic=DECISIONS, seconds_old=60):
        rehearsal.until_fires("LearnerDeliveriesSlow")
    rehearsal.until_silent("LearnerDeliveriesSlow")


async def test_cache_hits_few_and_api_fails(rehearsal: Rehearsal, own_redis: StoreServer) -> None:
    """Redis was started empty; later neither store answers."""
    server = postgres_for_tests.start()
    try:
        async with new_database(server) as postgres:
            rehearsal.settings = rehearsal.settings.model_copy(update={"postgres": postgres})
            settings = rehearsal.settings
            rehearsal.starts("sink", "sink postgres", number=0)
            rehearsal.starts("api", "api --port 0")
            users = [str(uuid.uuid4()) for _ in range(20)]
            send(
                settings,
                [delivery(user, tree) for user in users for tree in TREE_IDS],
                DELIVERY_LOG,
            )
            create = ("keys", "create", "lms", "--scope", "decisions:read")
            key = (await asyncio.to_thread(learner, settings, *create)).stdout.strip()
            with asking(rehearsal.said_url("api"), key, users):
                rehearsal.until_fires("LearnerCacheHitsFew")
                rehearsal.starts("sink", "sink redis", number=1)
                rehearsal.until_silent("LearnerCacheHitsFew")
                own_redis.kill()
                server.kill()
                rehearsal.until_fires("LearnerApiFails")
                own_redis.start()
                server.start()
                rehearsal.until_silent("LearnerApiFails")
            rehearsal.end()
    finally:
        server.stop()


async def test_llm_fails(rehearsal: Rehearsal, own_redis: StoreServer) -> None:
    """Its server answers 500, then as it should."""
    async with llm_stub() as stub, conversation(rehearsal.settings) as talk:
        stub.plays(status(500))
        with_llm(rehearsal, stub, first_token_seconds=2.0)
        async with chatting(talk):
            await asyncio.to_thread(rehearsal.until_fires, "LearnerLlmFails")
            stub.plays(says("Because of that."))
            await asyncio.to_thread(rehearsal.until_silent, "LearnerLlmFails")


async def test_chat_answers_slow(rehearsal: Rehearsal, own_redis: StoreServer) -> None:
    """The model's server stalls; a shorter time for an answer lets the built-in one answer."""
    async with llm_stub() as stub, conversation(rehearsal.settings) as talk:
        stub.plays(stalls())
        slow = with_llm(rehearsal, stub, first_token_seconds=30.0, answer_seconds=30.0)
        async with chatting(talk):
            await asyncio.to_thread(rehearsal.until_fires, "LearnerChatAnswersSlow")
            slow.kill()
            with_llm(rehearsal, stub, first_token_seconds=2.0, answer_seconds=3.0)
            await asyncio.to_thread(rehearsal.until_silent, "LearnerChatAnswersSlow")


def test_accuracy_dropped(rehearsal: Rehearsal) -> None:
    """Somebody has published a version that foretells nothing; it is rolled back."""
    settings, tree = rehearsal.settings, "primary_classification"
    kafka = settings.kafka.bootstrap_servers
    rehearsal.starts("trainer")
    rehearsal.until_up("trainer")
    with coming_in(settings, examples(), per_second=50, topic=EXAMPLES):
        measured = f'learner_prequential_examples{{tree_id="{tree}"}}'
        until(lambda: (rehearsal.value(measured) or 0) > 600, "too few examples")
        shown = ("tree", "show", tree, "--json", "--kafka", kafka)
        before = json.loads(learner(settings, *shown).stdout)
        nodes = before["nodes"]
        for place in [n["rule_id"].rpartition("@")[2] for n in nodes if "threshold" in n]:
            nodes = json.loads(learner(settings, *shown).stdout)["nodes"]
            (rule,) = [n for n in nodes if n["rule_id"].endswith(f"@{place}")]
            lowest = FEATURES[FEATURE_INDEX[rule["feature"]]].low
            if rule["threshold"] != lowest:  # from now on everybody goes the same way
                change = (tree, rule["rule_id"], str(lowest), "--reason", "rehearsed", "--pin")
                learner(settings, "tree", "set-threshold", *change)
        rehearsal.until_fires("LearnerAccuracyDropped")
        back = (tree, "--to", str(before["version"]), "--reason", "it foretells nothing")
        learner(settings, "tree", "rollback", *back)
        learner(settings, "tree", "unpin", tree, "--reason", "it may learn on")
        rehearsal.until_silent("LearnerAccuracyDropped")


def examples() -> Iterator[bytes]:
    """What a class's hindsight teaches, learner by learner as it comes."""
    lines = simulate(learners=400, days=120, seed=1)
    replay = Replay(seed_trees(), Rules(), Source(EVENTS, 0))
    for batch in replay.feed(as_records(lines)):
        yield from map(encode, batch.examples)


def with_llm(rehearsal: Rehearsal, stub: LlmStub, **seconds: float) -> CommandProcess:
    """A responder that asks the stub, and the worker that its questions come by."""
    asks = ResponderSettings.model_validate({"llm_url": stub.url, **seconds})
    settings = rehearsal.settings.model_copy(update={"responder": asks})
    rehearsal.starts("worker")
    return rehearsal.starts("responder", settings=settings)


@asynccontextmanager
async def chatting(talk: Conversation) -> AsyncIterator[None]:
    """While the block runs a learner asks something, each second another one."""

    async def ask() -> None:
        while True:
            talk.tell(question(str(uuid.uuid4()), 1))
            await asyncio.sleep(1)

    task = asyncio.create_task(ask())
    try:
        yield
    finally:
        task.cancel()


def _deleted(settings: Settings, topics: list[str]) -> None:
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    for deleted in admin.delete_topics(topics, operation_timeout=10).values():
        deleted.result()
    until(lambda: not set(topics) & set(admin.list_topics().topics), "topics are still there")


def _group_deleted(settings: Settings, group: str) -> bool:
    """A member that left without a word is one for 10 s more."""
    admin = AdminClient({"bootstrap.servers": settings.kafka.bootstrap_servers})
    deleted = admin.delete_consumer_groups([group])[group]
    return deleted.exception() is None


async def _soon(count: Callable[[], Awaitable[int]], wanted: int) -> None:
    async with asyncio.timeout(60):
        while await count() != wanted:
            await asyncio.sleep(0.2)
