#!lua
-- SPDX-License-Identifier: Apache-2.0
--
-- catalog_put.lua - documents are compared and set together, or none of them.
--
-- KEYS: {catalog}:d, {catalog}:r, {catalog}:v.  ARGV: the revision they were signed for, the least that
--       it may be; of each document its name, the revision it must replace (0: it must not exist) and
--       its bytes.
-- Reply: 1 done, 0 signed for another revision than the next, -1 one does not fit; which; revision of
--       the catalog.
--
-- {catalog}:d HASH name -> revision (8 bytes), MAC (32), value; {catalog}:r ZSET name -> revision,
-- deleted ones without a value included; {catalog}:v the revision.
local HEAD = 40
local documents, revisions, current = KEYS[1], KEYS[2], KEYS[3]
local rev = tonumber(redis.call('GET', current)) or 0
local next_rev = math.max(rev + 1, tonumber(ARGV[2]))
local seen = {}

redis.call('ZCARD', revisions) -- somebody else's key is found out before the first write

for i = 3, #ARGV, 3 do
    local name, replaces = ARGV[i], tonumber(ARGV[i + 1])
    local exists = redis.call('HSTRLEN', documents, name) > HEAD
    local fits
    if exists then
        fits = tonumber(redis.call('ZSCORE', revisions, name)) == replaces
    else
        fits = replaces == 0 and #ARGV[i + 2] > HEAD
    end
    if not fits or seen[name] then
        return {-1, (i - 3) / 3, rev}
    end
    seen[name] = true
end
if tonumber(ARGV[1]) ~= next_rev then
    return {0, 0, rev}
end
for i = 3, #ARGV, 3 do
    redis.call('HSET', documents, ARGV[i], ARGV[i + 2])
    redis.call('ZADD', revisions, next_rev, ARGV[i])
end
redis.call('SET', current, string.format('%d', next_rev))
return {1, 0, next_rev}
