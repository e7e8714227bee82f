"""The Lua script by which Redis takes what is new of a partition of ``chat.messages``.

Redis runs it alone, so several gateways may feed it at once; what each key is: `chat.live_queue`.
"""

from __future__ import annotations

FEED = """
local partition, since, first, next_offset = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local seconds, most, most_open = ARGV[5], ARGV[6], ARGV[7]
local at = tonumber(redis.call('HGET', KEYS[1], partition) or -1)
if at < 0 and first == '0' then return 0 end
if at >= 0 and at < tonumber(since) then return 0 end

local function release(session, expert)
  local held = redis.call('HGET', KEYS[3], session)
  if held and (not expert or string.sub(held, 38) == expert) then
    redis.call('DEL', 'chat:owner:' .. session)
    redis.call('HDEL', KEYS[3], session)
    return true
  end
end

local function request(id, event, record)
  if redis.call('EXISTS', 'chat:answered:' .. event) == 0 then
    local requests = 'chat:requests:' .. partition
    redis.call('XADD', requests, 'MAXLEN', '~', 10000, id, 'record', record)
  end
end

local function request_last(id, stream)
  for _, entry in ipairs(redis.call('XREVRANGE', stream, '+', '-')) do
    local message = cjson.decode(entry[2][2])
    if message.message_direction == 'user' then
      return request(id, message.event_id, entry[2][2])
    end
  end
end

local passed_over = 0
for i = 8, #ARGV, 7 do
  local offset, session, kind, event = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local about, moment, record = ARGV[i + 4], ARGV[i + 5], ARGV[i + 6]
  local stream, id = 'chat:session:' .. session, offset .. '-1'
  local owner = 'chat:owner:' .. session
  local added = {}
  if tonumber(offset) >= at then
    added = redis.pcall('XADD', stream, 'MAXLEN', '~', most, id, 'record', record)
  end
  if tonumber(offset) < at then
    -- fed before
  elseif added.err and string.find(added.err, 'equal or smaller', 1, true) then
    passed_over = passed_over + 1
  elseif added.err then
    return added
  else
    redis.call('EXPIRE', stream, seconds)
    redis.call('EXPIRE', owner, seconds)
    local ended = redis.call('EXISTS', 'chat:ended:' .. session) == 1
    if not ended then redis.call('ZADD', KEYS[2], moment, session) end
    if kind == 'request' then
      if not ended and redis.call('EXISTS', owner) == 0 then request(id, event, record) end
    elseif kind == 'joined' then
      if redis.call('SET', owner, about, 'EX', seconds, 'NX') then
        redis.call('HSET', KEYS[3], session, event .. ' ' .. about)
      end
    elseif kind == 'left' then
      if release(session, about) then request_last(id, stream) end
    elseif kind == 'ended' then
      release(session)
      redis.call('SET', 'chat:ended:' .. session, 1, 'EX', seconds)
      redis.call('ZREM', KEYS[2], session)
    elseif about ~= '' then
      redis.call('SET', 'chat:answered:' .. about, 1, 'EX', seconds)
    end
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -1 - tonumber(most_open))
if tonumber(next_offset) > at then redis.call('HSET', KEYS[1], partition, next_offset) end
return 1 + passed_over
"""
"""KEYS: positions, open sessions, taken sessions. An entry's id ends in 1, as Redis takes no 0-0.
Returns 0 if Redis has lost its position, or stands before ``since``: then it came back with an
older state; otherwise 1 and how many were passed over, since the session has a higher id: then its
learner's events are in several partitions. Any other error, such as that Redis is full, is returned
before the position moves past the message. What comes after a session's end neither opens it again
nor is asked of a responder. The first expert who joins has the session until they leave; what waits
then is asked of the responders. Where nobody answers, only the newest requests are kept."""
