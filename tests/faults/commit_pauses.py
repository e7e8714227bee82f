"""How long a worker's transactions stood still, as a ``read_committed`` reader sees it."""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, TopicPartition

from agents.topics import changelog
from config.settings import Settings

_LOOK_SECONDS = 0.25


class CommitPauses:
    """Looks while the ``with`` lasts; every batch writes its position to the changelog of ``seen``.

    ``longest``: seconds between two looks that found something new. Meaningful under a load that
    never stops.
    """

    def __init__(self, settings: Settings) -> None:
        self.longest = 0.0
        topic = changelog(settings.worker.app_id, "seen")
        self._partitions = [TopicPartition(topic, p) for p in range(settings.kafka.partitions)]
        self._stood = [0] * len(self._partitions)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "group.id": "commit-pauses",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._consumer.close()

    def wait_until_committing(self, seconds: float = 180) -> None:
        """Until something of every partition was committed.

        Raises:
            TimeoutError: it was not.
        """
        limit = time.monotonic() + seconds
        while not all(self._stood):
            if time.monotonic() > limit:
                raise TimeoutError(f"committed so far, by partition: {self._stood}")
            time.sleep(0.1)
        self.longest = 0.0  # a start is no pause

    def _look(self) -> None:
        since = time.monotonic()
        while not self._over.wait(_LOOK_SECONDS):
            now = self._stood
            with contextlib.suppress(KafkaException):  # the brokers are away: nothing is new
                now = self._committed()
            self.longest = max(self.longest, time.monotonic() - since)
            if now != self._stood:
                self._stood, since = now, time.monotonic()

    def _committed(self) -> list[int]:
        return [self._consumer.get_watermark_offsets(tp, timeout=1)[1] for tp in self._partitions]
