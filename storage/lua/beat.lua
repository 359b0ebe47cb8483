#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- beat.lua - this replica is alive; who has not said so for a while is not.
--
-- KEYS: g:replicas.  ARGV: its claimer and name ("7:NAME"), how long a beat counts in ms (0: it
-- leaves), does it begin (1).  Reply: how many are alive; 0 when it would begin and another that is
-- alive has the same claimer: it may not have it.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[2])
local claimer = string.match(ARGV[1], '^%d+:')

assert(claimer)
if life == 0 then
    redis.call('ZREM', KEYS[1], ARGV[1])
    return redis.call('ZCARD', KEYS[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%d', now - life))
if ARGV[3] == '1' then
    for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
        if other ~= ARGV[1] and string.sub(other, 1, #claimer) == claimer then
            return 0
        end
    end
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZCARD', KEYS[1])
