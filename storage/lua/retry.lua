#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- retry.lua - failed: due again later, while the claim is still the sender's.
--
-- ARGV, of each: lane, ref, claim, due, attempts, last error.  Reply, of each: 1, or 0 when the claim
-- was lost.
local reply = {}

for i = 1, #ARGV, 6 do
    local lane, ref, due = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3])
    local is_ours = tonumber(call('ZSCORE', held_key(lane), ref)) == tonumber(ARGV[i + 2])
    if is_ours then
        local _, _, past, _, budget = attempt_of(ref)
        attempt_set(ref, due, tonumber(ARGV[i + 4]), past, tonumber(ARGV[i + 5]), budget)
        call('ZADD', waiting_key(lane), due, ref)
        lane_expect(lane, math.max(due, parked_until(lane)))
        call('ZREM', held_key(lane), ref)
    end
    reply[#reply + 1] = is_ours and 1 or 0
end
return reply
