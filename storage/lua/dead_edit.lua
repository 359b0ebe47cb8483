#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- dead_edit.lua - dead letters end or live again; those that are gone by now are passed over.
--
-- ARGV: what to do (r: redrive, p: drop, e: expire), now, and their clocks.  Reply: how many.
local edit, now = ARGV[1], tonumber(ARGV[2])
local count = 0

for i = 3, #ARGV do
    local letter = call('ZRANGEBYSCORE', dead, ARGV[i], ARGV[i])[1]
    if letter then
        local _, attempt_count, past, err = struct.unpack('>I8I4I4I4', letter)
        local ref = string.sub(letter, 37, 46)
        local lane = string.sub(letter, 49, 48 + struct.unpack('>I2', letter, 47))
        if edit == 'r' then
            attempt_set(ref, now, 0, past + attempt_count, err, now)
            call('ZADD', waiting_key(lane), now, ref)
            lane_expect(lane, math.max(now, parked_until(lane)))
        else
            release(ref)
        end
        call('ZREM', dead, letter)
        count_up(lane, edit, 1)
        count_up(lane, 'd', -1)
        count = count + 1
    end
end
return count
