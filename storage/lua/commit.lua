#!lua
-- SPDX-License-Identifier: Apache-2.0
--
-- commit.lua - events enter: known already, or remembered from now on.
--
-- ARGV: claimer, count of entries; of each entry its now, end of claims, account, event id, record,
--       dedup key ('': no mark), content, ttl, guard key ('': none), ttl, grace, count of
--       deliveries, and of each delivery its lane and whether to claim it (1); count of archives, and
--       where there are any the record of the event alone, its time, and of each archive its number
--       and how many bytes of it may lie in this partition.
-- Reply, of each entry: verdict (0 new, 1 new although its key was known, 2 duplicate), sequence,
--       EventId of the first, how many entries it stands for, claims (0: not claimed), and of each
--       archive whether it was full (1).
--
-- A mark is m:{P}:KEY with the content that came first (c), its EventId (i), end (e) and count (n).
-- The same key with other content has a mark of its own, m:{P}:KEY:CONTENT, and the first one says
-- how long there are such (x).  A guard is a mark without content.  The mark is written last: a
-- script that breaks off may repeat an event, but never hides one.
local SLACK = 10000 -- clocks of replicas may differ by so much before Redis forgets a mark

local NOW_MAX = 2199023255552 -- a sequence beyond would lose its last bits: 2039

local claimer, entry_count = whole(ARGV[1]), whole(ARGV[2])
local at = 2

local function take()
    at = at + 1
    return assert(ARGV[at])
end

local function take_number()
    return whole(take())
end

local function take_entry()
    local entry = {
        now = take_number(), till = take_number(), account = take(), id = take(), record = take(),
        key = take(), content = take(), ttl = take_number(),
        guard = take(), guard_ttl = take_number(), grace = take_number(),
    }
    for i = 1, take_number() do
        entry[i] = {lane = take(), wants_claim = take() == '1'}
        look_at_lane(entry[i].lane)
    end
    entry.archives = {}
    local archive_count = take_number()
    if archive_count > 0 then
        entry.bare, entry.time = take(), take_number()
    end
    for i = 1, archive_count do
        entry.archives[i] = {name = int(take_number()), max = take_number()}
        look_at_archive(entry.archives[i].name)
    end
    assert(entry.now < NOW_MAX)
    if entry.key ~= '' then
        are_hashes('m:' .. tag .. ':' .. entry.key, 'm:' .. tag .. ':' .. entry.key .. ':' .. entry.content)
    end
    if entry.guard ~= '' then
        are_hashes('m:' .. tag .. ':' .. entry.guard)
    end
    return entry
end

-- ---- marks

local function live(key, now)
    local found = call('HMGET', key, 'i', 'e')
    if found[1] and tonumber(found[2]) > now then
        return {key = key, id = found[1], ends = tonumber(found[2])}
    end
end

-- Returns the mark of this key and content, and what is to be known about the key.
local function look_up(entry)
    local key = 'm:' .. tag .. ':' .. entry.key
    local found = call('HMGET', key, 'c', 'i', 'e', 'x')
    local first_ends, others_end = tonumber(found[3]) or 0, tonumber(found[4]) or 0
    local is_first = found[1] == entry.content
    local seen = {key = key, exists = found[3] ~= false, others_end = others_end}

    seen.has_first = first_ends > entry.now
    if is_first and seen.has_first then
        return {key = key, id = found[2]}, seen
    end
    local other = others_end > entry.now and live(key .. ':' .. entry.content, entry.now)
    seen.is_conflict = not other and (seen.has_first or others_end > entry.now)
    return other, seen
end

local function mark_write(key, ends, ttl, id, ...)
    call('HSET', key, 'i', id, 'e', int(ends), 'n', 1, ...)
    call('PEXPIRE', key, ttl + SLACK)
end

local function remember(entry, seen)
    local ends = entry.now + entry.ttl
    if seen.has_first then
        mark_write(seen.key .. ':' .. entry.content, ends, entry.ttl, entry.id)
        call('HSET', seen.key, 'x', int(math.max(ends, seen.others_end)))
        call('PEXPIRE', seen.key, entry.ttl + SLACK, 'GT')
    elseif seen.exists then
        call('HSET', seen.key, 'c', entry.content, 'i', entry.id, 'e', int(ends), 'n', 1)
        call('PEXPIRE', seen.key, entry.ttl + SLACK, 'GT')
    else
        mark_write(seen.key, ends, entry.ttl, entry.id, 'c', entry.content)
    end
