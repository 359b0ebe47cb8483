#!lua flags=no-writes
-- SPDX-License-Identifier: Apache-2.0
--
-- archive_read.lua - the records at places; who asks knows their sizes from archive_find.lua.
--
-- ARGV: of each its archive and its place.  Reply, of each: its record, or 0 when it is gone by now.
local reply = {}

whole_rows(2, 1)
for i = 1, #ARGV, 2 do
    reply[#reply + 1] = call('HGET', archived_key(int(whole(ARGV[i]))), ARGV[i + 1]) or 0
end
return reply
