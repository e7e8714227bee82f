"""`learner send` on a real Kafka: what a worker would take is there, in order, keyed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

import orjson
from aiokafka.partitioner import DefaultPartitioner
from typer.testing import CliRunner, Result

from agents.topics import EVENTS, MOST_EVENT_RECORD_BYTES
from cli.main import app
from config.settings import Settings
from faults.committed_records import committed_records
from servers.kafka_topics import delete_topics
from simulation.classroom import simulate


def sent(settings: Settings, file: Path, *options: str) -> Result:
    kafka = settings.kafka.bootstrap_servers
    return CliRunner().invoke(app, ["send", str(file), "--kafka", kafka, *options])


def test_events_are_there_in_order_where_kafkas_own_producer_would_put_them(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    lines = list(islice(simulate(learners=20, days=30, seed=3), 500))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\r\n".join(lines))
    done = sent(fresh_kafka, file)
    assert done.exit_code == 0, done.output
    assert "500 events sent, 0 lines refused" in done.stderr
    kafka = fresh_kafka.kafka
    count = kafka.partitions
    expected: dict[int, list[bytes]] = {number: [] for number in range(count)}
    for line in lines:
        key = orjson.loads(line)["user_id"].encode()
        expected[DefaultPartitioner()(key, list(range(count)), [])].append(line)
    found = committed_records(kafka.bootstrap_servers, EVENTS, count)
    assert {at: [record.value() for record in records] for at, records in found.items()} == expected
    for records in found.values():
        for record in records:
            assert record.key() == orjson.loads(record.value())["user_id"].encode()


def test_what_is_no_event_is_told_and_not_sent(fresh_kafka: Settings, tmp_path: Path) -> None:
    good = next(simulate(learners=1, days=30, seed=3))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([good, b"{bad", good.replace(b'"user_id"', b'"user"')]))
    done = sent(fresh_kafka, file)
    assert done.exit_code == 1
    assert "line 2 not sent: not_json" in done.stderr
    assert "line 3 not sent: " in done.stderr
    assert "1 events sent, 2 lines refused" in done.stderr
    kafka = fresh_kafka.kafka
    found = committed_records(kafka.bootstrap_servers, EVENTS, kafka.partitions)
    assert [record.value() for records in found.values() for record in records] == [good]


def test_unchecked_everything_is_sent_with_the_key_that_can_be_found(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    lines = [b"{bad", b'{"user_id": "ada", "type": "sneezed"}', b'{"user_id": 7}', b"[]"]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join(lines))
    assert sent(fresh_kafka, file, "--unchecked").exit_code == 0
    kafka = fresh_kafka.kafka
    found = committed_records(kafka.bootstrap_servers, EVENTS, kafka.partitions)
    keys = {record.value(): record.key() for records in found.values() for record in records}
    assert keys == dict(zip(lines, [None, b"ada", None, None], strict=True))


def test_unchecked_a_line_larger_than_the_topic_takes_is_told_and_the_others_are_sent(
    fresh_kafka: Settings, tmp_path: Path
) -> None:
    most = MOST_EVENT_RECORD_BYTES
    noise = Random(7).randbytes(most).replace(b"\n", b" ").replace(b"\r", b" ")
    lines = [b"{small", noise, noise[: most - 2048], b'{"user_id": "%s"}' % (b"a" * (most // 2))]
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([*lines, b"[]"]))
    done = sent(fresh_kafka, file, "--unchecked")
    assert done.exit_code == 1
    assert f"line 2 not sent: too_large: {most} bytes; learner.events takes" in done.stderr
    assert "line 4 not sent: too_large" in done.stderr
    assert "3 events sent, 2 lines refused" in done.stderr
    kafka = fresh_kafka.kafka
    found = committed_records(kafka.bootstrap_servers, EVENTS, kafka.partitions)
    there = {record.value() for records in found.values() for record in records}
    assert there == {lines[0], lines[2], b"[]"}


def test_without_topics_it_says_what_to_do(kafka_bootstrap: str, tmp_path: Path) -> None:
    delete_topics(kafka_bootstrap)
    file = tmp_path / "events.jsonl"
    file.write_bytes(next(simulate(learners=1, days=30, seed=3)))
    done = CliRunner().invoke(app, ["send", str(file), "--kafka", kafka_bootstrap])
    assert done.exit_code == 1
    assert "learner topics create" in done.stderr
