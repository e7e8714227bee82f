"""A steady load for fault tests: what the world sends, at a rate, and where the bad ones landed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Message, Producer

from agents.topics import EVENTS
from faults.world_input import world_input

_LONGEST_OUTAGE_MS = 300_000


class Load:
    """Sends records at about ``rate`` a second, in a thread, the same for a seed.

    ``events``: how many; without it until it is stopped. ``sent``: so far. ``bad``: (partition,
    offset) of every bad record that Kafka has taken, complete once it has ended.
    """

    def __init__(self, bootstrap: str, events: int | None, rate: float, seed: int) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "linger.ms": 5,
                # What was accepted must arrive, and once: a bad record has no id.
                "enable.idempotence": True,
                "message.timeout.ms": _LONGEST_OUTAGE_MS,
            }
        )
        self._events, self._rate, self._seed = events, rate, seed
        self.sent = 0
        self.bad: set[tuple[int, int]] = set()
        self._failed: list[str] = []
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)

    def start(self) -> None:
        """Until it flows: the first record may take seconds to make."""
        self._thread.start()
        while self.running and not self.sent:
            time.sleep(0.01)

    def stop(self) -> None:
        """After the record under way; `wait` for it."""
        self._stopped.set()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def abandon(self) -> None:
        """Ends it at once; what Kafka has not taken yet is dropped."""
        self.stop()
        self._producer.purge()
        self._thread.join()

    def wait(self) -> None:
        """Until all that was sent stands on Kafka."""
        self._thread.join()
        assert not self._failed, f"{len(self._failed)} records were not sent: {self._failed[0]}"

    def _send(self) -> None:
        began = 0.0
        for sent, record in enumerate(itertools.islice(world_input(self._seed), self._events)):
            if self._stopped.is_set():
                break
            began = began or time.monotonic()
            told = self._told_bad if record.bad else self._told
            self._produce(record.key, record.value, told)
            self.sent += 1
            ahead = sent / self._rate - (time.monotonic() - began)
            if ahead > 0.01:
                self._producer.poll(0)
                time.sleep(ahead)
        if left := self._producer.flush(_LONGEST_OUTAGE_MS / 1000):
            self._failed.append(f"{left} still waiting")

    def _produce(self, key: bytes | None, value: bytes | None, told: Callable[..., None]) -> None:
        while True:
            try:
                self._producer.produce(EVENTS, value=value, key=key, on_delivery=told)
                return
            except BufferError:  # the broker is away
                self._producer.poll(0.1)

    def _told(self, error: Any, _: Message) -> None:
        if error is not None:
            self._failed.append(str(error))

    def _told_bad(self, error: Any, message: Message) -> None:
        self._told(error, message)
        if error is None:
            self.bad.add((message.partition(), message.offset()))
