#!lua flags=no-writes
-- waiting: read the dead letters of one key, in order, with the head that they belong to.
-- KEYS  1 record   2 dead-letter stream
-- ARGV  1 stream   2 group   3 key: whose letters    4 ID behind which to look    5 entries to look at
-- Reply {head or '', ID behind which to go on or '' at the end, {{ID, {name, value, ...}}, ...}}
--       Only the owner adds letters of a parked key, by steps of its chain. So they are those that this head has left, but for
--       what was removed by hand, which each step that handles one of them finds out.
local found, bytes, looked, after = {}, 0, 0, ARGV[4]
while after ~= '' and looked < tonumber(ARGV[5]) and bytes < 1048576 do
  local part = redis.call('XRANGE', KEYS[2], '(' .. after, '+', 'COUNT', 16)
  for _, letter in ipairs(part) do
    local values = letter[2]
    local own = values[#values - 1] == '@fields' and tonumber(values[#values])
    local about = own == 0 and 2 or own and 2 * own
    if about and values[about + 1] == '@stream' and values[about + 2] == ARGV[1] and values[about + 3] == '@group'
      and values[about + 4] == ARGV[2] and values[about + 13] == '@key' and values[about + 14] == ARGV[3] then
      found[#found + 1] = letter
      for _, value in ipairs(values) do bytes = bytes + #value end
    end
    after = letter[1]
  end
  looked = looked + #part
  if #part < 16 then after = '' end
end
return {redis.call('HGET', KEYS[1], '@head') or '', after, found}
