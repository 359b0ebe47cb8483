#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- retry.lua - failed: due again later, while the claim is still the sender's.
--
-- ARGV: is it told again (1), and of each: lane, ref, claim, due, attempts, last error.
-- Reply, of each: 1, or 0 when the claim was lost.
--
-- Who did not hear the answer tells it again: what is already so is no lost claim then.
local is_again = ARGV[1] == '1'
local reply = {}

local function is_so(row)
    local due, count, _, err = attempt_of(row.ref)
    return due == row.due and count == row.count and err == row.err
        and (call('ZSCORE', waiting_key(row.lane), row.ref) or call('ZSCORE', held_key(row.lane), row.ref))
end

whole_rows(6, 2)
look_at_partition()
local rows = {}
for i = 2, #ARGV, 6 do
    look_at_lane(ARGV[i])
    rows[#rows + 1] = {
        lane = ARGV[i], ref = is_ref(ARGV[i + 1]), claim = whole(ARGV[i + 2]),
        due = whole(ARGV[i + 3]), count = whole(ARGV[i + 4]), err = whole(ARGV[i + 5]),
    }
end
for i, row in ipairs(rows) do
    local lane, ref = row.lane, row.ref
    local is_ours = tonumber(call('ZSCORE', held_key(lane), ref)) == row.claim
    if is_ours then
        local _, _, past, _, budget = attempt_of(ref)
        attempt_set(ref, row.due, row.count, past, row.err, budget)
        call('ZADD', waiting_key(lane), row.due, ref)
        lane_expect(lane, math.max(row.due, parked_until(lane)))
        call('ZREM', held_key(lane), ref)
    end
    reply[i] = (is_ours or is_again and is_so(row)) and 1 or 0
end
return reply
