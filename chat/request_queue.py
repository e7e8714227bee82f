"""Learners' messages that wait for an answer, shared among responders by partition.

Of `chat:requests:{p}` (see `chat.live_queue`) one responder at a time takes messages: the one with
the partition's lease. A learner is in one partition, so each session is answered in order.

    chat:responders    sorted set: responders by when each was last seen (ms of Redis's own clock)
    chat:lease:{p}     the responder that a partition belongs to; gone seconds after its last sign

Only a script that looks at the lease takes messages, so one that lost it while it slept gets none.
What a dead one had taken is pending in the group, and taken first by whoever is next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, NamedTuple

import structlog
from pydantic import ValidationError

from chat.live_queue import session_name
from config.settings import RedisSettings
from schemas.chat import ChatRecord, chat_adapter
from sinks.redis import connect, redis_errors

log = structlog.get_logger(__name__)

GROUP = "responders"
LEASE_SECONDS = 5.0
WAIT_SECONDS = 1.0
"""How long `RequestQueue.wait` sleeps at most; less where Redis has to answer sooner."""

_RESPONDERS = "chat:responders"
_POSITION = "chat:position"
_START, _NEW = "0-0", ""
"""From where to claim what others had taken; nothing left to claim."""

_RENEW = """
local me, lease = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, me)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - lease)
local partitions, names = redis.call('HKEYS', KEYS[2]), redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(partitions, function(a, b) return tonumber(a) < tonumber(b) end)
table.sort(names)
local share, over = math.floor(#partitions / #names), #partitions % #names
for rank, name in ipairs(names) do
  if name == me and rank <= over then share = share + 1 end
end
local renewed, taken, free = {}, {}, {}
for _, partition in ipairs(partitions) do
  local key = 'chat:lease:' .. partition
  local holder = redis.call('GET', key)
  if holder == me then
    redis.call('PEXPIRE', key, lease)
    renewed[#renewed + 1] = partition
  elseif not holder then
    free[#free + 1] = partition
  end
end
for _, partition in ipairs(free) do
  if #renewed + #taken < share then
    redis.call('SET', 'chat:lease:' .. partition, me, 'PX', lease)
    taken[#taken + 1] = partition
  end
end
return {share, renewed, taken}
"""
"""KEYS: responders, positions. ARGV: name, milliseconds. Shares differ by one at most."""

_TAKE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local function take()
  if ARGV[3] == '' then
    return redis.pcall('XREADGROUP', 'GROUP', 'responders', ARGV[1], 'COUNT', ARGV[2],
      'STREAMS', KEYS[2], '>')
  end
  return redis.pcall('XAUTOCLAIM', KEYS[2], 'responders', ARGV[1], 0, ARGV[3], 'COUNT', ARGV[2])
end
local found = take()
if found and found.err then
  if not string.find(found.err, 'NOGROUP', 1, true) then return found end
  redis.call('XGROUP', 'CREATE', KEYS[2], 'responders', '0', 'MKSTREAM')
  found = take()
end
if ARGV[3] == '' then return {'', found and found[1][2] or {}} end
if found[1] == '0-0' then
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[2], 'responders')) do
    if consumer[2] ~= ARGV[1] and consumer[4] == 0 then
      redis.call('XGROUP', 'DELCONSUMER', KEYS[2], 'responders', consumer[2])
    end
  end
  found[1] = ''
end
return {found[1], found[2]}
"""
"""KEYS: lease, requests. ARGV: name, how many, from where to claim what others had taken ("" to
read what nobody had). Returns where to go on claiming ("" at the end) and entries; nothing
without the lease."""

_RELEASE = """
for i = 1, #KEYS do
  if redis.call('GET', KEYS[i]) == ARGV[1] then redis.call('DEL', KEYS[i]) end
end
"""


class Request(NamedTuple):
    """A learner's message that waits. ``id``: its place in the partition's queue: where it stands
    on ``chat.messages``, or where the expert left who had not answered it."""

    partition: int
    id: int
    record: ChatRecord


class Leases(NamedTuple):
    """``share``: partitions that are this responder's due. ``held``: those that it has; ``fresh``
    of them others may have worked on since it last looked."""

    share: int
    held: frozenset[int]
    fresh: frozenset[int]


class RequestQueue:
    """One responder's place in the queue.

    Every method raises `StoreUnavailable` while Redis is away. A Redis that lost everything is
    the same to it as one that was never fed.

    Args:
        name: told apart from every other responder's, also of an earlier run.
    """

    def __init__(self, settings: RedisSettings, name: str) -> None:
        self._client: Any = connect(settings)  # its own types know too little of replies
        self._name = name
        self._block_ms = round(min(WAIT_SECONDS, settings.timeout_seconds / 2) * 1000)
        self._renew = self._client.register_script(_RENEW)
        self._take = self._client.register_script(_TAKE)
        self._release = self._client.register_script(_RELEASE)
        self._seen: dict[int, int] = {}
        self._claiming: dict[int, str] = {}

    async def close(self) -> None:
        await self._client.aclose()

    async def renew(self) -> Leases:
        """Gives a sign of life, keeps what it has and takes free partitions up to its share."""
        with redis_errors(self._client):
            share, renewed, taken = await self._renew(
                keys=[_RESPONDERS, _POSITION], args=[self._name, round(LEASE_SECONDS * 1000)]
            )
        held = frozenset(map(int, renewed + taken))
        # What was taken without our hearing of it was renewed now, and is not known yet.
        fresh = frozenset(map(int, taken)) | (held - frozenset(self._seen))
        self._seen = {p: -1 if p in fresh else self._seen[p] for p in held}
        self._claiming |= dict.fromkeys(fresh, _START)
        return Leases(share, held, fresh)

    async def take(self, partition: int, most: int) -> list[Request]:
        """The next messages of a partition that it has the lease of, in order; none without.

        First what a responder before had taken and not answered: so after a failure a message may
        come that is in hand already.
        """
        requests: list[Request] = []
        claiming = True
        while claiming and partition in self._seen and len(requests) < most:
            claiming = self._claiming.get(partition) != _NEW
            requests += await self._taken(partition, most - len(requests))
        return requests

    async def _taken(self, partition: int, most: int) -> list[Request]:
        start = self._claiming.get(partition, _START)
        # If Redis fails now, it may have given us messages that we never see.
        self._claiming[partition] = _START
        with redis_errors(self._client):
            found = await self._take(
                keys=[_lease(partition), _stream(partition)], args=[self._name, most, start]
            )
        if found is None:
            self._seen.pop(partition, None)
            return []
        self._claiming[partition] = found[0].decode()
        requests = [await self._request(partition, *entry) for entry in found[1] if entry]
        return [request for request in requests if request is not None]

    def again(self, partition: int) -> None:
        """What was taken of a partition and is not done with will be taken once more."""
        self._claiming[partition] = _START

    async def wait(self) -> None:
        """Until there may be a message to take, or `WAIT_SECONDS` have passed."""
        if not self._seen:
            await asyncio.sleep(self._block_ms / 1000)
            return
        seen = {_stream(p): _START if id_ < 0 else f"{id_}-1" for p, id_ in self._seen.items()}
        with redis_errors(self._client):
            found = await self._client.xread(seen, count=1, block=self._block_ms)
        for stream, entries in found:
            self._see(int(stream.rpartition(b":")[2]), _offset(entries[-1][0]))

    async def needless(self, record: ChatRecord) -> str | None:
        """Why a message wants no answer of ours: it was ``answered``, or an ``expert`` will."""
        owner = f"chat:owner:{session_name(record.user_id, record.session_id)}"
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=False)
            pipeline.exists(f"chat:answered:{record.event_id}")
            pipeline.exists(owner)
            answered, owned = await pipeline.execute()
        return "answered" if answered else "expert" if owned else None

    async def done(self, partition: int, id_: int) -> None:
        """Takes a message out of the queue."""
        stream, entry = _stream(partition), f"{id_}-1"
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=True)
            pipeline.xack(stream, GROUP, entry)
            pipeline.xdel(stream, entry)
            await pipeline.execute()

    async def waiting(self) -> int:
        """How many messages of its partitions wait, those in hand among them."""
        with redis_errors(self._client):
            pipeline = self._client.pipeline(transaction=False)
            for partition in self._seen:
                pipeline.xlen(_stream(partition))
            return sum(await pipeline.execute())

    async def release(self, partitions: Collection[int]) -> None:
        """Gives partitions to whoever is next; what it had taken of them is theirs as well."""
        with redis_errors(self._client):
            await self._release(keys=[_lease(p) for p in partitions], args=[self._name])
        for partition in partitions:
            self._seen.pop(partition, None)

    async def leave(self) -> None:
        """Gives everything to the others, at once."""
        with redis_errors(self._client):
            await self._client.zrem(_RESPONDERS, self._name)
        await self.release(list(self._seen))

    async def _request(
        self, partition: int, entry_id: bytes, fields: list[bytes]
    ) -> Request | None:
        id_ = _offset(entry_id)
        self._see(partition, id_)
        try:
            record = chat_adapter.validate_json(fields[fields.index(b"record") + 1])
        except (ValidationError, ValueError) as error:
            log.error("no chat record, passed over", partition=partition, offset=id_,
                      reason=type(error).__name__)  # fmt: skip
            await self.done(partition, id_)
            return None
        return Request(partition, id_, record)

    def _see(self, partition: int, id_: int) -> None:
        if partition in self._seen:
            self._seen[partition] = max(self._seen[partition], id_)


def _stream(partition: int) -> str:
    return f"chat:requests:{partition}"


def _lease(partition: int) -> str:
    return f"chat:lease:{partition}"


def _offset(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
