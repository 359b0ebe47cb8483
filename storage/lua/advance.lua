#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- advance.lua - a step is done: the delivery goes on in another lane, with its state, while the claim
-- is still the sender's.
--
-- ARGV: is it told again (1), and of each: lane, ref, claim, next lane, now, attempts, last error,
-- state.
-- Reply, of each: 1, or 0 when the claim was lost.
--
-- Who did not hear the answer tells it again: what waits or is held there with that state is no lost
-- claim then.
local is_again = ARGV[1] == '1'
local reply = {}

local function is_so(row)
    return call('HGET', states, row.ref) == row.state
        and (call('ZSCORE', waiting_key(row.next), row.ref) or call('ZSCORE', held_key(row.next), row.ref))
end

whole_rows(8, 2)
look_at_partition()
local rows = {}
for i = 2, #ARGV, 8 do
    look_at_lane(ARGV[i])
    look_at_lane(ARGV[i + 3])
    rows[#rows + 1] = {
        lane = ARGV[i], ref = is_ref(ARGV[i + 1]), claim = whole(ARGV[i + 2]), next = ARGV[i + 3],
        now = whole(ARGV[i + 4]), count = whole(ARGV[i + 5]), err = whole(ARGV[i + 6]), state = ARGV[i + 7],
    }
end
for i, row in ipairs(rows) do
    local held, ref = held_key(row.lane), row.ref
    local is_ours = tonumber(call('ZSCORE', held, ref)) == row.claim
    if is_ours then
        local _, _, past = attempt_of(ref)
        attempt_set(ref, row.now, 0, past + row.count, row.err, row.now)
        call('HSET', states, ref, row.state)
        call('ZADD', waiting_key(row.next), row.now, ref)
        call('ZREM', held, ref)
        lane_expect(row.next, math.max(row.now, parked_until(row.next)))
        if call('EXISTS', held, waiting_key(row.lane)) == 0 then
            call('ZREM', lanes, row.lane)
        end
    end
    reply[i] = (is_ours or is_again and is_so(row)) and 1 or 0
end
return reply
