#!lua
-- delete: remove a subscription: its record, the collections beside it, and its group. Never from under a living owner.
-- KEYS  1 record   2 stream   3.. the collections beside the record
-- ARGV  1 stream   2 group   3 only say what would be done 0/1
-- Reply {'DELETED', position, entries processed, collections}
--       {'NONE'} neither record nor group of ours is there    {'RUNNING', owner, ms left of its lease}
--       {'FOREIGN', stream, group}    {'WRONGTYPE', key, type}    {'CHANGED'} a collection is not among the keys: look again
local record, stream, group = KEYS[1], KEYS[2], ARGV[2]

local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end

for _, held in ipairs({{record, 'hash'}, {stream, 'stream'}}) do
  local is = redis.call('TYPE', held[1]).ok
  if is ~= held[2] and is ~= 'none' then return {'WRONGTYPE', held[1], is} end
end
local r = redis.call('HMGET', record, '@stream', '@group', '@lease', '@owner', '@position', '@processed')
local have = redis.call('EXISTS', record) == 1
if have and (r[1] ~= ARGV[1] or r[2] ~= group) then return {'FOREIGN', r[1] or '', r[2] or ''} end
local time = redis.call('TIME')
local left = (tonumber(r[3]) or 0) - (time[1] * 1000 + math.floor(time[2] / 1000))
if left > 0 then return {'RUNNING', r[4] or '', left} end

local ours, collections = false, 0
if redis.call('EXISTS', stream) == 1 then
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if fields(each).name == group then
      for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
        if fields(consumer).name == '@atomic-streams' then ours = true end
      end
    end
  end
end
if not have and not ours then return {'NONE'} end
for _, name in ipairs(redis.call('HKEYS', record)) do
  if name:sub(1, 6) == '@size:' then
    local named = false
    for i = 3, #KEYS do named = named or KEYS[i]:sub(-#name + 5) == name:sub(6) end
    if not named then return {'CHANGED'} end
    collections = collections + 1
  end
end
local reply = {'DELETED', r[5] or '', r[6] or '0', collections}
if ARGV[3] == '1' then return reply end

for _, command in ipairs({{'XGROUP', 'DESTROY', stream, group}, {'UNLINK', record}}) do
  if not redis.acl_check_cmd(unpack(command)) then return redis.error_reply('NOPERM no permission to run ' .. command[1]) end
end

-- From here on: writes. The group first: without its record it would count as lost.
if ours then redis.call('XGROUP', 'DESTROY', stream, group) end
redis.call('UNLINK', record)
for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
return reply
