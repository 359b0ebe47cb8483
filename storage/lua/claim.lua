#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- claim.lua - what is due in one lane goes to one claimer, oldest first.
--
-- ARGV: claimer, lane, now, end of claims, how many at most, how many bytes of records at most.
-- Reply: is there more that is due (1), when more falls due (-1: it owes nothing), and of each
--        delivery its ref, claim, due, attempts ('': none), record (nil: it is missing) and state
--        ('': none).
local claimer, lane = whole(ARGV[1]), ARGV[2]
local now, till, count_max = whole(ARGV[3]), whole(ARGV[4]), whole(ARGV[5])
local bytes_left = whole(ARGV[6])
local waiting, held = waiting_key(lane), held_key(lane)
local reply = {0, -1}

look_at_partition()
look_at_lane(lane)

if not first_score(waiting) and not first_score(held) then
    call('ZREM', lanes, lane)
    return reply
end
local parked = parked_until(lane)
if parked > now then
    return {0, parked}
elseif parked > 0 then
    call('HDEL', parks, lane)
end
expire(lane, now)

local count = math.min(count_max, HELD_MAX - held_by(lane, claimer), STEP_MAX)
local due = {}
if count > 0 then
    due = call('ZRANGEBYSCORE', waiting, '-inf', now, 'WITHSCORES', 'LIMIT', 0, count)
end
for i = 1, #due, 2 do
    local ref = due[i]
    local record = call('HGET', bodies, string.sub(ref, 1, 8))
    local state = call('HGET', states, ref) or ''
    local len = (record and #record or 0) + #state
    if len > bytes_left and i > 1 then
        break
    end
    bytes_left = bytes_left - len
    call('ZADD', held, till * 1024 + claimer, ref)
    call('ZREM', waiting, ref)
    reply[#reply + 1] = {ref, till * 1024 + claimer, tonumber(due[i + 1]), call('HGET', attempts, ref) or '', record, state}
end

local moment = lane_look(lane)
local first = first_score(waiting)
if first and first <= now then
    reply[1], reply[2] = 1, now
else
    reply[2] = moment or -1
end
return reply
