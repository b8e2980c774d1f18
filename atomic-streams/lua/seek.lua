#!lua
-- seek: give a subscription another position, and a fresh state if asked. Its owner is fenced and attaches again.
-- KEYS  1 record   2 stream   3.. the collections beside the record, if state is to go
-- ARGV  1 instance: random    2 who asks, for people    3 stream    4 group
--       5 position: an ID, '$' for the stream's end, or '' to leave it    6 state is to go 0/1    7 only say what would be done 0/1
-- Reply {'MOVED', position before, position after, state fields that go, collections that go}
--       {'NONE'} there is no record    {'FOREIGN', stream, group}    {'WRONGTYPE', key, type}
--       {'BEYOND', last ID} the position is behind the end of the stream    {'CHANGED'} a collection is not among the keys: look again
local record, stream = KEYS[1], KEYS[2]
local mark = '@atomic-streams'

local function before(a, b) -- IDs have up to 20 digits a half: too many for Lua's numbers
  local am, as = a:match('^(%d+)-(%d+)$')
  local bm, bs = b:match('^(%d+)-(%d+)$')
  if am == bm then am, bm = as, bs end
  return #am < #bm or (#am == #bm and am < bm)
end

local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end

for _, held in ipairs({{record, 'hash'}, {stream, 'stream'}}) do
  local is = redis.call('TYPE', held[1]).ok
  if is ~= held[2] and is ~= 'none' then return {'WRONGTYPE', held[1], is} end
end
local r = redis.call('HMGET', record, '@stream', '@group', '@head', '@epoch', '@position', '@processed', '@base')
local head, position, processed, base = r[3], r[5], r[6], r[7]
if not head then return {'NONE'} end
if r[1] ~= ARGV[3] or r[2] ~= ARGV[4] then return {'FOREIGN', r[1] or '', r[2] or ''} end

local last, length, added, first, cursor, ours = '0-0', 0, 0, nil, nil, nil
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  if info['first-entry'] then first = info['first-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == ARGV[4] then cursor = found['last-delivered-id'] end
  end
  if cursor then
    for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', stream, ARGV[4])) do
      if fields(each).name == mark then ours = true end
    end
  end
end

local target = ARGV[5]
if target == '' then target = position
elseif target == '$' then target = last end
if target ~= position and before(last, target) then return {'BEYOND', last} end

local gone, collections = {}, 0
if ARGV[6] == '1' then
  processed = '0'
  for _, name in ipairs(redis.call('HKEYS', record)) do
    if name:sub(1, 6) == '@size:' then
      local named = false
      for i = 3, #KEYS do named = named or KEYS[i]:sub(-#name + 5) == name:sub(6) end
      if not named then return {'CHANGED'} end
      collections = collections + 1
    end
    if name:sub(1, 1) ~= '@' or name:sub(1, 6) == '@size:' then gone[#gone + 1] = name end
  end
end
if target ~= position or ARGV[6] == '1' then
  base = ''
  if target == last then base = string.format('%.0f', added - processed)
  elseif not first or before(target, first) then base = string.format('%.0f', added - length - processed) end
end
local reply = {'MOVED', position, target, #gone - collections, collections}
if ARGV[7] == '1' then return reply end

for _, command in ipairs({{'HSET', record, 'f', 'v'}, {'HDEL', record, 'f'}, {'XGROUP', 'CREATE', stream, ARGV[4], '0-0', 'MKSTREAM'},
  {'XGROUP', 'CREATECONSUMER', stream, ARGV[4], mark}, {'XGROUP', 'SETID', stream, ARGV[4], '0-0'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return redis.error_reply('NOPERM no permission to run ' .. command[1]) end
end
for i = 3, #KEYS do
  if not redis.acl_check_cmd('UNLINK', KEYS[i]) then return redis.error_reply('NOPERM no permission to run UNLINK') end
end

-- From here on: writes.
local time = redis.call('TIME')
local epoch = (tonumber(r[4]) or 0) + 1
local sequence = head:match(':(%d+)$') or '0'
redis.call('HSET', record, '@head', string.format('%s.1.%d.%s%06d:%s', ARGV[1], epoch, time[1], time[2], sequence), '@epoch', epoch, '@owner', ARGV[2],
  '@lease', '0', '@position', target, '@processed', processed, '@base', base or '')
redis.call('HDEL', record, '@trying')
if target ~= position then redis.call('HSET', record, '@settled', target) end
if ARGV[5] ~= '' then redis.call('HDEL', record, '@adopted', '@pending') end -- what is read again is handled again
if ARGV[6] == '1' then
  for n = 1, #gone, 7000 do redis.call('HDEL', record, unpack(gone, n, math.min(n + 6999, #gone))) end
  for i = 3, #KEYS do redis.call('UNLINK', KEYS[i]) end
  redis.call('HSET', record, '@schema', 'dropped') -- the next attach sets it, and its first step writes every field
end
if not cursor then redis.call('XGROUP', 'CREATE', stream, ARGV[4], target, 'MKSTREAM') end
if not ours then redis.call('XGROUP', 'CREATECONSUMER', stream, ARGV[4], mark) end
if base and base ~= '' then redis.call('XGROUP', 'SETID', stream, ARGV[4], target, 'ENTRIESREAD', base + processed)
else redis.call('XGROUP', 'SETID', stream, ARGV[4], target) end
redis.pcall('PUBLISH', record, 'released')
return reply
