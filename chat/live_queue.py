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
    chat:open                sorted set: sessions by the time of their last message
    chat:live:{session}      channel: pieces of answers as they are written
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from redis.asyncio.client import PubSub

from config.settings import ChatSettings, RedisSettings
from schemas.chat import ENDED, JOINED, LEFT, ChatRecord, chat_adapter
from schemas.state import encode
from sinks.redis import connect, redis_errors

_POSITION = "chat:position"
_OPEN = "chat:open"
_MOST_OPEN = 10_000
_AT_ONCE = 100
"""Records in one run of the script, during which Redis does nothing else."""

_FEED = """
local partition, first, next_offset = ARGV[1], ARGV[2], ARGV[3]
local seconds, most, most_open = ARGV[4], ARGV[5], ARGV[6]
local at = tonumber(redis.call('HGET', KEYS[1], partition) or -1)
if at < 0 and first == '0' then return 0 end
for i = 7, #ARGV, 7 do
  local offset, session, kind, event = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local about, moment, record = ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  if tonumber(offset) >= at then
    local stream, id = 'chat:session:' .. session, offset .. '-1'
    redis.call('XADD', stream, 'MAXLEN', '~', most, id, 'record', record)
    redis.call('EXPIRE', stream, seconds)
    redis.call('ZADD', KEYS[2], moment, session)
    if kind == 'request' then
      local owner, answered = 'chat:owner:' .. session, 'chat:answered:' .. event
      if redis.call('EXISTS', owner, answered) == 0 then
        redis.call('XADD', 'chat:requests:' .. partition, id, 'record', record)
      end
    elseif kind == 'joined' then
      redis.call('SET', 'chat:owner:' .. session, about, 'EX', seconds)
    elseif kind == 'left' then
      redis.call('DEL', 'chat:owner:' .. session)
    elseif kind == 'ended' then
      redis.call('DEL', 'chat:owner:' .. session)
      redis.call('ZREM', KEYS[2], session)
    elseif about ~= '' then
      redis.call('SET', 'chat:answered:' .. about, 1, 'EX', seconds)
    end
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(most_open))
if tonumber(next_offset) > at then redis.call('HSET', KEYS[1], partition, next_offset) end
return 1
"""
"""KEYS: positions, open sessions. An entry's id ends in 1, as Redis takes no 0-0. Returns 0 if
Redis has lost its position, and so everything else."""

_ANSWERED_AHEAD = "answered"
"""The kind of a request whose answer stands further on in the log: it need not be queued."""


class Entry(NamedTuple):
    """A message of a session; ``id`` is its offset on ``chat.messages``."""

    id: int
    record: ChatRecord


def session_name(user_id: str, session_id: str) -> str:
    """What a session is called in keys and channels."""
    return f"{user_id}/{session_id}"


class LiveQueue:
    """A connection to the queue; every method raises `StoreUnavailable` while Redis is away."""

    def __init__(self, redis: RedisSettings, chat: ChatSettings) -> None:
        self._client: Any = connect(redis)  # its own types know too little of replies
        self._seconds = chat.history_seconds
        self._most = chat.session_entries
        self._feed = self._client.register_script(_FEED)

    async def close(self) -> None:
        await self._client.aclose()

    async def position(self, partition: int) -> int | None:
        """The offset up to which a partition was fed, ``None`` if Redis knows nothing of it."""
        with redis_errors(self._client):
            found = await self._client.hget(_POSITION, str(partition))
        return None if found is None else int(found)

    async def feed(
        self,
        partition: int,
        entries: Sequence[Entry],
        next_offset: int,
        *,
        first: bool = False,
        answered: frozenset[str] = frozenset(),
    ) -> bool:
        """Takes in what is new of a partition, in the order of its offsets.

        Args:
            next_offset: where the log goes on after these entries.
            first: whether a Redis that knows no position is to begin with these.
            answered: messages (``event_id``) whose answers stand further on in the log.

        Returns:
            false if Redis has lost its position: fill it again from the log.
        """
        for start in range(0, max(len(entries), 1), _AT_ONCE):
            part = entries[start : start + _AT_ONCE]
            done = next_offset if start + _AT_ONCE >= len(entries) else part[-1].id + 1
            arguments: list[Any] = [
                partition, int(first), done, self._seconds, self._most, _MOST_OPEN,
            ]  # fmt: skip
            for entry in part:
                arguments += _told(entry, answered)
            with redis_errors(self._client):
                if not await self._feed(keys=[_POSITION, _OPEN], args=arguments):
                    return False
        return True

    async def session(self, user_id: str, session_id: str, after: int = -1) -> list[Entry]:
        """The messages of a session that Redis holds, those after an id, in order."""
        stream = f"chat:session:{session_name(user_id, session_id)}"
        with redis_errors(self._client):
            found = await self._client.xrange(stream, min=f"({after}-1" if after >= 0 else "-")
        return [_entry(id_, fields) for id_, fields in found]

    async def owner(self, user_id: str, session_id: str) -> str:
        """The expert who answers a session; "" if a responder does."""
        with redis_errors(self._client):
            name = await self._client.get(f"chat:owner:{session_name(user_id, session_id)}")
        return name.decode() if name else ""

    async def open_sessions(self, most: int) -> list[tuple[Entry, str]]:
        """The last message and the owner of the sessions that were last spoken in."""
        with redis_errors(self._client):
            names = [n.decode() for n in await self._client.zrevrange(_OPEN, 0, most - 1)]
            pipeline = self._client.pipeline(transaction=False)
            for name in names:
                pipeline.xrevrange(f"chat:session:{name}", count=1)
                pipeline.get(f"chat:owner:{name}")
            found = await pipeline.execute()
        last, owners = found[::2], found[1::2]
        return [
            (_entry(*entries[0]), owner.decode() if owner else "")
            for entries, owner in zip(last, owners, strict=True)
            if entries
        ]

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
        kind = _ANSWERED_AHEAD if record.event_id in answered else "request"
        about = ""
    elif JOINED in flags:
        kind, about = "joined", record.responder
    elif LEFT in flags:
        kind = "left"
    elif ENDED in flags:
        kind = "ended"
    else:
        kind = "answer"
    session = session_name(record.user_id, record.session_id)
    moment = record.timestamp.timestamp()
    return [entry.id, session, kind, record.event_id, about, moment, encode(record)]


def _entry(id_: bytes, fields: dict[bytes, bytes]) -> Entry:
    return Entry(int(id_.partition(b"-")[0]), chat_adapter.validate_json(fields[b"record"]))
