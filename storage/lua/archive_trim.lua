#!lua flags=allow-oom
-- SPDX-License-Identifier: Apache-2.0
--
-- archive_trim.lua - take out events that are old enough, the oldest first.
--
-- ARGV: archive, the time that they must lie before ('': all), how many at most.
-- Reply: how many were taken out, and are there more (1).
local name, is_all, count = int(whole(ARGV[1])), ARGV[2] == '', whole(ARGV[3])
local to = is_all and '+' or '(' .. struct.pack('>I8', whole(ARGV[2]))
local bytes = 0

look_at_partition()
look_at_archive(name)
local found = call('ZRANGEBYLEX', places_key(name), '-', to, 'LIMIT', 0, count + 1)
local has_more = #found > count

for i = 1, math.min(#found, count) do
    bytes = bytes + call('HSTRLEN', archived_key(name), found[i]) + ARCHIVED_COST
    call('HDEL', archived_key(name), found[i])
    call('ZREM', places_key(name), found[i])
end
if is_all and not has_more then
    call('HDEL', archives, name .. 'n', name .. 'b', name .. 'f')
elseif #found > 0 then
    call('HINCRBY', archives, name .. 'n', -math.min(#found, count))
    call('HINCRBY', archives, name .. 'b', -bytes)
end
return {math.min(#found, count), has_more and 1 or 0}
