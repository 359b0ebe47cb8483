#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- archive_find.lua - what this partition has of an archive, in order.
--
-- ARGV: archive, the time and sequence where it begins, whether behind that place (1) or with it (0),
--       the last time that counts, how many at most.
-- Reply, of each event: its place, and how many bytes its record has.
local name, edge = int(whole(ARGV[1])), ARGV[4] == '1' and '(' or '['
local from = edge .. struct.pack('>I8I8', whole(ARGV[2]), whole(ARGV[3]))
local to = '(' .. struct.pack('>I8', whole(ARGV[5]) + 1)
local reply = {}

for i, place in ipairs(call('ZRANGEBYLEX', places_key(name), from, to, 'LIMIT', 0, whole(ARGV[6]))) do
    reply[i] = {place, call('HSTRLEN', archived_key(name), place)}
end
return reply
