#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- tally.lua - the counters of the partition's accounts.
--
-- Reply, of each account: its digits, created, delivered, dropped, expired, redriven, dead, and the
-- earliest due among the live (0: none).
local KINDS = {'c', 'v', 'p', 'e', 'r', 'd'}
local rows, reply = {}, {}
local all = call('HGETALL', counters)

for i = 1, #all, 2 do
    if #all[i] == 13 then
        local account = string.sub(all[i], 1, 12)
        rows[account] = rows[account] or {}
        rows[account][string.sub(all[i], 13)] = tonumber(all[i + 1])
    end
end

for _, lane in ipairs(call('ZRANGE', lanes, 0, -1)) do
    local row = rows[string.sub(lane, 1, 12)]
    local due = first_score(waiting_key(lane))
    for _, ref in ipairs(call('ZRANGE', held_key(lane), 0, -1)) do
        due = math.min(due or math.huge, (attempt_of(ref)))
    end
    if row and due then
        row.due = math.min(row.due or due, due)
    end
end

for account, row in pairs(rows) do
    local line = {account}
    for i, kind in ipairs(KINDS) do
        line[1 + i] = row[kind] or 0
    end
    line[8] = row.due or 0
    reply[#reply + 1] = line
end
return reply
