#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- bury.lua - given up: a dead letter, while the claim is still the sender's.
--
-- ARGV: is it told again (1), and of each: lane, ref, claim, now, attempts, reason, message.
-- Reply, of each: 1, or 0 when the claim was lost.
--
-- A dead letter is one member of x: when it was buried (8 bytes), attempts, past attempts, last error
-- (4 each), budget from, due (8 each), ref (10), and with a length before each (2) lane, reason and
-- message.  Its clock is the millisecond * 64 and a count, so that with the partition behind it an id
-- is still a number that JSON can carry.
--
-- Who did not hear the answer tells it again: a letter like it, of `now` or soon after, is no lost
-- claim then.
local is_again = ARGV[1] == '1'
local reply = {}

local function is_so(ref, now, count)
    local head = struct.pack('>I8I4', now, count)
    for _, letter in ipairs(call('ZRANGEBYSCORE', dead, int(now * 64), '+inf', 'LIMIT', 0, 32)) do
        if string.sub(letter, 1, 12) == head and string.sub(letter, 37, 46) == ref then
            return true
        end
    end
end

for i = 2, #ARGV, 7 do
    local lane, ref, now, count = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    local is_ours = tonumber(call('ZSCORE', held_key(lane), ref)) == tonumber(ARGV[i + 2])
    if is_ours then
        local due, _, past, err, budget = attempt_of(ref)
        local clock = math.max((tonumber(call('HGET', counters, 'd')) or 0) + 1, now * 64)
        local letter = struct.pack('>I8I4I4I4I8I8', now, count, past, err, budget, due) .. ref
        for k = 0, 2 do
            local text = ({lane, ARGV[i + 5], ARGV[i + 6]})[k + 1]
            letter = letter .. struct.pack('>I2', #text) .. text
        end
        call('HSET', counters, 'd', int(clock))
        call('ZADD', dead, clock, letter)
        count_up(lane, 'd', 1)
        call('ZREM', held_key(lane), ref)
        if call('EXISTS', held_key(lane), waiting_key(lane)) == 0 then
            call('ZREM', lanes, lane)
        end
    end
    reply[#reply + 1] = (is_ours or is_again and is_so(ref, now, count)) and 1 or 0
end
return reply
