"""A store that is away for a while: dead, refusing, hanging or slow. Its sink waits for it, and has
everything in it afterwards."""

from __future__ import annotations

import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from config.settings import Settings
from faults.all_stores import all_stores
from faults.fault import Outcome, Progress, on_fresh_topics
from faults.load import Load
from faults.running_sinks import Sinks, sinks, small_batches
from faults.stores_under_load import (
    AWAY,
    compared_under_load,
    seconds_to_catch_up,
    wait_until_begun,
)
from servers.broker_proxy import BrokerProxy
from servers.kafka import Kafka
from servers.store_server import StoreServer

_TIMEOUT_SECONDS = 3.0


class Stage(NamedTuple):
    """What a way of being away may touch; the sink reaches the server through the proxy only."""

    server: StoreServer
    proxy: BrokerProxy
    chance: random.Random


def dead(stage: Stage) -> Callable[[], None]:
    """Its server's kill -9, and started again."""
    stage.server.kill()
    return stage.server.start


def refused(stage: Stage) -> Callable[[], None]:
    """Connections ended, and new ones refused."""
    stage.proxy.refuse()
    return stage.proxy.heal


def hanging(stage: Stage) -> Callable[[], None]:
    """Takes connections and requests, and answers none; what it was asked it does later."""
    stage.server.freeze()
    return stage.server.wake


def slow(stage: Stage) -> Callable[[], None]:
    """Everything arrives late, in both directions; too late, by chance."""
    stage.proxy.delay(stage.chance.randint(50, 2 * int(_TIMEOUT_SECONDS * 1000)))
    return stage.proxy.heal


WAYS = (dead, refused, hanging, slow)
"""Each makes it so, and returns what ends it."""


class StoreAwayFault(NamedTuple):
    """A round is one of `WAYS`, for something between ``shortest`` and ``longest`` seconds."""

    store: str
    asked: int = 10
    together: int = 5
    shortest: float = 5
    longest: float = 60
    rate: float = 100

    @property
    def name(self) -> str:
        return f"store-away-{self.store}"

    @property
    def about(self) -> str:
        ways = ", ".join(way.__name__ for way in WAYS)
        return f"{self.store} {ways} for {self.shortest:.0f} to {self.longest:.0f} s"

    def run(
        self,
        bootstrap: str,
        rounds: int,
        seed: int,
        broker: Kafka | None = None,
        progress: Progress = lambda _: None,
    ) -> Outcome:
        """See `faults.fault.Fault`.

        Raises:
            ServerUnavailable: the store or toxiproxy cannot run here.
        """
        began, chance = time.monotonic(), random.Random(f"{self.name}/{seed}")
        ways = [way for _ in range(0, rounds, len(WAYS)) for way in chance.sample(WAYS, len(WAYS))]
        slowest = 0.0
        with (
            tempfile.TemporaryDirectory(prefix="learner-faults-") as name,
            all_stores((self.store,)) as stores,
            _proxied(stores.servers[self.store]) as proxy,
        ):
            folder, stage = Path(name), Stage(stores.servers[self.store], proxy, chance)
            settings = small_batches(on_fresh_topics(bootstrap), stores, folder)

            def send_away(running: Sinks) -> None:
                nonlocal slowest
                wait_until_begun(settings, running, self.store)
                for number, way in enumerate(ways[:rounds]):
                    seconds = chance.uniform(self.shortest, self.longest)
                    progress(
                        f"{self.name} seed {seed}, round {number + 1}: "
                        f"{way.__name__}, {seconds:.1f} s"
                    )
                    back = way(stage)
                    time.sleep(seconds)
                    back()
                    slowest = max(slowest, seconds_to_catch_up(settings, running, self.store))

            with sinks(_through(proxy, settings, self.store), folder, (self.store,)) as running:
                compared = compared_under_load(
                    settings, running, Load(bootstrap, None, self.rate, seed), send_away
                )
                noticed = running.said(self.store).count(AWAY)
        notes = {"noticed": float(noticed), "slowest_catch_up": round(slowest, 1)}
        return Outcome(rounds, compared, time.monotonic() - began, notes)


@contextmanager
def _proxied(server: StoreServer) -> Iterator[BrokerProxy]:
    port = urlsplit(server.url).port
    assert port is not None
    with BrokerProxy([port]) as proxy:
        yield proxy


def _through(proxy: BrokerProxy, settings: Settings, store: str) -> Settings:
    """Leading to the store through the proxy, with a patience that an outage exceeds."""
    section = getattr(settings, store)
    url = re.sub(r"(?<=127\.0\.0\.1):\d+", f":{proxy.ports[0]}", section.url)
    changes = {"url": url, "timeout_seconds": _TIMEOUT_SECONDS}
    return settings.model_copy(update={store: section.model_copy(update=changes)})
