#!lua flags=allow-oom
-- withdraw: remove a dead letter whose entry the command before this one has added, in one transaction that watches both keys.
-- Lack of memory must not come between the two: the transaction as a whole was refused, or none of it is.
-- KEYS  1 dead-letter stream   2 stream that the entry came from
-- ARGV  1 ID of the letter     2 newest entry of KEYS[2] before, as requeue.lua has said
-- Reply {'REQUEUED', ID in KEYS[2]}   {'REFUSED', key, why}   as requeue.lua
local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if not newest or newest[1] == ARGV[2] then return {'REFUSED', KEYS[2], 'ERR the entry was not added'} end
redis.call('XDEL', KEYS[1], ARGV[1])
return {'REQUEUED', newest[1]}
