#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- dead_find.lua - dead letters that may be meant, in the order of their clocks.
--
-- ARGV: after this clock, up to this clock ('+inf'), how many to look at, and what they must have
--       (account, reason, both '': any; buried since, buried before: 0: any).
-- Reply: was that all (1), the last clock looked at, and of each letter its clock, its bytes, and how
--        many bytes its record has.
local account, reason = ARGV[4], ARGV[5]
local since, before = tonumber(ARGV[6]), tonumber(ARGV[7])
local found = call('ZRANGEBYSCORE', dead, '(' .. ARGV[1], ARGV[2], 'WITHSCORES', 'LIMIT', 0, ARGV[3])
local reply = {#found < 2 * tonumber(ARGV[3]) and 1 or 0, 0}

local function text(letter, at)
    local len = struct.unpack('>I2', letter, at)
    return string.sub(letter, at + 2, at + 1 + len), at + 2 + len
end

for i = 1, #found, 2 do
    local letter, clock = found[i], tonumber(found[i + 1])
    local buried = struct.unpack('>I8', letter)
    local lane, at = text(letter, 47)
    reply[2] = clock
    if (account == '' or string.sub(lane, 1, 12) == account)
        and (reason == '' or text(letter, at) == reason)
        and buried >= since and (before == 0 or buried < before) then
        reply[#reply + 1] = clock
        reply[#reply + 1] = letter
        reply[#reply + 1] = call('HSTRLEN', bodies, string.sub(letter, 37, 44))
    end
end
return reply
