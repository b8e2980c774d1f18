#!lua
-- requeue: add the entry of a dead letter to the end of the stream that it came from, and remove the letter. Both or nothing.
-- KEYS  1 dead-letter stream   2 stream that the entry came from   3 keys that are parked (RECORD@map:@parked); not for a letter
--       without a key
-- ARGV  1 ID of the letter      2 group that has made it, '' for a letter without a key
-- Reply {'REQUEUED', ID in KEYS[2]}
--       {'GONE'}                 there is no such letter: it was requeued or removed before
--       {'PACKED', newest entry of KEYS[2] or '0-0'}   its fields are too many for an XADD in a script, packed or not; nothing was done: the
--                                caller adds them itself and calls withdraw.lua, in one transaction that watches both keys
--       {'PARKED'}               its key is parked: at the end of KEYS[2], it would come out of its order; nothing was done
--       {'FOREIGN'}              it is no dead letter of an entry of KEYS[2], or has a key and was said to have none
--       {'REFUSED', key, why}    this key cannot be written; nothing was done
local letters, source, id = KEYS[1], KEYS[2], ARGV[1]
for _, command in ipairs({{'TYPE', letters}, {'TYPE', source}, {'XRANGE', letters, id, id}, {'XREVRANGE', source, '+', '-'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return {'REFUSED', command[2], 'NOPERM no permission to run ' .. command[1]} end
end
for n = 1, 2 do
  local key = KEYS[n]
  local is = redis.call('TYPE', key).ok
  if is ~= 'stream' and is ~= 'none' then return {'REFUSED', key, 'WRONGTYPE the key holds a ' .. is .. ', not a stream'} end
end
local letter = redis.call('XRANGE', letters, id, id)[1]
if not letter then return {'GONE'} end
local values = letter[2]
local own = values[#values - 1] == '@fields' and tonumber(values[#values])
local about = own == 0 and values[1] == '@packed' and 2 or own and 2 * own
if not about or values[about + 1] ~= '@stream' or values[about + 2] ~= source then return {'FOREIGN'} end
if values[about + 13] == '@key' then
  if not KEYS[3] or values[about + 4] ~= ARGV[2] then return {'FOREIGN'} end
  if #values ~= about + (values[about + 15] == '@parked_behind' and 18 or 16) then return {'FOREIGN'} end
  if redis.call('HEXISTS', KEYS[3], values[about + 14]) == 1 then return {'PARKED'} end
elseif #values ~= about + 14 then return {'FOREIGN'} end
if not redis.acl_check_cmd('XADD', source, '*', 'f', 'v') then return {'REFUSED', source, 'NOPERM no permission to run XADD'} end
if not redis.acl_check_cmd('XDEL', letters, id) then return {'REFUSED', letters, 'NOPERM no permission to run XDEL'} end
if own == 0 or own > 3900 then
  local newest = redis.call('XREVRANGE', source, '+', '-', 'COUNT', 1)[1]
  return {'PACKED', newest and newest[1] or '0-0'}
end
local added = redis.pcall('XADD', source, '*', unpack(values, 1, about))
if type(added) == 'table' then return {'REFUSED', source, added.err} end
redis.call('XDEL', letters, id)
return {'REQUEUED', added}
