#!lua
-- SPDX-License-Identifier: Apache-2.0
--
-- lease.lua - tokens of the partition's accounts for a replica's next moment.
--
-- ARGV, of each account: its digits, rate a second, burst, used on credit, wanted.
-- Reply, of each: granted.
--
-- r:{P} holds a bucket for each account: level and the microsecond it is of, by the clock of this
-- server.  What was used is charged in any case, so a level may fall below nothing.
local rates = 'r:' .. tag
local time = call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local reply = {}

whole_rows(5, 1)
are_hashes(rates)
for i = 1, #ARGV, 5 do
    for k = 1, 4 do
        assert(tonumber(ARGV[i + k]))
    end
end
for i = 1, #ARGV, 5 do
    local account, rate, burst = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local level, since = burst, now
    local kept = call('HGET', rates, account)
    if kept then
        level, since = struct.unpack('>dd', kept)
    end
    since = math.min(since, now)
    level = math.min(burst, level + (now - since) * rate / 1000000) - tonumber(ARGV[i + 3])
    local granted = math.max(0, math.min(math.floor(level), tonumber(ARGV[i + 4])))
    call('HSET', rates, account, struct.pack('>dd', level - granted, now))
    reply[#reply + 1] = granted
end
return reply
