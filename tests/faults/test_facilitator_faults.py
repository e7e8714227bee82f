"""Facilitators killed and frozen at any moment, and the broker under them: every decision is dealt
with once, in order.

``FACILITATOR_KILLS`` says how often one is killed (3); ``FACILITATOR_SEED`` when.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from faults.catalogue import FACILITATOR_KILLED
from faults.facilitator_fault import Decisions, Facilitators, Service, dealt_with, quick
from faults.fault import on_fresh_topics
from servers.kafka import Kafka

KILLS = int(os.environ.get("FACILITATOR_KILLS", "3"))
SEED = int(os.environ.get("FACILITATOR_SEED", "7"))


def test_killed_and_frozen_at_any_moment(kafka_bootstrap: str) -> None:
    outcome = FACILITATOR_KILLED.run(kafka_bootstrap, KILLS, SEED, progress=print)
    print(outcome.compared.events, outcome.notes)
    outcome.compared.assert_exact()
    assert outcome.notes.keys() == {"success", "fail", "superseded", "timeout"}


def test_the_broker_killed_and_back(own_kafka: Callable[[], Kafka], tmp_path: Path) -> None:
    kafka = own_kafka()
    settings = quick(on_fresh_topics(kafka.bootstrap))
    with Facilitators(settings, tmp_path), Service(settings):
        with Decisions(settings, SEED):
            time.sleep(5)
            kafka.kill()
            time.sleep(3)
            kafka.start()
            time.sleep(5)
        found = dealt_with(settings, print)
    found.compared().assert_exact()
    assert found.final_statuses()["success"] > 0
