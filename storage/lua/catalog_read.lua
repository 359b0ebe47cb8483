#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- catalog_read.lua - documents in the order of revision and name, a page of them.
--
-- KEYS: {catalog}:d, {catalog}:r, {catalog}:v.  ARGV: after this revision and, within it, this name
--       ('': all of that revision have been read); how many and how many bytes at most.
-- Reply: revision of the catalog, is there more (1), and of each document its name, revision, bytes.
--
-- A document that is changed between two pages moves behind what was read, so the last page makes the
-- whole true of its own moment.
local documents, revisions = KEYS[1], KEYS[2]
local since, after = ARGV[1], ARGV[2]
local count_max, bytes_left = tonumber(ARGV[3]), tonumber(ARGV[4])
local reply = {tonumber(redis.call('GET', KEYS[3])) or 0, 0}
local start

if after == '' then
    start = redis.call('ZCOUNT', revisions, '-inf', since)
elseif tonumber(redis.call('ZSCORE', revisions, after)) == tonumber(since) then
    start = redis.call('ZRANK', revisions, after) + 1
else -- it has moved on: read its revision again
    start = redis.call('ZCOUNT', revisions, '-inf', '(' .. since)
end
local found = redis.call('ZRANGE', revisions, start, start + count_max, 'WITHSCORES')
for i = 1, #found, 2 do
    local bytes = redis.call('HGET', documents, found[i]) or ''
    if #reply >= 2 + 3 * count_max or (#bytes > bytes_left and i > 1) then
        reply[2] = 1
        break
    end
    bytes_left = bytes_left - #bytes
    reply[#reply + 1] = found[i]
    reply[#reply + 1] = tonumber(found[i + 1])
    reply[#reply + 1] = bytes
end
return reply
