"""`learner topics create` on a real Kafka."""

from __future__ import annotations

import json
from collections import Counter

from typer.testing import CliRunner

from agents.topics import topic_specs
from cli.main import app
from config.settings import KafkaSettings, WorkerSettings
from servers.kafka_topics import delete_topics


def test_it_creates_then_finds_all_ready_then_says_what_differs(kafka_bootstrap: str) -> None:
    delete_topics(kafka_bootstrap)
    command = ["topics", "create", "--kafka", kafka_bootstrap, "--app-id", "cli"]
    first, second = (CliRunner().invoke(app, command) for _ in range(2))
    third = CliRunner().invoke(app, [*command, "--partitions", "8"])
    states = [
        Counter(json.loads(line)["state"] for line in done.stdout.splitlines())
        for done in (first, second, third)
    ]
    assert [done.exit_code for done in (first, second, third)] == [0, 0, 1]
    every = len(topic_specs(KafkaSettings(), WorkerSettings()))
    assert states[0] == {"created": every}
    assert states[1] == {"ready": every}
    alone = 4  # tree.versions, tree.snapshots, prompt.sets and learner.dlq.settled
    assert states[2] == {"ready": alone, "differs": every - alone}
    assert "learner.events" in third.stderr
