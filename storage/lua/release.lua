#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- release.lua - claims end that a commit made and nobody heard of: its answer was lost.
--
-- ARGV, of each: lane, claim, event id.  Reply: how many claims ended.
--
-- Other events of the lane may have been claimed in the same millisecond, so the record tells which
-- one it is.  What is not looked at for its size ends with its claim.
local bytes_left = 1048576
local ended = 0

local function event_id(record)
    local at = 27 + struct.unpack('<I2', record, 25) -- behind the account: record.c
    return string.sub(record, at + 2, at + 1 + struct.unpack('<I2', record, at))
end

whole_rows(3, 1)
look_at_partition()
for i = 1, #ARGV, 3 do
    look_at_lane(ARGV[i])
    whole(ARGV[i + 1])
end
for i = 1, #ARGV, 3 do
    local lane, claim = ARGV[i], ARGV[i + 1]
    for _, ref in ipairs(call('ZRANGEBYSCORE', held_key(lane), claim, claim, 'LIMIT', 0, STEP_MAX)) do
        local seq = string.sub(ref, 1, 8)
        local len = call('HSTRLEN', bodies, seq)
        if len > 0 and len <= bytes_left then
            bytes_left = bytes_left - len
            if event_id(call('HGET', bodies, seq)) == ARGV[i + 2] then
                unclaim(lane, ref)
                lane_look(lane)
                ended = ended + 1
            end
        end
    end
end
return ended
