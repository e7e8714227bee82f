"""What Kafka's client raises, in words for the person who has to do something about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from config.settings import KafkaSettings
from schemas.errors import BrokerUnavailable, Fenced


@contextmanager
def broker_errors(kafka: KafkaSettings) -> Iterator[None]:
    """Raises, instead of aiokafka's own:

    Raises:
        Fenced: another producer has the same transactional id.
        BrokerUnavailable: nobody answers (in time), or Kafka refused.
    """
    try:
        yield
    except ProducerFenced:
        raise Fenced(
            "another process was started in this one's place, and does its work now: let only one "
            "of them run"
        ) from None
    except (KafkaError, TimeoutError, OSError) as error:
        # What it says of a connection is its list of addresses; ours stands there already.
        said = "" if isinstance(error, KafkaConnectionError) else str(error)
        name = type(error).__name__
        what = f"{name}: {said}" if said and not said.startswith(name) else said or name
        raise BrokerUnavailable(
            f"no answer from Kafka at {kafka.bootstrap_servers} ({what}): start it, or say where "
            "it is with LEARNER_KAFKA__BOOTSTRAP_SERVERS"
        ) from None
