"""What stands on Kafka is read to where it ends, also while more is coming in."""

from __future__ import annotations

import threading
import time

from confluent_kafka import Producer

from agents.topics import EXAMPLES
from config.settings import Settings
from faults.committed_records import committed_records


def test_a_topic_that_is_being_written_to_has_an_end(fresh_kafka: Settings) -> None:
    bootstrap = fresh_kafka.kafka.bootstrap_servers
    over = threading.Event()
    limit = time.monotonic() + 20

    def write_on() -> None:
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
        while not over.is_set() and time.monotonic() < limit:
            producer.produce(EXAMPLES, b"one more", partition=0)
            producer.flush(1)
            time.sleep(0.01)

    writing = threading.Thread(target=write_on)
    writing.start()
    time.sleep(1)
    found = committed_records(bootstrap, EXAMPLES, 4)
    in_time = time.monotonic() < limit
    over.set()
    writing.join()
    assert in_time
    assert found[0]
    assert not found[1]
