#!lua flags=allow-oom
-- trim: remove what every group of a stream has committed, as far as the floors allow. The caller repeats it until no more is left.
-- KEYS  1 stream   2.. records of its groups
-- ARGV  1 entries to keep, or ''   2 ms by the server's clock for which entries are kept, or ''
--       3 '~' to leave whole nodes of the stream alone, '=' to remove every entry that may go; 'd' to remove nothing and count
--       4 remove nothing behind this ID, or '': the stream's last ID, which the reply gives for the calls that follow
--       5 entries to look at and to remove, at most      6 where 'd' goes on counting: behind this ID, or ''
--       7 'g' to let the floors alone decide where there is no group
--       then for each group: name, its record's place in KEYS or 0, 'g' a group of the stream or 'e' none, though one is expected
-- Reply {'TRIMMED', removed, left, more 0/1, last ID, counted up to or '', entries left before the first that the group needs,
--         group that needs the lowest entry and so decides or '', its position or '', why}
--         why: 'behind', 'pending', 'lost' no record though the group bears our mark, 'replaced' the stream ends before its position,
--         'missing' neither group nor record
--       {'CHANGED'}   the stream has other groups than these   {'NONE'} no stream   {'NOGROUP'}   {'WRONGTYPE', key, type}
local stream, keep, most, upto = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[5]), ARGV[4]
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

local is = redis.call('TYPE', stream).ok
if is == 'none' then return {'NONE'} end
if is ~= 'stream' then return {'WRONGTYPE', stream, is} end
local info = fields(redis.call('XINFO', 'STREAM', stream))
local length, last = info.length, info['last-generated-id']
local groups, unnamed = {}, 0
for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
  local group = fields(each)
  groups[group.name] = group
  unnamed = unnamed + 1
end
for i = 8, #ARGV, 3 do
  if (groups[ARGV[i]] ~= nil) ~= (ARGV[i + 2] == 'g') then return {'CHANGED'} end
  if ARGV[i + 2] == 'g' then unnamed = unnamed - 1 end
end
if unnamed ~= 0 then return {'CHANGED'} end
if #ARGV < 8 and ARGV[7] ~= 'g' then return {'NOGROUP'} end

-- What each group needs begins behind an ID, or with one. The lowest decides.
local holder
local function needs(group, id, inclusive, position, why)
  local lower = not holder or before(id, holder.id) or (id == holder.id and inclusive and not holder.inclusive)
  if lower then holder = {group = group, id = id, inclusive = inclusive, position = position, why = why} end
end
for i = 8, #ARGV, 3 do
  local name, record, group = ARGV[i], KEYS[tonumber(ARGV[i + 1])], groups[ARGV[i]]
  local r, ours = {}, false
  if record and redis.call('TYPE', record).ok == 'hash' then r = redis.call('HMGET', record, '@stream', '@group', '@position') end
  local position = r[1] == stream and r[2] == name and r[3] and r[3]:match('^%d+%-%d+$')
  if group then
    for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', stream, name)) do
      if fields(each).name == mark then ours = true end
    end
  end
  if position and length > 0 and before(last, position) then needs(name, '0-0', true, position, 'replaced')
  elseif position then needs(name, position, false, position, 'behind')
  elseif ours then needs(name, '0-0', true, '', 'lost')
  elseif not group then needs(name, '0-0', true, '', 'missing') end
  if group and not ours then -- another program's, whatever a record says
    local delivered = group['last-delivered-id']
    needs(name, delivered, false, delivered, 'behind')
    if group.pending > 0 then needs(name, redis.call('XPENDING', stream, name)[2], true, delivered, 'pending') end
  end
end

local function first(id, inclusive) -- the first entry behind an ID, or with it
  local entry = redis.call('XRANGE', stream, (inclusive and '' or '(') .. id, '+', 'COUNT', 1)[1]
  return entry and entry[1]
end
local function lower(a, b)
  if not a or (b and before(b, a)) then return b end
  return a
end
if upto == '' then upto = last end
local needed = holder and first(holder.id, holder.inclusive)
local bound = first(upto, false)
if ARGV[2] ~= '' then
  local time = redis.call('TIME')
  local from = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2])
  bound = lower(bound, first(string.format('%.0f-0', math.max(from, 0)), true))
end
local decides = needed and (not bound or before(needed, bound))
bound = lower(bound, needed)

local function range_end() return bound and '(' .. bound or '+' end
local surplus = length - (keep or 0)
if ARGV[3] == 'd' then
  local rows = redis.call('XRANGE', stream, ARGV[6] == '' and '-' or '(' .. ARGV[6], range_end(), 'COUNT', most)
  return {'TRIMMED', #rows, length, #rows == most and 1 or 0, upto, #rows > 0 and rows[#rows][1] or ARGV[6], 0,
    decides and holder.group or '', holder and holder.position or '', holder and holder.why or ''}
end

-- From here on: writes. LIMIT 0 would be no limit.
local removed, more = 0, 0
if surplus > 0 then
  local limit = math.min(surplus, most)
  if bound then removed = redis.call('XTRIM', stream, 'MINID', '~', bound, 'LIMIT', limit)
  else removed = redis.call('XTRIM', stream, 'MAXLEN', '~', length - surplus, 'LIMIT', limit) end
  if removed > 0 then more = 1
  elseif ARGV[3] == '=' then -- what is left of the first node
    local rows = #redis.call('XRANGE', stream, '-', range_end(), 'COUNT', math.min(limit, 100))
    if rows > 0 then removed = redis.call('XTRIM', stream, 'MAXLEN', '=', length - rows) end
    if removed > 0 then more = 1 end
  end
end
local left, early = length - removed, 0
if decides and more == 0 then early = #redis.call('XRANGE', stream, '-', '(' .. needed, 'COUNT', 200) end
return {'TRIMMED', removed, left, more, upto, '', early, decides and holder.group or '', holder and holder.position or '', holder and holder.why or ''}
