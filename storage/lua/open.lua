#!lua
-- SPDX-License-Identifier: Apache-2.0
--
-- open.lua - a process begins to use the store: what the store is, and who the process is in it.
--
-- KEYS: g:meta.  ARGV: a new store's uuid, how many partitions the process knows.
-- Reply: the store's uuid, its partitions, a number for the process.
redis.call('HSETNX', KEYS[1], 'uuid', ARGV[1])
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[2])
return {
    redis.call('HGET', KEYS[1], 'uuid'),
    tonumber(redis.call('HGET', KEYS[1], 'partitions')),
    redis.call('HINCRBY', KEYS[1], 'processes', 1),
}
