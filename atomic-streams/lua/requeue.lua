#!lua
-- requeue: add the entry of a dead letter to the end of the stream that it came from, and remove the letter. Both or nothing.
-- KEYS  1 dead-letter stream   2 stream that the entry came from
-- ARGV  1 ID of the letter
-- Reply {'REQUEUED', ID in KEYS[2]}
--       {'GONE'}                 there is no such letter: it was requeued or removed before
--       {'PACKED', newest entry of KEYS[2] or '0-0'}   its fields are too many for an XADD in a script, packed or not; nothing was done: the
--                                caller adds them itself and calls withdraw.lua, in one transaction that watches both keys
--       {'FOREIGN'}              it is no dead letter of an entry of KEYS[2]
--       {'REFUSED', key, why}    this key cannot be written; nothing was done
local letters, source, id = KEYS[1], KEYS[2], ARGV[1]
for _, command in ipairs({{'TYPE', letters}, {'TYPE', source}, {'XRANGE', letters, id, id}, {'XREVRANGE', source, '+', '-'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return {'REFUSED', command[2], 'NOPERM no permission to run ' .. command[1]} end
end
for _, key in ipairs(KEYS) do
  local is = redis.call('TYPE', key).ok
  if is ~= 'stream' and is ~= 'none' then return {'REFUSED', key, 'WRONGTYPE the key holds a ' .. is .. ', not a stream'} end
end
local letter = redis.call('XRANGE', letters, id, id)[1]
if not letter then return {'GONE'} end
local values = letter[2]
local own = values[#values - 1] == '@fields' and tonumber(values[#values])
local about = own == 0 and values[1] == '@packed' and 2 or own and 2 * own
if not about or #values ~= about + 14 or values[about + 1] ~= '@stream' or values[about + 2] ~= source then return {'FOREIGN'} end
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
