#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- park.lua - nothing of a lane is due before a moment (0: resume).
--
-- ARGV: claimer, lane, until.  Reply: how many claims ended.
--
-- Only the claims of the claimer end: what another replica has in flight ends by itself, and ending
-- it here would send it twice.
local claimer, lane, till = whole(ARGV[1]), ARGV[2], whole(ARGV[3])

look_at_partition()
look_at_lane(lane)
local all = call('ZRANGE', held_key(lane), 0, -1, 'WITHSCORES')
local ended = 0

if till > 0 then
    call('HSET', parks, lane, int(till))
else
    call('HDEL', parks, lane)
end
for i = 1, #all, 2 do
    if tonumber(all[i + 1]) % 1024 == claimer then
        unclaim(lane, all[i])
        ended = ended + 1
    end
end
lane_look(lane)
return ended
