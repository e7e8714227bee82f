"""The live queue in Redis: sessions as streams, requests for responders, who answers where.

It holds nothing of its own: all of it is written by `LiveQueue.feed` from ``chat.messages``, and an
entry's id is its offset there. So a Redis that comes back empty is filled again with the same ids,
and several gateways may feed it at once: of each partition only what is new is taken. One Redis,
not a cluster: the script's keys stand in one place. A session is named "user_id/session_id".

    chat:position            hash: partition → offset to go on from
    chat:session:{session}   stream: the messages of a session
    chat:requests:{p}        stream: a partition's learner messages that wait for an answer
    chat:answered:{event}    there once a message was answered
    chat:owner:{session}     the expert who answers this session
    chat:taken               hash: session → when that began (event_id) and the expert
    chat:ended:{session}     there once the learner ended it
    chat:open                sorted set: sessions by the time of their last message
    chat:expert:{expert}     there while the expert is connected somewhere
    chat:live:{session}      channel: pieces of answers as they are written
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError
from redis.asyncio.client import PubSub

from chat.feed_script import FEED
from config.settings import ChatSettings, RedisSettings
from schemas.chat import ENDED, JOINED, LEFT, ChatRecord, chat_adapter
from schemas.contract import encode
from sinks.redis import connect, redis_errors

log = structlog.get_logger(__name__)

_POSITION = "chat:position"
_OPEN = "chat:open"
_TAKEN = "chat:taken"
_MOST_OPEN = 10_000
_AT_ONCE = 100
"""Records in one run of the script, during which Redis does nothing else."""

_ANSWERED_AHEAD = "answered"
"""The kind of a request whose answer stands further on in the log: it need not be queued."""


class Entry(NamedTuple):
    """A message of a session; ``id`` is its offset on ``chat.messages``."""

    id: int
    record: ChatRecord


class Resumed(NamedTuple):
    """``entries``: those from an id on, the id itself among them if Redis still has it.
    ``positions``: how far Redis had each partition then."""

    entries: list[Entry]
    ended: bool
    positions: dict[int, int]


class Taken(NamedTuple):
    """A session that an expert has; ``joined_id``: the ``event_id`` with which that began."""

    user_id: str
    session_id: str
    joined_id: str
    expert: str


def session_name(user_id: str, session_id: str) -> str:
    """What a session is called in keys and channels."""
    return f"{user_id}/{session_id}"


class LiveQueue:
    """A connection to the queue; every method raises `StoreUnavailable` while Redis is away."""

    def __init__(self, redis: RedisSettings, chat: ChatSettings) -> None:
        self._client: Any = connect(redis)  # its own types know too little of replies
        self._seconds = chat.history_seconds
        self._most = chat.session_entries
        self._feed = self._client.register_script(FEED)

    async def close(self) -> None:
        await self._client.aclose()

    async def position(self, partition: int) -> int | None:
        """The offset up to which a partition was fed, ``None`` if Redis knows nothing of it."""
        with redis_errors(self._client):
            found = await self._client.hget(_POSITION, str(partition))
        return None if found is None else int(found)

    async def feed(  # noqa: PLR0913
        self,
        partition: int,
        entries: Sequence[Entry],
        next_offset: int,
        *,
        since: int = 0,
        first: bool = False,
        answered: frozenset[str] = frozenset(),
    ) -> bool:
        """Takes in what is new of a partition, in the order of its offsets.

        Args:
            next_offset: where the log goes on after these entries.
            since: where these begin: all before was fed.
            first: whether a Redis that knows no position is to begin with these.
            answered: messages (``event_id``) whose answers stand further on in the log.

        Returns:
            false if Redis has lost what was before: fill it again from the log.
        """
        for start in range(0, max(len(entries), 1), _AT_ONCE):
            part = entries[start : start + _AT_ONCE]
            done = next_offset if start + _AT_ONCE >= len(entries) else part[-1].id + 1
            arguments: list[Any] = [
                partition, since, int(first), done, self._seconds, self._most, _MOST_OPEN,
            ]  # fmt: skip
            for entry in part:
                arguments += _told(entry, answered)
            with redis_errors(self._client):
                fed = await self._feed(keys=[_POSITION, _OPEN, _TAKEN], args=arguments)
            if not fed:
                return False
            if fed > 1:
                log.error(
                    "messages out of order are not shown: send a learner's events to one partition "
                    "(keyed by user_id, by Kafka's own partitioner, murmur2)",
                    partition=partition,
                    messages=fed - 1,
                )
            since = done
        return True

    async def positions(self) -> dict[int, int]:
        """The offset up to which each partition was fed; those that Redis knows."""
        with redis_errors(self._client):
            return _positions(await self._client.hgetall(_POSITION))

    async def resume(self, user_id: str, session_id: str, after: int = -1) -> Resumed:
        """What a connection needs to go on from ``after``, all of it as at one moment."""
        name = session_name(user_id, session_id)
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xrange(f"chat:session:{name}", min=f"{after}-1" if after >= 0 else "-")
            pipeline.exists(f"chat:ended:{name}")
            pipeline.hgetall(_POSITION)
            found, ended, positions = await pipeline.execute()
        return Resumed(_entries(found), bool(ended), _positions(positions))

    async def latest(self, user_id: str, session_id: str, most: int) -> list[Entry]:
        """The newest messages of a session that Redis holds, at most so many, in order."""
        stream = f"chat:session:{session_name(user_id, session_id)}"
        with redis_errors(self._client):
            found = await self._client.xrevrange(stream, count=most)
        return _entries(reversed(found))

    async def owner(self, user_id: str, session_id: str) -> str:
        """The expert who answers a session; "" if a responder does."""
        with redis_errors(self._client):
            name = await self._client.get(f"chat:owner:{session_name(user_id, session_id)}")
        return name.decode() if name else ""

    async def open_sessions(
        self, most: int, course_id: str | None = None
    ) -> list[tuple[Entry, str]]:
        """The last message and the owner of the sessions that were last spoken in.

        ``course_id``: only those whose last message belongs to that course.
        """
        found: dict[str, tuple[Entry, str]] = {}  # by name: sessions move while they are read
        for start in range(0, _MOST_OPEN, most):
            names, listed = await self._listed(start, most)
            for name, (entry, owner) in listed.items():
                if course_id in (None, entry.record.course_id):
                    found.setdefault(name, (entry, owner))
            if len(found) >= most or len(names) < most:
                break
        return list(found.values())[:most]

    async def _listed(
        self, start: int, most: int
    ) -> tuple[list[str], dict[str, tuple[Entry, str]]]:
        """The names of open sessions from a place on; of those that have messages, the last."""
        with redis_errors(self._client):
            raw = await self._client.zrevrange(_OPEN, start, start + most - 1)
            names = [name.decode() for name in raw]
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.xrevrange(f"chat:session:{name}", count=1)
                pipeline.get(f"chat:owner:{name}")
            found = await pipeline.execute()
        return names, {
            name: (entry, owner.decode() if owner else "")
            for name, last, owner in zip(names, found[::2], found[1::2], strict=True)
            for entry in _entries(last)
        }

    async def taken(self) -> list[Taken]:
        """Every session that an expert has."""
        with redis_errors(self._client):
            found = await self._client.hgetall(_TAKEN)
        return [
            Taken(*name.decode().split("/", 1), *held.decode().split(" ", 1))
            for name, held in found.items()
        ]

    async def keep_alive(self, experts: Iterable[str], seconds: int) -> None:
        """Shows for so long that experts are connected."""
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=False)
            for expert in experts:
                pipeline.set(f"chat:expert:{expert}", 1, ex=seconds)
            await pipeline.execute()

    async def keep_taken(self, sessions: Iterable[Taken]) -> None:
        """Keeps owners from expiring where nobody speaks for long."""
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=False)
            for taken in sessions:
                name = session_name(taken.user_id, taken.session_id)
                pipeline.expire(f"chat:owner:{name}", self._seconds)
            await pipeline.execute()

    async def connected(self, experts: Sequence[str]) -> set[str]:
        """Which of the experts are connected, to whatever gateway."""
        if not experts:
            return set()
        with redis_errors(self._client):
            found = await self._client.mget([f"chat:expert:{expert}" for expert in experts])
        return {expert for expert, there in zip(experts, found, strict=True) if there}

    async def tell(self, user_id: str, session_id: str, frame: bytes) -> None:
        """Shows a frame (`schemas.chat_frames`) to whoever has the session open now."""
        with redis_errors(self._client):
            await self._client.publish(f"chat:live:{session_name(user_id, session_id)}", frame)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[PubSub]:
        """A subscription; add sessions by ``subscribe(channel_of(…))`` as they are opened."""
        pubsub = self._client.pubsub(ignore_subscribe_messages=True)
        try:
            yield pubsub
        finally:
            await pubsub.aclose()


def channel_of(user_id: str, session_id: str) -> str:
    """The channel on which `LiveQueue.tell` shows a session's frames."""
    return f"chat:live:{session_name(user_id, session_id)}"


