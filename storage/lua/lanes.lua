#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- lanes.lua - which lanes of the partition have work by now, and nobody who does it.
--
-- ARGV: now, how many lanes to look at.  Reply: their names, in no order.
--
-- L is a lower bound: a lane that turns out to have nothing yet is put where it belongs, and the
-- next look passes it over.
local now = tonumber(ARGV[1])
local names = {}

for _, lane in ipairs(call('ZRANGEBYSCORE', lanes, '-inf', now, 'LIMIT', 0, ARGV[2])) do
    local moment = lane_look(lane)
    if moment and moment <= now and parked_until(lane) <= now then
        names[#names + 1] = lane
    end
end
return names
