#!lua
-- attach: take ownership of a subscription, or say why not. Reads decide; writes come last.
-- KEYS  1 record   2 stream
-- ARGV  1 instance: random, one per consumer object    2 attempt: counts up per instance, one number per send
--       3 owner, for people (host/pid)                 4 lease, ms
--       5 stream    6 group    7 start of a new subscription: an ID, or '$' for the stream's end
--       8 stored schema that the caller accepts        9 schema that a new record gets, and one whose state was dropped (seek.lua)
--       10 value of @lease that the caller has seen unchanged for a whole lease, or ''
--       11 permissions given by the user, letters: a adopt a group that is not ours, p also if entries of it are pending,
--          n start anew though the record is lost, r the stream was replaced: read it from its beginning, s the stream was replaced: skip what it holds; and a wish:
--          t end where entries were trimmed before they were read
-- Reply {'OWNED', head, epoch, now ms, created 0/1, @lease before, position, processed, base or '', last ID, length, entries added,
--         another instance left its lease behind 0/1, @trying or '', vanished, @adopted or '', @pending or ''}
--         vanished: entries that went unread from the stream, for a renewal to count; below 0, the stream was made anew
--         @adopted and @pending: of the entries up to the first, only the second are not done, for the group was another program's
--       {'STANDBY', owner, ms left, @lease}       {'STALE', attempt on record}     {'SCHEMA', stored}
--       {'LOST', cursor}   {'ADOPT', cursor, pending, the oldest of them or ''}   {'BEHIND', last ID, position, length}
--       {'FOREIGN', stream, group}   {'FORMAT', format}   {'WRONGTYPE', key, type}   {'DENIED', command, key}
--       {'TRIMMED', vanished, all of them 0/1, cause, position, first entry's ID or ''}   as renew.lua
--       {'DAMAGED', field, the beginning of what it holds}: it is not what these scripts write
local record, stream, group, may = KEYS[1], KEYS[2], ARGV[6], ARGV[11]
local mark = '@atomic-streams'
local most_pending = 10000

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

local function whole(text, most) -- a number from 0 on, as it is written here; digits compare as text, however many there are
  return text == '0' or (text:find('^[1-9]%d*$') and (#text < #most or (#text == #most and text <= most)))
end

local function is_id(text)
  local ms, seq = text:match('^(%d+)-(%d+)$')
  return ms and whole(ms, '18446744073709551615') and whole(seq, '18446744073709551615')
end

local most = '9007199254740991' -- what Lua can count to
local function is_sound(field, text)
  if field == '@head' then
    local attempt, sequence = text:match('^[^.]+%.(%d+)%..*:(%d+)$')
    return attempt and whole(attempt, most) and whole(sequence, most)
  elseif field == '@position' then return is_id(text)
  elseif field == '@base' then return text == '' or whole((text:gsub('^%-', '', 1)), most)
  elseif field == '@trying' then
    local entry, crashes = text:match('^(%S+) (%d+)$')
    return entry and is_id(entry) and whole(crashes, '4294967295')
  elseif field == '@adopted' then return text == '' or is_id(text)
  elseif field == '@pending' then
    for id in text:gmatch('%S+') do
      if not is_id(id) then return false end
    end
    return true
  else return whole(text, most) end
end

for _, command in ipairs({
  {'TYPE', record}, {'EXISTS', record}, {'HSET', record, 'f', 'v'}, {'HGET', record, 'f'}, {'HMGET', record, 'f'}, {'HDEL', record, 'f'},
  {'PERSIST', record}, {'TIME'}, {'XINFO', 'STREAM', stream}, {'XINFO', 'GROUPS', stream}, {'XINFO', 'CONSUMERS', stream, group},
  {'XRANGE', stream, '-', '+'}, {'XREAD', 'STREAMS', stream, '0-0'}, {'XSETID', stream, '0-0'},
  {'XGROUP', 'CREATE', stream, group, '0-0', 'MKSTREAM'}, {'XGROUP', 'CREATECONSUMER', stream, group, mark},
  {'XGROUP', 'SETID', stream, group, '0-0'},
}) do
  if not redis.acl_check_cmd(unpack(command)) then
    local name = (command[1] == 'XGROUP' or command[1] == 'XINFO') and command[1] .. ' ' .. command[2] or command[1]
    return {'DENIED', name, command[1]:sub(1, 1) == 'X' and stream or record}
  end
end
for _, held in ipairs({{record, 'hash'}, {stream, 'stream'}}) do
  local is = redis.call('TYPE', held[1]).ok
  if is ~= held[2] and is ~= 'none' then return {'WRONGTYPE', held[1], is} end
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local have = redis.call('EXISTS', record) == 1
local r = redis.call('HMGET', record, '@stream', '@group', '@format', '@schema', '@head', '@lease', '@owner', '@epoch', '@position', '@processed', '@base', '@trying', '@settled',
  '@adopted', '@pending')
local head, lease, position, processed, base = r[5], r[6], r[9], tonumber(r[10] or 0), r[11] or ''
local sequence, abandoned = '0', 0
if have then
  if r[1] ~= ARGV[5] or r[2] ~= group then return {'FOREIGN', r[1] or '', r[2] or ''} end
  if r[3] ~= '1' then return {'FORMAT', r[3] or ''} end
  for _, each in ipairs({{'@head', head}, {'@lease', lease}, {'@epoch', r[8]}, {'@position', position}, {'@processed', r[10]},
    {'@base', base}, {'@trying', r[12] or '0-0 0'}, {'@adopted', r[14] or ''}, {'@pending', r[15] or ''}}) do
    local field, text = each[1], each[2] or ''
    if not is_sound(field, text) then return {'DAMAGED', field, text:sub(1, 256)} end
  end
  local token
  token, sequence = head:match('^(.+):(%d+)$')
  if r[4] ~= ARGV[8] and r[4] ~= 'dropped' then return {'SCHEMA', r[4] or ''} end
  local instance, attempt = token:match('^([^.]+)%.(%d+)%.')
  if instance == ARGV[1] then
    if tonumber(ARGV[2]) <= tonumber(attempt) then return {'STALE', attempt} end
  elseif now < tonumber(lease) and lease ~= ARGV[10] then
    return {'STANDBY', r[7] or '', tonumber(lease) - now, lease}
  end
  if instance ~= ARGV[1] and lease ~= '0' then abandoned = 1 end
end

local last, length, added, first, last_entry, deleted = '0-0', 0, 0, nil, nil, '0-0'
local cursor, pending, ours, taken
local adopted, undone = r[14] or '', r[15] or ''
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  deleted = info['max-deleted-entry-id']
  if info['first-entry'] then first, last_entry = info['first-entry'][1], info['last-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == group then cursor, pending = found['last-delivered-id'], found.pending end
  end
  if cursor then
    for _, each in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
      if fields(each).name == mark then ours = true end
    end
  end
end

if not have then
  if cursor and ours and not may:find('n', 1, true) then return {'LOST', cursor} end
  if cursor and not ours and (not may:find('a', 1, true) or (pending > 0 and (pending > most_pending or not may:find('p', 1, true)))) then
    local oldest = pending > 0 and redis.acl_check_cmd('XPENDING', stream, group) and redis.call('XPENDING', stream, group)[2]
    return {'ADOPT', cursor, pending, oldest or ''}
  end
  if cursor and not ours and pending > 0 then
    for _, command in ipairs({{'XPENDING', stream, group}, {'XACK', stream, group, '0-0'}, {'XREVRANGE', stream, '+', '-'}}) do
      if not redis.acl_check_cmd(unpack(command)) then return {'DENIED', command[1], stream} end
    end
    taken = redis.call('XPENDING', stream, group, '-', '+', most_pending)
    for i, each in ipairs(taken) do taken[i] = each[1] end
  end
  if taken and not before(cursor, taken[1]) then
    -- Those between that are not pending are done: they are read, and passed over.
    local previous = redis.call('XREVRANGE', stream, '(' .. taken[1], '-', 'COUNT', 1)[1]
    position, adopted, undone = previous and previous[1] or '0-0', cursor, table.concat(taken, ' ')
  elseif cursor and not ours then position = cursor
  elseif ARGV[7] == '$' then position = last
  else position = ARGV[7] end
  if position == last then base = added
  elseif not first or before(position, first) then base = added - length end
end
local replaced, anew, vanished, settled = before(last, position), not have, 0, r[13] or '0-0'
if replaced and length > 0 then
  if may:find('r', 1, true) then position, base, replaced = '0-0', added - length - processed, false
  elseif may:find('s', 1, true) then position, base, replaced = last, added - processed, false
  else return {'BEHIND', last, position, length} end
  anew, vanished = true, -1
elseif replaced then base, anew, vanished = added - processed, true, -1 -- nothing is left to read of what an empty stream has counted
elseif have and tonumber(base) then -- as renew.lua
  local left, all, cause = length, 1, 'either'
  if length == 0 or not before(position, last_entry) then left = 0
  elseif not before(position, first) then left, all = length - 1, 0 end
  vanished = added - left - processed - base
  if not before(settled, deleted) then cause = 'trimmed'
  elseif first and not before(settled, first) then cause = 'deleted' end
  if all == 0 and vanished < 0 then vanished = 0 end
  if vanished > 0 and may:find('t', 1, true) and cause ~= 'deleted' then return {'TRIMMED', vanished, all, cause, position, first or ''} end
end

if anew then settled = position end
if type(base) == 'number' then base = string.format('%.0f', base) end
if adopted ~= '' and ((have and anew) or not before(position, adopted)) then adopted, undone = '', '' end -- all of them are done

-- From here on: writes.
local epoch = (tonumber(r[8]) or 0) + 1
head = string.format('%s.%s.%d.%s%06d:%s', ARGV[1], ARGV[2], epoch, time[1], time[2], sequence)
redis.call('HSET', record, '@stream', ARGV[5], '@group', group, '@format', '1', '@head', head, '@epoch', epoch, '@owner', ARGV[3],
  '@lease', string.format('%.0f', now + tonumber(ARGV[4])), '@position', position, '@base', base, '@settled', settled)
if not have then
  -- For people; and with more than 64 bytes it has the server keep the record as a table from the first, which takes a commit less
  -- time than going through a list of all fields for each that it sets.
  redis.call('HSET', record, '@about', 'Written by atomic-streams, all at once for each entry: look, but change it with its own tools.')
  redis.call('HSET', record, '@processed', '0', '@schema', ARGV[9], '@created', string.format('%.0f', now))
end
if r[4] == 'dropped' then redis.call('HSET', record, '@schema', ARGV[9]) end
if adopted == '' then redis.call('HDEL', record, '@adopted', '@pending')
else redis.call('HSET', record, '@adopted', adopted, '@pending', undone) end
redis.call('PERSIST', record)
if not cursor then redis.call('XGROUP', 'CREATE', stream, group, position, 'MKSTREAM') end
if not ours then redis.call('XGROUP', 'CREATECONSUMER', stream, group, mark) end
if taken then -- the record has them now
  for n = 1, #taken, 7000 do redis.call('XACK', stream, group, unpack(taken, n, math.min(n + 6999, #taken))) end
end
if replaced then
  redis.call('XSETID', stream, position)
  last = position
end
if base == '' then redis.call('XGROUP', 'SETID', stream, group, position)
else redis.call('XGROUP', 'SETID', stream, group, position, 'ENTRIESREAD', base + processed) end
return {'OWNED', head, epoch, now, have and 0 or 1, lease or '', position, processed, base, last, length, added, abandoned, r[12] or '', vanished, adopted,
  undone}
