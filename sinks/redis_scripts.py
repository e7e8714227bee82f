"""What Redis runs itself: a script runs alone, so what it compares is still so when it writes.

``ARGV[1]`` of each: seconds after which a key that nobody writes is dropped.
"""

from __future__ import annotations

KEEP_DECISIONS = """
for i, key in ipairs(KEYS) do
  local position, record = ARGV[2 * i], ARGV[2 * i + 1]
  local kept = tonumber(redis.call('HGET', key, 'position') or -1)
  if tonumber(position) >= kept then
    redis.call('HSET', key, 'position', position, 'record', record)
    redis.call('EXPIRE', key, ARGV[1])
  end
end
"""
"""Then position and record of each key."""

KEEP_DELIVERIES = """
for i, key in ipairs(KEYS) do
  local at = 4 * i - 2
  local position, record, delivery, tree = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local kept = redis.call('HMGET', key, 'position', 'delivery_id')
  if tonumber(position) >= tonumber(kept[1] or -1) then
    redis.call('HSET', key, 'position', position, 'record', record, 'delivery_id', delivery)
    redis.call('EXPIRE', key, ARGV[1])
    if kept[2] ~= delivery then
      redis.call('PUBLISH', string.sub(key, 1, -2 - #tree), tree)
    end
  end
end
"""
"""Then position, record, delivery_id and tree_id of each key, which is its channel and the tree."""

KEEP_VERSION = """
local kept = tonumber(redis.call('HGET', KEYS[2], 'version') or -1)
if tonumber(ARGV[2]) > kept then
  redis.call('HSET', KEYS[2], 'version', ARGV[2], 'document', ARGV[3])
  redis.call('SET', KEYS[1], ARGV[3], 'EX', ARGV[1])
end
"""
"""KEYS: thresholds, highest. Then version and document."""

RENEW_THRESHOLDS = """
for i = 1, #KEYS, 2 do
  if redis.call('EXPIRE', KEYS[i], ARGV[1]) == 0 then
    local document = redis.call('HGET', KEYS[i + 1], 'document')
    if document then redis.call('SET', KEYS[i], document, 'EX', ARGV[1]) end
  end
end
"""
"""KEYS: thresholds and highest of each tree."""

SCRIPTS = (KEEP_DECISIONS, KEEP_DELIVERIES, KEEP_VERSION, RENEW_THRESHOLDS)
