-- SPDX-License-Identifier: Apache-2.0
--
-- common.lua - what all scripts of a partition share; built in front of each of them.
--
-- KEYS[1] is c:{P}; every other key has the same tag, so one slot serves the whole script.
--
--   b:{P}       HASH  sequence (8 bytes)  -> record of the event
--   n:{P}       HASH  sequence            -> deliveries live or dead, only when there was more than one
--   w:{P}:LANE  ZSET  ref                 -> due, of what nobody has claimed
--   h:{P}:LANE  ZSET  ref                 -> end of claim * 1024 + claimer, of what is held
--   a:{P}       HASH  ref                 -> due, attempts, past attempts, last error, budget from
--   s:{P}       HASH  ref                 -> state of what is between steps: checksum (4) and bytes
--   L:{P}       ZSET  lane                -> when it next has work: never later than in truth
--   k:{P}       HASH  lane                -> parked until
--   x:{P}       ZSET  dead letter         -> its clock
--   y:{P}:ARCHIVE  ZSET  places, of one score: time (8 bytes) and sequence of each archived event
--   z:{P}:ARCHIVE  HASH  place -> record of the event alone
--   v:{P}       HASH  ARCHIVE and n, b, f -> its events, their bytes, and how many found it full
--   c:{P}       HASH  counters, the last sequence (s), the clock of the last dead letter (d)
--
-- A ref is the sequence (8 bytes, big-endian) and the ordinal (2), so that equal scores sort as the
-- contract asks.  A sequence is the millisecond of its commit * 4096 and a count: it tells the due of
-- what has never failed.  A script that raises keeps what it has written: whatever may raise is done
-- first, and a delivery joins its new place before it leaves the old one.
local call = redis.call
local tag = string.match(KEYS[1], '{%d+}')
local counters, bodies, owed = KEYS[1], 'b:' .. tag, 'n:' .. tag
local attempts, lanes, parks, dead = 'a:' .. tag, 'L:' .. tag, 'k:' .. tag, 'x:' .. tag
local states, archives = 's:' .. tag, 'v:' .. tag
local ATTEMPT = '>I8I4I4I4I8'
local HELD_MAX = 64
local STEP_MAX = 128
local ARCHIVED_COST = 160 -- of store_archive.h

local function int(number)
    return string.format('%d', number)
end

-- ---- what may raise, before the first write

-- A number that a double holds exactly; no message, for it could carry the text.
local function whole(text)
    local number = tonumber(text)
    assert(number and number >= 0 and number < 9007199254740992 and number % 1 == 0)
    return number
end

local function whole_rows(width, start)
    assert((#ARGV - start + 1) % width == 0)
end

local function is_ref(text)
    assert(#text == 10)
    return text
end

-- Keys of another type are somebody else's.
local function are_hashes(...)
    for _, key in ipairs({...}) do
        call('HLEN', key)
    end
end

local function are_zsets(...)
    for _, key in ipairs({...}) do
        call('ZCARD', key)
    end
end

local function look_at_partition()
    are_hashes(counters, bodies, owed, attempts, parks, states, archives)
    are_zsets(lanes, dead)
end

local function waiting_key(lane)
    return 'w:' .. tag .. ':' .. lane
end

local function held_key(lane)
    return 'h:' .. tag .. ':' .. lane
end

local function places_key(archive)
    return 'y:' .. tag .. ':' .. archive
end

local function archived_key(archive)
    return 'z:' .. tag .. ':' .. archive
end

local function look_at_archive(archive)
    are_zsets(places_key(archive))
    are_hashes(archived_key(archive))
end

local looked_at = {}

local function look_at_lane(lane)
    if not looked_at[lane] then
        looked_at[lane] = true
        are_zsets(waiting_key(lane), held_key(lane))
    end
end

-- ---- what is read

-- The score of the first member, or nil.
local function first_score(key)
    return tonumber(call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end

local function first_end(lane)
    local score = first_score(held_key(lane))
    return score and math.floor(score / 1024)
end

local function parked_until(lane)
    return tonumber(call('HGET', parks, lane)) or 0
end

-- due, attempts, past attempts, last error, budget from (0: when it was accepted)
local function attempt_of(ref)
    local packed = call('HGET', attempts, ref)
    if packed then
        return struct.unpack(ATTEMPT, packed)
    end
    return math.floor(struct.unpack('>I8', ref) / 4096), 0, 0, 0, 0
end

local function attempt_set(ref, due, count, past, err, budget)
    call('HSET', attempts, ref, struct.pack(ATTEMPT, due, count, past, err, budget))
end

-- The claim ends: back to where it waits.
local function unclaim(lane, ref)
    call('ZADD', waiting_key(lane), (attempt_of(ref)), ref)
    call('ZREM', held_key(lane), ref)
end

-- End the claims that are past their time, a bounded number of them.
local function expire(lane, now)
    local ended = call('ZRANGEBYSCORE', held_key(lane), '-inf', now * 1024 + 1023, 'LIMIT', 0, STEP_MAX)
    for _, ref in ipairs(ended) do
        unclaim(lane, ref)
    end
end

-- How many claims does this claimer hold?  With few in all nobody needs to know whose they are.
local function held_by(lane, claimer)
    local key = held_key(lane)
    local count = call('ZCARD', key)
    if count < HELD_MAX then
        return count
    end
    local all = call('ZRANGE', key, 0, -1, 'WITHSCORES')
    count = 0
    for i = 2, #all, 2 do
        if tonumber(all[i]) % 1024 == claimer then
            count = count + 1
        end
    end
    return count
end

-- The lane has something to do at that moment, or earlier.
local function lane_expect(lane, moment)
    call('ZADD', lanes, 'LT', moment, lane)
end

-- Look when the lane next has work, and say so; nil when it owes nothing.
local function lane_look(lane)
    local due, till = first_score(waiting_key(lane)), first_end(lane)
    local moment = due and till and math.min(due, till) or due or till
    if moment then
        call('ZADD', lanes, math.max(moment, parked_until(lane)), lane)
    else
        call('ZREM', lanes, lane)
    end
    return moment
end

-- A delivery has ended: the event goes with its last one.
local function release(ref)
    local seq = string.sub(ref, 1, 8)
    call('HDEL', attempts, ref)
    call('HDEL', states, ref)
    if call('HEXISTS', owed, seq) == 1 then
        if call('HINCRBY', owed, seq, -1) > 0 then
            return
        end
        call('HDEL', owed, seq)
    end
    call('HDEL', bodies, seq)
end

local function count_up(lane, kind, number)
    call('HINCRBY', counters, string.sub(lane, 1, 12) .. kind, number)
end

