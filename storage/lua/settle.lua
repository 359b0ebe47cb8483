#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- settle.lua - delivered: the deliveries end, whoever holds a claim on them.
--
-- ARGV: lane and ref of each.  Reply: how many ended now.
local ended, touched = 0, {}

whole_rows(2, 1)
look_at_partition()
for i = 1, #ARGV, 2 do
    look_at_lane(ARGV[i])
    is_ref(ARGV[i + 1])
end

for i = 1, #ARGV, 2 do
    local lane, ref = ARGV[i], ARGV[i + 1]
    if call('ZREM', held_key(lane), ref) == 1 or call('ZREM', waiting_key(lane), ref) == 1 then
        count_up(lane, 'v', 1)
        release(ref)
        ended = ended + 1
        touched[lane] = true
    end
end
for lane in pairs(touched) do
    if call('EXISTS', held_key(lane), waiting_key(lane)) == 0 then
        call('ZREM', lanes, lane)
    end
end
return ended
