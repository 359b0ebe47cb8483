#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- dead_edit.lua - dead letters end or live again; those that are gone by now are passed over.
--
-- ARGV: what to do (r: redrive, p: drop, e: expire), now, and their clocks.  Reply: how many.
local edit, now = ARGV[1], whole(ARGV[2])
local count = 0
local found = {}

assert(edit == 'r' or edit == 'p' or edit == 'e')
look_at_partition()
for i = 3, #ARGV do
    local clock = int(whole(ARGV[i]))
    local letter = call('ZRANGEBYSCORE', dead, clock, clock, 'LIMIT', 0, 1)[1]
    if letter and not found[letter] then
        found[letter] = true
        local lane = string.sub(letter, 49, 48 + struct.unpack('>I2', letter, 47))
        look_at_lane(lane)
        found[#found + 1] = {letter = letter, lane = lane, ref = is_ref(string.sub(letter, 37, 46))}
    end
end
for _, one in ipairs(found) do
    if edit == 'r' then
        local _, attempt_count, past, err = struct.unpack('>I8I4I4I4', one.letter)
        attempt_set(one.ref, now, 0, past + attempt_count, err, now)
        call('ZADD', waiting_key(one.lane), now, one.ref)
        lane_expect(one.lane, math.max(now, parked_until(one.lane)))
    else
        release(one.ref)
    end
    call('ZREM', dead, one.letter)
    count_up(one.lane, edit, 1)
    count_up(one.lane, 'd', -1)
    count = count + 1
end
return count