def _told(entry: Entry, answered: frozenset[str]) -> list[Any]:
    record = entry.record
    flags = record.feedback_flags
    about = record.in_reply_to or ""
    if record.message_direction == "user":
        kind, about = "request", ""
        if record.event_id in answered:
            kind, about = _ANSWERED_AHEAD, record.event_id
    elif JOINED in flags:
        kind, about = "joined", record.responder
    elif LEFT in flags:
        kind, about = "left", record.responder
    elif ENDED in flags:
        kind = "ended"
    else:
        kind = "answer"
    session = session_name(record.user_id, record.session_id)
    moment = record.timestamp.timestamp()
    return [entry.id, session, kind, record.event_id, about, moment, encode(record)]


def _positions(found: dict[bytes, bytes]) -> dict[int, int]:
    return {int(partition): int(position) for partition, position in found.items()}


def _entries(found: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    """What a gateway of another version fed, and is no record of ours, is left out."""
    entries = []
    for id_, fields in found:
        offset = int(id_.partition(b"-")[0])
        try:
            entries.append(Entry(offset, chat_adapter.validate_json(fields[b"record"])))
        except ValidationError as error:
            log.error(
                "no chat record, passed over",
                offset=offset,
                reason=error.errors(include_url=False, include_input=False)[0]["msg"],
            )
    return entries