end

-- ---- deliveries

local known_lanes = {}

local function lane_of(name)
    local lane = known_lanes[name]
    if not lane then
        lane = {
            name = name, waiting = waiting_key(name), held = held_key(name),
            parked = parked_until(name), first = first_score(waiting_key(name)),
            till = first_end(name), expected = math.huge,
        }
        known_lanes[name] = lane
    end
    return lane
end

local function may_claim(lane, now)
    if lane.till and lane.till <= now then
        expire(lane.name, now)
        lane.first, lane.till, lane.held_count =
            first_score(lane.waiting), first_end(lane.name), nil
    end
    if lane.parked > now or (lane.first and lane.first <= now) then
        return false
    end
    if not lane.held_count or lane.held_count >= HELD_MAX then
        lane.held_count = held_by(lane.name, claimer)
    end
    return lane.held_count < HELD_MAX
end

local function expect(lane, moment)
    if moment < lane.expected then
        lane_expect(lane.name, moment)
        lane.expected = moment
    end
end

-- Returns the number of the claim, or 0.
local function deliver(entry, delivery, ref)
    local lane = lane_of(delivery.lane)
    if delivery.wants_claim and may_claim(lane, entry.now) then
        local claim = entry.till * 1024 + claimer
        call('ZADD', lane.held, claim, ref)
        lane.held_count = lane.held_count + 1
        lane.till = math.min(lane.till or entry.till, entry.till)
        expect(lane, entry.till)
        return claim
    end
    call('ZADD', lane.waiting, entry.now, ref)
    lane.first = math.min(lane.first or entry.now, entry.now)
    expect(lane, math.max(entry.now, lane.parked))
    return 0
end

local function enter(entry, reply)
    local seq = struct.pack('>I8', entry.seq)
    call('HSET', bodies, seq, entry.record)
    if #entry > 1 then
        call('HSET', owed, seq, #entry)
    end
    for i, delivery in ipairs(entry) do
        reply[4 + i] = deliver(entry, delivery, seq .. struct.pack('>I2', i - 1))
    end
    call('HINCRBY', counters, entry.account .. 'c', #entry)
end

-- ---- archives

-- Returns 1 when there was no room.
local function archive(entry, to)
    local cost = #entry.bare + ARCHIVED_COST
    if (tonumber(call('HGET', archives, to.name .. 'b')) or 0) + cost > to.max then
        call('HINCRBY', archives, to.name .. 'f', 1)
        return 1
    end
    local place = struct.pack('>I8I8', entry.time, entry.seq)
    call('HSET', archived_key(to.name), place, entry.bare)
    call('ZADD', places_key(to.name), 0, place)
    call('HINCRBY', archives, to.name .. 'n', 1)
    call('HINCRBY', archives, to.name .. 'b', cost)
    return 0
end

-- ---- entries

local function run(entry)
    local mark, guard, seen
    if entry.key ~= '' then
        mark, seen = look_up(entry)
    end
    local guard_key = entry.guard ~= '' and 'm:' .. tag .. ':' .. entry.guard
    guard = guard_key and live(guard_key, entry.now)
    if not mark and guard and entry.now + entry.guard_ttl > guard.ends + entry.grace then
        mark = guard
    end
    local reply = {0, 0, '', 1}
    if mark then
        reply = {2, 0, mark.id, call('HINCRBY', mark.key, 'n', 1)}
    else
        reply[1], reply[2] = seen and seen.is_conflict and 1 or 0, entry.seq
        if #entry > 0 then
            enter(entry, reply)
        end
        for i, to in ipairs(entry.archives) do
            reply[4 + #entry + i] = archive(entry, to)
        end
    end
    if guard_key and not guard then
        mark_write(guard_key, entry.now + entry.guard_ttl, entry.guard_ttl, mark and mark.id or entry.id)
    end
    if seen and not mark then
        remember(entry, seen)
    end
    return reply
end

local entries, replies = {}, {}
look_at_partition()
local last = tonumber(call('HGET', counters, 's')) or 0
for i = 1, entry_count do
    entries[i] = take_entry()
    last = math.max(last + 1, entries[i].now * 4096)
    entries[i].seq = last
end
assert(at == #ARGV)
call('HSET', counters, 's', int(last))
for i = 1, entry_count do
    replies[i] = run(entries[i])
end
return replies
