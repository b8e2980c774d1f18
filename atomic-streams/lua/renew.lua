#!lua flags=allow-oom
-- renew: keep the lease, put the group's cursor right, and say what the server holds, for the owner to compare with its memory.
-- KEYS  1 record   2 stream
-- ARGV  1 token    2 lease, ms    3 group
-- Reply {'OWNED', now ms, head, position, last ID, last entry's ID or '', base or '', vanished, cursor: 0 right 1 group made anew 2 put back,
--         why the cursor could not be put right or ''}
--         vanished: entries that went unread from the stream since base was last settled; below 0, the stream was made anew
--       {'FENCED', owner}   {'BEHIND', last ID, position, length}
local record, stream, group = KEYS[1], KEYS[2], ARGV[3]
local r = redis.call('HMGET', record, '@head', '@position', '@processed', '@base', '@owner')
local head, position, processed, base = r[1], r[2], tonumber(r[3] or 0), r[4]
if not head or head:match('^(.*):') ~= ARGV[1] then return {'FENCED', r[5] or ''} end

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
local last, length, added, last_entry, cursor = '0-0', 0, 0, '', nil
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  if info['last-entry'] then last_entry = info['last-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == group then cursor = found['last-delivered-id'] end
  end
end
if length > 0 and before(last, position) then return {'BEHIND', last, position, length} end

local vanished = 0
if last == position or (length == 0 and before(last, position)) then -- nothing is left to read
  local settled = added - processed
  if base and base ~= '' then vanished = settled - base end
  base = string.format('%.0f', settled)
end
base = base or ''

-- From here on: writes. The lease first: the cursor is a courtesy and must not cost it.
redis.call('HSET', record, '@lease', string.format('%.0f', now + tonumber(ARGV[2])), '@base', base)
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
return {'OWNED', now, head, position, last, last_entry, base, vanished, repaired, trouble}
