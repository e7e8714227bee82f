"""Who answers, for tests: shows pieces by Redis, and answers by an event on learner.events."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import redis
from confluent_kafka import Producer
from example_chat.talk import new_user

from chat.live_queue import channel_of, session_name
from config.settings import Settings
from schemas.topics import EVENTS


class Tutor:
    """Of one session."""

    def __init__(self, settings: Settings, user_id: str, session_id: str) -> None:
        self._redis_url = settings.redis.url
        self._user_id, self._session_id = user_id, session_id
        self._producer = Producer(
            {
                "bootstrap.servers": settings.kafka.bootstrap_servers,
                "partitioner": "murmur2_random",  # Kafka's own: the learner is in one partition
            }
        )

    def show(self, **frame: Any) -> None:
        """To whoever has the session open."""
        with redis.Redis.from_url(self._redis_url) as client:
            channel = channel_of(self._user_id, self._session_id)
            assert client.publish(channel, orjson.dumps(frame)) == 1

    def piece(self, question: str, position: int, text: str, *, restart: bool = False) -> None:
        self.show(
            type="token",
            user_id=self._user_id,
            session_id=self._session_id,
            in_reply_to=question,
            position=position,
            text=text,
            restart=restart,
        )

    def answer(self, question: str, text: str, responder: str = "built-in") -> None:
        event = {
            "type": "chat.message",
            "event_id": new_user(),
            "user_id": self._user_id,
            "occurred_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            "session_id": self._session_id,
            "message_direction": "system",
            "message_text": text,
            "responder": responder,
            "in_reply_to": question,
        }
        self._producer.produce(EVENTS, orjson.dumps(event), key=self._user_id)
        assert self._producer.flush(10) == 0

    def last_question(self) -> str:
        """The ``event_id`` of the session's last message, as Redis has it."""
        with redis.Redis.from_url(self._redis_url) as client:
            stream = f"chat:session:{session_name(self._user_id, self._session_id)}"
            ((_, fields),) = client.xrevrange(stream, count=1)
        return str(orjson.loads(fields[b"record"])["event_id"])
