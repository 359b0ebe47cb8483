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

local function is_so(row)
    local head = struct.pack('>I8I4', row.now, row.count)
    for _, letter in ipairs(call('ZRANGEBYSCORE', dead, int(row.now * 64), '+inf', 'LIMIT', 0, 32)) do
        if string.sub(letter, 1, 12) == head and string.sub(letter, 37, 46) == row.ref then
            return true
        end
    end
end

local function letter_of(row)
    local due, _, past, err, budget = attempt_of(row.ref)
    local letter = struct.pack('>I8I4I4I4I8I8', row.now, row.count, past, err, budget, due) .. row.ref
    for _, text in ipairs({row.lane, row.reason, row.message}) do
        letter = letter .. struct.pack('>I2', #text) .. text
    end
    return letter
end

whole_rows(7, 2)
look_at_partition()
local rows = {}
for i = 2, #ARGV, 7 do
    look_at_lane(ARGV[i])
    rows[#rows + 1] = {
        lane = ARGV[i], ref = is_ref(ARGV[i + 1]), claim = whole(ARGV[i + 2]), now = whole(ARGV[i + 3]),
        count = whole(ARGV[i + 4]), reason = ARGV[i + 5], message = ARGV[i + 6],
    }
end
for i, row in ipairs(rows) do
    local held = held_key(row.lane)
    local is_ours = tonumber(call('ZSCORE', held, row.ref)) == row.claim
    if is_ours then
        local clock = math.max((tonumber(call('HGET', counters, 'd')) or 0) + 1, row.now * 64)
        call('HSET', counters, 'd', int(clock))
        call('ZADD', dead, clock, letter_of(row))
        count_up(row.lane, 'd', 1)
        call('ZREM', held, row.ref)
        if call('EXISTS', held, waiting_key(row.lane)) == 0 then
            call('ZREM', lanes, row.lane)
        end
    end
    reply[i] = (is_ours or is_again and is_so(row)) and 1 or 0
end
return reply
