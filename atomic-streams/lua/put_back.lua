#!lua
-- put_back: make a kept copy the record again, with its collections. The owner is fenced and attaches again.
-- KEYS  1 record   2 copy   3 stream   4.. n collections that are there now, then a copied collection and its copy, in turn
-- ARGV  1 instance: random    2 who asks, for people    3 stream    4 group    5 n    6 only say what would be done 0/1
-- Reply {'BACK', position before or '', position after, entries processed, first ID of the stream or '', last ID}
--       {'NONE'} there is no such copy    {'FOREIGN', stream, group} the copy is of another subscription
--       {'BEYOND', last ID} the copy's position is behind the end of the stream
--       {'CHANGED'} a collection is not among the keys: look again
local record, copy, stream, group, now_there = KEYS[1], KEYS[2], KEYS[3], ARGV[4], tonumber(ARGV[5])
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

local r = redis.call('HMGET', copy, '@stream', '@group', '@head', '@position', '@processed', '@epoch')
if not r[3] then return {'NONE'} end
if r[1] ~= ARGV[3] or r[2] ~= group then return {'FOREIGN', r[1] or '', r[2] or ''} end
local function named(hash, from, to, step)
  for _, name in ipairs(redis.call('HKEYS', hash)) do
    if name:sub(1, 6) == '@size:' then
      local found = false
      for i = from, to, step do found = found or KEYS[i]:sub(-#name + 5) == name:sub(6) end
      if not found then return false end
    end
  end
  return true
end
if not named(record, 4, 3 + now_there, 1) or not named(copy, 4 + now_there, #KEYS, 2) then return {'CHANGED'} end

local present = redis.call('HMGET', record, '@epoch', '@position', '@head')
local last, length, added, first, cursor, ours = '0-0', 0, 0, '', nil, nil
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  if info['first-entry'] then first = info['first-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    if fields(each).name == group then cursor = true end
  end
  if cursor then
    for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      if fields(each).name == mark then ours = true end
    end
  end
end
if before(last, r[4]) then return {'BEYOND', last} end
local reply = {'BACK', present[2] or '', r[4], r[5], first, last}
if ARGV[6] == '1' then return reply end

for _, command in ipairs({{'HSET', record, 'f', 'v'}, {'HDEL', record, 'f'}, {'UNLINK', record}, {'COPY', copy, record}, {'XGROUP', 'CREATE', stream, group, '0-0', 'MKSTREAM'},
  {'XGROUP', 'CREATECONSUMER', stream, group, mark}, {'XGROUP', 'SETID', stream, group, '0-0'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return redis.error_reply('NOPERM no permission to run ' .. command[1]) end
end

-- From here on: writes.
for i = 4, 3 + now_there do redis.call('UNLINK', KEYS[i]) end
redis.call('COPY', copy, record, 'REPLACE')
for i = 4 + now_there, #KEYS, 2 do redis.call('COPY', KEYS[i + 1], KEYS[i], 'REPLACE') end
local base = ''
if r[4] == last then base = string.format('%.0f', added - r[5])
elseif first == '' or before(r[4], first) then base = string.format('%.0f', added - length - r[5]) end
local time = redis.call('TIME')
local epoch = math.max(tonumber(present[1]) or 0, tonumber(r[6]) or 0) + 1
local sequence = r[3]:match(':(%d+)$') or '0'
redis.call('HSET', record, '@head', string.format('%s.1.%d.%s%06d:%s', ARGV[1], epoch, time[1], time[2], sequence), '@epoch', epoch, '@owner', ARGV[2],
  '@lease', '0', '@base', base, '@settled', r[4])
redis.call('HDEL', record, '@kept', '@trying')
if not cursor then redis.call('XGROUP', 'CREATE', stream, group, r[4], 'MKSTREAM') end
if not ours then redis.call('XGROUP', 'CREATECONSUMER', stream, group, mark) end
if base ~= '' then redis.call('XGROUP', 'SETID', stream, group, r[4], 'ENTRIESREAD', base + r[5])
else redis.call('XGROUP', 'SETID', stream, group, r[4]) end
redis.pcall('PUBLISH', record, 'released')
return reply
