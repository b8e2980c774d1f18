#!lua
-- create: make the record of a subscription from outside, with a position and a state that its first owner will take.
-- KEYS  1 record   2 stream   3 a string that must hold what is said of it, if one is given
-- ARGV  1 instance: random    2 who asks, for people    3 stream    4 group    5 position    6 entries processed    7 schema
--       8 only say what would be done 0/1    9 what KEYS 3 must hold, or ''    10.. field, value, ...
-- Reply {'CREATED', last ID, first ID of the stream or '', length}
--       {'THERE'} there is a record    {'LOST', cursor} its record is gone, and its group is there
--       {'ADOPT', cursor, pending} another program's group    {'MOVED', what KEYS 3 holds now or ''}
--       {'BEYOND', last ID} the position is behind the end of the stream    {'WRONGTYPE', key, type}
local record, stream, group, position = KEYS[1], KEYS[2], ARGV[4], ARGV[5]
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

for _, held in ipairs({{record, 'hash'}, {stream, 'stream'}, KEYS[3] and {KEYS[3], 'string'}}) do
  local is = redis.call('TYPE', held[1]).ok
  if is ~= held[2] and is ~= 'none' then return {'WRONGTYPE', held[1], is} end
end
if redis.call('EXISTS', record) == 1 then return {'THERE'} end
local last, length, added, first = '0-0', 0, 0, ''
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  if info['first-entry'] then first = info['first-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == group then
      for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
        if fields(each).name == mark then return {'LOST', found['last-delivered-id']} end
      end
      return {'ADOPT', found['last-delivered-id'], found.pending}
    end
  end
end
if KEYS[3] then
  local holds = redis.call('GET', KEYS[3]) or ''
  if holds ~= ARGV[9] then return {'MOVED', holds:sub(1, 256)} end
end
if before(last, position) then return {'BEYOND', last} end
local reply = {'CREATED', last, first, length}
if ARGV[8] == '1' then return reply end

for _, command in ipairs({{'HSET', record, 'f', 'v'}, {'XGROUP', 'CREATE', stream, group, '0-0', 'MKSTREAM'},
  {'XGROUP', 'CREATECONSUMER', stream, group, mark}, {'XGROUP', 'SETID', stream, group, '0-0'}}) do
  if not redis.acl_check_cmd(unpack(command)) then return redis.error_reply('NOPERM no permission to run ' .. command[1]) end
end

-- From here on: writes.
local base, time = '', redis.call('TIME')
if position == last then base = string.format('%.0f', added - ARGV[6])
elseif first == '' or before(position, first) then base = string.format('%.0f', added - length - ARGV[6]) end
redis.call('HSET', record, '@stream', ARGV[3], '@group', group, '@format', '1', '@head', string.format('%s.1.0.%s%06d:0', ARGV[1], time[1], time[2]),
  '@epoch', '0', '@owner', ARGV[2], '@lease', '0', '@position', position, '@processed', ARGV[6], '@base', base, '@settled', position,
  '@schema', ARGV[7], '@created', string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000)))
for n = 10, #ARGV, 7000 do redis.call('HSET', record, unpack(ARGV, n, math.min(n + 6999, #ARGV))) end
redis.call('XGROUP', 'CREATE', stream, group, position, 'MKSTREAM')
redis.call('XGROUP', 'CREATECONSUMER', stream, group, mark)
if base ~= '' then redis.call('XGROUP', 'SETID', stream, group, position, 'ENTRIESREAD', base + ARGV[6]) end
return reply
