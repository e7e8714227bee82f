"""A steady load for fault tests: simulated events with repeats and bad records among them."""

from __future__ import annotations

import itertools
import json
import random
import threading
import time

from confluent_kafka import Producer

from agents.topics import EVENTS
from simulation.classroom import simulate

REPEATS = 0.10
BAD = 0.01


class Load:
    """Sends ``events`` records at about ``rate`` a second, in a thread, the same for a seed."""

    def __init__(self, bootstrap: str, events: int, rate: float, seed: int) -> None:
        self._producer = Producer(
            # Longer than any outage of a test: what was accepted must arrive.
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "message.timeout.ms": 300_000}
        )
        self._events, self._rate, self._seed = events, rate, seed
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """After the record under way; `wait` for it."""
        self._stopped.set()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self) -> None:
        self._thread.join()

    def _send(self) -> None:
        random_ = random.Random(self._seed)
        recent: list[tuple[str, bytes]] = []
        lines = simulate(learners=200, days=90, seed=self._seed)
        began = time.monotonic()
        for sent in range(self._events):
            if self._stopped.is_set():
                break
            chance = random_.random()
            if chance < BAD:
                key, value = random_.choice(recent)[0] if recent else "", b'{"type": "bad'
            elif chance < BAD + REPEATS and recent:
                key, value = random_.choice(recent)
            else:
                value = next(lines)
                key = json.loads(value)["user_id"]
                recent = [*itertools.islice(recent, max(len(recent) - 300, 0), None), (key, value)]
            self._producer.produce(EVENTS, value=value, key=key)
            ahead = sent / self._rate - (time.monotonic() - began)
            if ahead > 0.01:
                self._producer.poll(0)
                time.sleep(ahead)
        self._producer.flush(300)
