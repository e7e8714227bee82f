"""Each store away in turn: on the real servers, compared by the audit."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from config.settings import Settings
from faults.all_stores import AllStores
from faults.committed_records import lag
from faults.load import Load
from faults.running_sinks import assert_in_step, audited, behind, made, sinks, small_batches, until
from sinks.registry import STORES

AWAY_SECONDS = 20
RATE = 15.0
"""Events a second: six sinks, their stores, a worker and a broker share two cores with others."""
NOTICED_SECONDS = AWAY_SECONDS / 2
"""Behind, in seconds of what comes in for it: more if its store is away, less if another's is."""
CAUGHT_UP_SECONDS = 5


@pytest.fixture
def settings(fresh_kafka: Settings, stores: AllStores, tmp_path: Path) -> Settings:
    return small_batches(fresh_kafka, stores, tmp_path, max_age_seconds=1)


def test_a_store_that_is_away_delays_its_own_sink_and_no_other(
    settings: Settings, stores: AllStores, tmp_path: Path
) -> None:
    load = Load(settings.kafka.bootstrap_servers, None, RATE, seed=22)
    with sinks(settings, tmp_path) as running, ExitStack() as away, ExitStack() as ending:
        load.start()
        ending.callback(load.abandon)
        until(lambda: all(made(settings, s) > 200 > behind(settings, s) for s in STORES), 180)
        for store in STORES:
            if store == "duckdb":
                # Its server is the file; away is while somebody else holds it.
                until(lambda: _held(settings, away), 20)
                back: Callable[[], object] = away.close
            else:
                stores.servers[store].kill()
                back = stores.servers[store].start
            began, worst = time.monotonic(), dict.fromkeys(STORES, 0)
            before = {each: made(settings, each) for each in STORES}
            while time.monotonic() - began < AWAY_SECONDS:
                for each in STORES:
                    worst[each] = max(worst[each], behind(settings, each))
                time.sleep(1)
            come = {each: (made(settings, each) - before[each]) / AWAY_SECONDS for each in STORES}
            seconds = {each: worst[each] / come[each] for each in STORES}
            back()
            assert seconds.pop(store) > NOTICED_SECONDS, (store, worst)
            assert max(seconds.values()) < NOTICED_SECONDS, (store, seconds)
            few = CAUGHT_UP_SECONDS * come[store]
            until(lambda store=store, few=few: behind(settings, store) < few, 60)
        load.stop()
        load.wait()
        until(lambda: lag(settings) == 0, 60)
        assert_in_step(audited(settings))
        running.assert_alive()


def _held(settings: Settings, stack: ExitStack) -> bool:
    try:
        stack.enter_context(duckdb.connect(str(settings.duckdb.file)))
    except duckdb.Error:
        return False
    return True
