#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- dues.lua - since when lanes are owed something, what is held included.
--
-- ARGV: lanes.  Reply, of each: the earliest due (0: it owes nothing).
local STEP = 512
local reply = {}

-- The earliest due of refs first to last: a moment of their own, or that of their commit.
local function earliest(refs, first, last)
    local due = math.huge
    local packed = call('HMGET', attempts, unpack(refs, first, last))
    for i = first, last do
        local own = packed[i - first + 1]
        due = math.min(due, own and struct.unpack('>I8', own)
            or math.floor(struct.unpack('>I8', refs[i]) / 4096))
    end
    return due
end

for i, lane in ipairs(ARGV) do
    local due = first_score(waiting_key(lane)) or math.huge
    local refs = call('ZRANGE', held_key(lane), 0, -1)
    for first = 1, #refs, STEP do
        due = math.min(due, earliest(refs, first, math.min(first + STEP - 1, #refs)))
    end
    reply[i] = due < math.huge and due or 0
end
return reply
