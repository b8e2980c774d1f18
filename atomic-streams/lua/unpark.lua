#!lua
-- unpark: ask the owner of a subscription to handle the dead letters of a parked key. The owner learns of it by its next renewal
-- or at its next attach; what it does then is steps of its chain. Asking again asks for nothing more.
-- KEYS  1 record   2 keys that are parked (RECORD@map:@parked)   3 keys that are to be unparked (RECORD@map:@unparking)
-- ARGV  1 key
-- Reply 1 asked   0 the key is not parked
--       {'REFUSED', key name, why}   this key cannot be written; nothing was done
local record, parked, unparking, key = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
for _, name in ipairs(KEYS) do
  local is = redis.call('TYPE', name).ok
  if is ~= 'hash' and is ~= 'none' then return {'REFUSED', name, 'WRONGTYPE the key holds a ' .. is .. ', not a hash'} end
end
if redis.call('HEXISTS', record, '@head') == 0 or redis.call('HEXISTS', parked, key) == 0 then return 0 end
for _, command in ipairs({{'HINCRBY', record, 'f', '1'}, {'HSETNX', unparking, 'f', 'v'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return {'REFUSED', command[2], 'NOPERM no permission to run ' .. command[1]} end
end
redis.call('HSETNX', unparking, key, redis.call('HINCRBY', record, '@unparking', 1)) -- a number that tells it from earlier ones
return 1
