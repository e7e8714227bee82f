"""Sinks killed and events sent twice: on the real servers, compared by the audit.

``FAULT_ROUNDS=10 pytest tests/faults/test_sink_faults.py`` kills each of the six ten times.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from config.settings import Settings
from faults.all_stores import AllStores
from faults.committed_records import lag
from faults.load import Load
from faults.running_sinks import assert_in_step, audited, behind, sinks, small_batches, until
from sinks.registry import STORES

ROUNDS = int(os.environ.get("FAULT_ROUNDS", "2"))


@pytest.fixture
def settings(fresh_kafka: Settings, stores: AllStores, tmp_path: Path) -> Settings:
    return small_batches(fresh_kafka, stores, tmp_path)


def test_killed_in_mid_batch_and_events_sent_twice(settings: Settings, tmp_path: Path) -> None:
    """Two loads of one seed: every event comes twice, far apart."""
    bootstrap = settings.kafka.bootstrap_servers
    random_ = random.Random(5)
    with sinks(settings, tmp_path) as running:
        first = Load(bootstrap, 4_000, 1_000, seed=21)
        first.start()
        for _ in range(ROUNDS):
            before = {store: behind(settings, store) for store in STORES}
            # Each has taken something in since it was started, or has nothing left to take.
            until(
                lambda before=before: all(
                    behind(settings, store) != lag_ or not lag_ for store, lag_ in before.items()
                ),
                60,
            )
            for store in random_.sample(STORES, len(STORES)):
                time.sleep(random_.uniform(0, 0.2))
                running.kill_and_start(store)
        first.wait()
        again = Load(bootstrap, 4_000, 2_000, seed=21)
        again.start()
        again.wait()
        until(lambda: lag(settings) == 0, 60)
        assert_in_step(audited(settings))
