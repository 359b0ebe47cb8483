#!lua
-- SPDX-License-Identifier: Apache-2.0
--
-- open.lua - a process begins to use the store: what the store is, and who the process is in it.
--
-- KEYS: g:meta.  ARGV: the store's uuid if it is new, how many partitions the process knows, does it
--       begin (1) or only look that the store is still the same, which an emptied Redis becomes again.
-- Reply: the store's uuid, its partitions, a number for the process that begins.
redis.call('HSETNX', KEYS[1], 'uuid', ARGV[1])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[2])
return {
    redis.call('HGET', KEYS[1], 'uuid'),
    tonumber(redis.call('HGET', KEYS[1], 'partitions')),
    ARGV[3] == '1' and redis.call('HINCRBY', KEYS[1], 'processes', 1) or 0,
}
