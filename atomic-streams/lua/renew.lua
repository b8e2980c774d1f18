#!lua flags=allow-oom
-- renew: keep the lease, put the group's cursor right, and say what the server holds, for the owner to compare with its memory.
-- KEYS  1 record   2 stream
-- ARGV  1 token    2 lease, ms    3 group    4 't' to write nothing where entries were trimmed before they were read, or ''
-- Reply {'OWNED', now ms, head, position, last ID, last entry's ID or '', base or '', vanished, cursor: 0 right 1 group made anew 2 put back,
--         why the cursor could not be put right or '', cause of vanished, all of them 0/1, how often unparking was asked for,
--         lag: entries left to be read, or '' where base is unknown, ms that the first of them has waited by its ID, or 0}
--         vanished: entries that went unread from the stream since base was last settled; below 0, the stream was made anew
--         cause: 'trimmed', 'deleted' (one by one, by XDEL), or 'either' where the stream's counters do not tell
--       {'FENCED', owner}   {'BEHIND', last ID, position, length}
--       {'TRIMMED', vanished, all of them 0/1, cause, position, first entry's ID or ''}   only if asked for; never for 'deleted'
local record, stream, group = KEYS[1], KEYS[2], ARGV[3]
local r = redis.call('HMGET', record, '@head', '@position', '@processed', '@base', '@owner', '@settled', '@unparking')
local head, position, processed, base, settled = r[1], r[2], tonumber(r[3] or 0), r[4] or '', r[6] or '0-0'
if not head or head:match('^(.*):') ~= ARGV[1] then return {'FENCED', r[5] or ''} end
if not tonumber(base) then base = '' end -- of no use to anybody: it is settled anew

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

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local last, length, added, first, last_entry, deleted, cursor = '0-0', 0, 0, '', '', '0-0', nil
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  deleted = info['max-deleted-entry-id']
  if info['last-entry'] then first, last_entry = info['first-entry'][1], info['last-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == group then cursor = found['last-delivered-id'] end
  end
end
if length > 0 and before(last, position) then return {'BEHIND', last, position, length} end

-- Every entry ever added was processed, is left to be read, or has vanished, and base counts those that vanished. How many are left
-- is known where the position is outside of what the stream holds; else at least one of what it holds was read. What is counted
-- at @settled is known to be all: an entry that was trimmed later was behind it, and so was one that was deleted later.
local left, all = length, 1
if length == 0 or not before(position, last_entry) then left = 0
elseif not before(position, first) then left, all = length - 1, 0 end
local vanished, cause = added - left - processed - (tonumber(base) or 0), 'either'
if not before(settled, deleted) then cause = 'trimmed'
elseif length > 0 and not before(settled, first) then cause = 'deleted' end
if base == '' or (all == 0 and vanished < 0) then vanished = 0 end
if vanished > 0 and ARGV[4] == 't' and cause ~= 'deleted' then return {'TRIMMED', vanished, all, cause, position, first} end
if all == 1 then base, settled = added - left - processed, position
elseif base ~= '' then base = base + vanished end
if type(base) == 'number' then base = string.format('%.0f', base) end
local lag, waited = '', 0
if base ~= '' then lag = math.max(0, added - processed - base) end
if left > 0 then
  local oldest = first
  if all == 0 then oldest = redis.call('XRANGE', stream, '(' .. position, '+', 'COUNT', 1)[1][1] end
  waited = math.max(0, now - oldest:match('^%d+'))
end

-- From here on: writes. The lease first: the cursor is a courtesy and must not cost it.
redis.call('HSET', record, '@lease', string.format('%.0f', now + tonumber(ARGV[2])), '@base', base, '@settled', settled)
local repaired, trouble = 0, ''
local function try(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then trouble = reply.err end
end
if not cursor then
  repaired = 1
  try('XGROUP', 'CREATE', stream, group, position, 'MKSTREAM')
  try('XGROUP', 'CREATECONSUMER', stream, group, '@atomic-streams')
elseif cursor ~= position then
  repaired = 2
end
if before(last, position) then -- an empty stream: later IDs must follow the position
  try('XSETID', stream, position)
  last = position
end
if base ~= '' then try('XGROUP', 'SETID', stream, group, position, 'ENTRIESREAD', base + processed)
else try('XGROUP', 'SETID', stream, group, position) end
return {'OWNED', now, head, position, last, last_entry, base, vanished, repaired, trouble, cause, all, r[7] or 0, lag, waited}
