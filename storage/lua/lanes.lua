#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- lanes.lua - which lanes of the partition have work by now, and nobody who does it; a page of them.
--
-- ARGV: now, where the page begins: at this score, behind so many lanes of it; how many to look at.
-- Reply: are there more (1), where the next page begins (2 numbers), and names, in no order.
--
-- L is a lower bound: a lane that turns out to have nothing yet is put where it belongs, and the
-- next look passes it over.  Lanes only move up, so a walk may meet one twice, and misses none that
-- stays as it is.
local now, start, behind, count = whole(ARGV[1]), whole(ARGV[2]), whole(ARGV[3]), whole(ARGV[4])

look_at_partition()
local found = call('ZRANGEBYSCORE', lanes, int(start), int(now), 'WITHSCORES', 'LIMIT', behind, count)
local last = tonumber(found[#found]) or start
local reply = {#found == 2 * count and 1 or 0, last, last == start and behind or 0}

for i = 1, #found, 2 do
    look_at_lane(found[i])
end
for i = 1, #found, 2 do
    local lane = found[i]
    local moment = lane_look(lane)
    local expected = moment and math.max(moment, parked_until(lane))
    if expected and expected <= now then
        reply[#reply + 1] = lane
    end
    if expected == last and tonumber(found[i + 1]) == last then
        reply[3] = reply[3] + 1
    end
end
return reply
