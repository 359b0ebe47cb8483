#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- archive_sizes.lua - what this partition has of each archive; a page of them.
--
-- ARGV: where the page begins ('0': the first), how many fields to look at, about.
-- Reply: where the next page begins ('0': that was all), and of each archive its number, events,
--        bytes, and how many found it full.  An archive may come again.
local page = call('HSCAN', archives, ARGV[1], 'COUNT', whole(ARGV[2]))
local reply, seen = {page[1]}, {}

for i = 1, #page[2], 2 do
    local name = string.match(page[2][i], '^(%d+)[nbf]$')
    if name and not seen[name] then
        seen[name] = true
        local found = call('HMGET', archives, name .. 'n', name .. 'b', name .. 'f')
        reply[#reply + 1] = {name, found[1] or '0', found[2] or '0', found[3] or '0'}
    end
end
return reply
