#!lua flags=no-writes
-- scan: read a part of a collection beside the record, with the head that it belongs to.
-- KEYS  1 record   2 collection
-- ARGV  1 cursor, '0' at first    2 entries to look at
-- Reply {head or '', entries in all, next cursor or '0' at the end, {key, value, ...}}
--       An entry may come more than once, and is missing if another server answers in between: whoever reads counts them.
local part = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
return {redis.call('HGET', KEYS[1], '@head') or '', redis.call('HLEN', KEYS[2]), part[1], part[2]}
