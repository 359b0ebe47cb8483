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

local function is_so(lane, ref, due, count, err)
    local kept_due, kept_count, _, kept_err = attempt_of(ref)
    return kept_due == due and kept_count == count and kept_err == err
        and (call('ZSCORE', waiting_key(lane), ref) or call('ZSCORE', held_key(lane), ref))
end

for i = 2, #ARGV, 6 do
    local lane, ref, due = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
    local count, err = tonumber(ARGV[i + 4]), tonumber(ARGV[i + 5])
    local is_ours = tonumber(call('ZSCORE', held_key(lane), ref)) == tonumber(ARGV[i + 2])
    if is_ours then
        local _, _, past, _, budget = attempt_of(ref)
        attempt_set(ref, due, count, past, err, budget)
        call('ZADD', waiting_key(lane), due, ref)
        lane_expect(lane, math.max(due, parked_until(lane)))
        call('ZREM', held_key(lane), ref)
    end
    reply[#reply + 1] = (is_ours or is_again and is_so(lane, ref, due, count, err)) and 1 or 0
end
return reply
