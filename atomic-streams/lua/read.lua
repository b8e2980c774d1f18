#!lua flags=no-writes
-- read: the state of a subscription, or of a kept copy, at one instant.
-- KEYS  1 record or copy   2.. the collections beside it
-- ARGV  1 state fields and entries at most
-- Reply {'STATE', head, position, entries processed, schema, {field, value, ...}, {collection, size, ...}, {entry key, value, ...} for
--         each of the KEYS from 2 on}; a collection without a size is not written whole yet
--       {'NONE'}    {'LARGE', fields and entries}    {'CHANGED'} a collection is not among the keys: look again
local record = KEYS[1]
local r = redis.call('HMGET', record, '@head', '@position', '@processed', '@schema')
if not r[1] then return {'NONE'} end
local total = redis.call('HLEN', record)
for i = 2, #KEYS do total = total + redis.call('HLEN', KEYS[i]) end
if total > tonumber(ARGV[1]) then return {'LARGE', total} end
local flat, fields = redis.call('HGETALL', record), {}
local sizes = {}
for n = 1, #flat, 2 do
  local name = flat[n]
  if name:sub(1, 6) == '@size:' and name:sub(7, 7) ~= '@' then
    local named = false
    for i = 2, #KEYS do named = named or KEYS[i]:sub(-#name + 5) == name:sub(6) end
    if not named then return {'CHANGED'} end
    sizes[#sizes + 1] = name:sub(7)
    sizes[#sizes + 1] = flat[n + 1]
  elseif name:sub(1, 1) ~= '@' then
    fields[#fields + 1] = name
    fields[#fields + 1] = flat[n + 1]
  end
end
local reply = {'STATE', r[1], r[2], r[3], r[4], fields, sizes}
for i = 2, #KEYS do reply[#reply + 1] = redis.call('HGETALL', KEYS[i]) end
return reply
