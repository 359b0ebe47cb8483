#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- dead_read.lua - the records of dead letters; who asks knows their sizes from dead_find.lua.
--
-- ARGV: their clocks.  Reply, of each: its record (nil: it is missing), or 0 when the letter is gone
-- by now.
local reply = {}

for i = 1, #ARGV do
    local clock = int(whole(ARGV[i]))
    local letter = call('ZRANGEBYSCORE', dead, clock, clock, 'LIMIT', 0, 1)[1]
    if letter then
        reply[i] = call('HGET', bodies, string.sub(letter, 37, 44))
    else
        reply[i] = 0
    end
end
return reply
