#!lua flags=no-writes
-- letters: of the newest entries of a stream, those that are dead letters, without what they are about.
-- KEYS  1 stream
-- ARGV  1 entries to look at    2 bytes of an error to return    3 length and 4 last ID when it was looked at before, or ''
-- Reply {'SAME'}     since then nothing was added, and as many are there
--       {'LETTERS', length, last ID or '', entries looked at, {{ID, name, value, name, value, ...}, ...}}     newest first
--       {'WRONGTYPE', what it is}
local stream, most = KEYS[1], tonumber(ARGV[1])
local is = redis.call('TYPE', stream).ok
if is ~= 'stream' and is ~= 'none' then return {'WRONGTYPE', is} end

local length = redis.call('XLEN', stream)
local found, looked, bytes, part, before, last = {}, 0, 0, 1, '+', ''
-- One first, then more where they are small: what they are about may be large, and the server holds all of a part at once.
while looked < most and bytes < 1048576 do
  local entries = redis.call('XREVRANGE', stream, before, '-', 'COUNT', math.min(part, most - looked))
  if looked == 0 and entries[1] then
    last = entries[1][1]
    if ARGV[3] == tostring(length) and ARGV[4] == last then return {'SAME'} end
  end
  for _, entry in ipairs(entries) do
    local values = entry[2]
    local own = values[#values - 1] == '@fields' and tonumber(values[#values])
    local about = own == 0 and 2 or own and 2 * own
    if about and values[about + 1] == '@stream' then
      local letter = {entry[1]}
      for i = about + 1, #values do
        letter[#letter + 1] = values[i - 1] == '@error' and values[i]:sub(1, tonumber(ARGV[2])) or values[i]
      end
      found[#found + 1] = letter
    end
    for _, value in ipairs(values) do bytes = bytes + #value end
    before = '(' .. entry[1]
  end
  looked = looked + #entries
  if #entries < part then break end
  if bytes / looked < 65536 then part = math.min(part * 2, 16) end
end
return {'LETTERS', length, last, looked, found}
