#!lua
-- keep: copy a record and the collections beside it, all of one head. Blocks the server for as long as COPY takes.
-- KEYS  1 record   2 copy   3.. a collection and its copy, in turn
-- ARGV  1 stream   2 group
-- Reply {'KEPT', position, entries processed}
--       {'NONE'} there is no record    {'EXISTS'} there is a copy of this name    {'FOREIGN', stream, group}
--       {'CHANGED'} a collection is not among the keys: look again
local record, copy = KEYS[1], KEYS[2]
local r = redis.call('HMGET', record, '@stream', '@group', '@head', '@position', '@processed')
if not r[3] then return {'NONE'} end
if r[1] ~= ARGV[1] or r[2] ~= ARGV[2] then return {'FOREIGN', r[1] or '', r[2] or ''} end
if redis.call('EXISTS', copy) == 1 then return {'EXISTS'} end
for _, name in ipairs(redis.call('HKEYS', record)) do
  if name:sub(1, 6) == '@size:' then
    local named = false
    for i = 3, #KEYS, 2 do named = named or KEYS[i]:sub(-#name + 5) == name:sub(6) end
    if not named then return {'CHANGED'} end
  end
end

for _, command in ipairs({{'COPY', record, copy}, {'HSET', copy, 'f', 'v'}, {'TIME'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return redis.error_reply('NOPERM no permission to run ' .. command[1]) end
end

-- From here on: writes.
for i = 3, #KEYS, 2 do redis.call('COPY', KEYS[i], KEYS[i + 1], 'REPLACE') end
redis.call('COPY', record, copy)
local time = redis.call('TIME')
redis.call('HSET', copy, '@kept', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
return {'KEPT', r[4], r[5]}
