#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- tally.lua - the counters of the partition's accounts, or the names of its lanes; a page of them.
--
-- ARGV: what (c: counters, l: lanes), where the page begins ('0': the first), how many fields to look
--       at, about.
-- Reply: where the next page begins ('0': that was all), and of each account its digits, created,
--        delivered, dropped, expired, redriven and dead; or the names of lanes.
--
-- The counters of an account are read together, whichever of them a page meets, so that they balance;
-- an account that comes again has newer ones.  What is there from the first page to the last is met.
local KINDS = {'c', 'v', 'p', 'e', 'r', 'd'}
local what, cursor, count = ARGV[1], ARGV[2], whole(ARGV[3])
local reply, seen = {}, {}

local function counters_of(account)
    local fields = {}
    for i, kind in ipairs(KINDS) do
        fields[i] = account .. kind
    end
    local line = {account}
    for i, number in ipairs(call('HMGET', counters, unpack(fields))) do
        line[1 + i] = tonumber(number) or 0
    end
    return line
end

assert(what == 'c' or what == 'l')
local page = what == 'c' and call('HSCAN', counters, cursor, 'COUNT', count)
    or call('ZSCAN', lanes, cursor, 'COUNT', count)
reply[1] = page[1]
for i = 1, #page[2], 2 do
    local name = page[2][i]
    if what == 'l' then
        reply[#reply + 1] = name
    elseif #name == 13 and not seen[string.sub(name, 1, 12)] then
        seen[string.sub(name, 1, 12)] = true
        reply[#reply + 1] = counters_of(string.sub(name, 1, 12))
    end
end
return reply
