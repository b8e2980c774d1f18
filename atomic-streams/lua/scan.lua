#!lua flags=no-writes
-- scan: read a part of a collection beside the record, with the head that it belongs to.
-- KEYS  1 record   2 collection
-- ARGV  1 cursor, '0' at first    2 entries to look at
-- Reply {head or '', entries in all, next cursor or '0' at the end, {key, value, ...}}
--       an error NOPERM that names the command and the key
--       An entry may come more than once, and is missing if another server answers in between: whoever reads counts them.
for _, command in ipairs({{'HSCAN', KEYS[2], '0'}, {'HLEN', KEYS[2]}, {'HGET', KEYS[1], '@head'}}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM no permission to run ' .. command[1] .. ' on ' .. command[2])
  end
end
local part = redis.call('HSCAN', KEYS[2], ARGV[1], 'COUNT', ARGV[2])
return {redis.call('HGET', KEYS[1], '@head') or '', redis.call('HLEN', KEYS[2]), part[1], part[2]}
