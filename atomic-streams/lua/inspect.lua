#!lua flags=no-writes
-- inspect: what there is to know about one subscription, at one instant.
-- KEYS  1 record   2 stream
-- ARGV  1 group    2 fields of the record to name at most
-- Reply {'RECORD', now ms, {names and values of the record's own fields}, {names of state fields}, state fields in all,
--         {names of collections and their sizes}, last ID, length, entries added, first ID or '', first ID behind the position or '',
--         lag of the group or '', bytes of memory or ''}
--       {'NONE', last ID, length}    {'WRONGTYPE', key, type}
local record, stream = KEYS[1], KEYS[2]
for _, held in ipairs({{record, 'hash'}, {stream, 'stream'}}) do
  local is = redis.call('TYPE', held[1]).ok
  if is ~= held[2] and is ~= 'none' then return {'WRONGTYPE', held[1], is} end
end

local function fields(flat)
  local named = {}
  for i = 1, #flat, 2 do named[flat[i]] = flat[i + 1] end
  return named
end

local last, length, added, first, lag = '0-0', 0, 0, '', ''
if redis.call('EXISTS', stream) == 1 then
  local info = fields(redis.call('XINFO', 'STREAM', stream))
  last, length, added = info['last-generated-id'], info['length'], info['entries-added']
  if info['first-entry'] then first = info['first-entry'][1] end
  for _, each in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local found = fields(each)
    if found.name == ARGV[1] then lag = found.lag or '' end
  end
end
if redis.call('EXISTS', record) == 0 then return {'NONE', last, length} end

local own, state, sizes = {}, {}, {}
for _, name in ipairs({'@stream', '@group', '@format', '@head', '@epoch', '@owner', '@lease', '@position', '@processed', '@base', '@schema',
  '@created', '@trying'}) do
  own[#own + 1] = name
  own[#own + 1] = redis.call('HGET', record, name) or ''
end
local count = redis.call('HLEN', record)
if count <= tonumber(ARGV[2]) then
  for _, name in ipairs(redis.call('HKEYS', record)) do
    if name:sub(1, 6) == '@size:' then
      sizes[#sizes + 1] = name:sub(7)
      sizes[#sizes + 1] = redis.call('HGET', record, name)
    elseif name:sub(1, 1) ~= '@' then state[#state + 1] = name end
  end
end
local behind = own[16] ~= '' and redis.call('XRANGE', stream, '(' .. own[16], '+', 'COUNT', 1)[1]
local memory = redis.pcall('MEMORY', 'USAGE', record)
if type(memory) ~= 'number' then memory = '' end
local time = redis.call('TIME')
return {'RECORD', time[1] * 1000 + math.floor(time[2] / 1000), own, state, count, sizes, last, length, added, first, behind and behind[1] or '',
  lag, memory}
