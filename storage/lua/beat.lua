#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- beat.lua - this replica is alive; who has not said so for a while is not.
--
-- KEYS: g:replicas.  ARGV: its name, how long a beat counts in ms (0: it leaves).  Reply: how many are
-- alive.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[2])

if life > 0 then
    redis.call('ZADD', KEYS[1], now, ARGV[1])
    redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', now - life))
else
    redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZCARD', KEYS[1])
