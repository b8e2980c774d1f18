#!lua
-- commit: apply one step of a subscription, or nothing. A step follows exactly one head.
-- KEYS  1 record   2 stream   3.. output streams and collections beside the record
-- ARGV  1 head that this step follows    2 head after it    3 position after it    4 entries processed after it
--       5 group    6 entries read after it, for the group's lag, or ''
--       7 n, then n names and values of state fields; then operations, in this order:
--       'P', first ID, last ID, digest of the last entry    proof of the read that this step is the first to use
--       'D', n, n names                                     state fields to delete
--       'M', key, field, before, after, cleared, n, n keys and values, m, m keys
--                                                           change collection KEYS[key], a hash: it has `before` entries ('' where it
--                                                           does not matter); drop all if `cleared` is 1; set n/2, delete m; where
--                                                           `after` is not '', the record's `field` gets it
--       'X', key, ID, digest                                remove this dead letter, which must be as it was, from KEYS[key]: the
--                                                           step does what its entry could not do. One at most. Letters and head are
--                                                           on one server and are rolled back together, and after this step no
--                                                           other one follows the same head: it is handled once, or not at all
--       'C', key                                            first use of an output under this token: check it
--       'A', key, n, n names and values                     publish to output KEYS[key]
--       'T', key, 'MAXLEN' or 'MINID', '~' or '=', bound    trim output KEYS[key]
-- Reply 1 committed
--       {'COMMITTED', why the group's cursor stayed or '', why an output was not trimmed or ''}
--       {'FENCED', owner}                     another attach owns the record, or there is none
--       {'DIVERGED', head, position, 'sequence' | 'gap' | 'gone' | 'entries' | 'letter'}
--       {'REFUSED', key name, why}            this key cannot be written; nothing was done
local KEYS, ARGV, redis = KEYS, ARGV, redis -- found faster than globals, a dozen times a call
local record, stream = KEYS[1], KEYS[2]
local head = redis.call('HGET', record, '@head')
if head ~= ARGV[1] then
  if not head or head:match('^(.*):') ~= ARGV[1]:match('^(.*):') then
    return {'FENCED', redis.call('HGET', record, '@owner') or ''}
  end
  return {'DIVERGED', head, redis.call('HGET', record, '@position') or '', 'sequence'}
end

local first_operation, lone_publish, trims
if ARGV[10] or (ARGV[8] and ARGV[7] ~= '2') then -- otherwise, as for most steps: one field at most, no operation
  first_operation = 8 + ARGV[7]
  lone_publish = ARGV[first_operation] == 'A' and first_operation < 7008 and not ARGV[first_operation + 3 + ARGV[first_operation + 2]]
end
if not first_operation then -- nothing to undo
  local set
  if ARGV[8] then
    set = redis.pcall('HSET', record, '@head', ARGV[2], '@position', ARGV[3], '@processed', ARGV[4], ARGV[8], ARGV[9])
  else
    set = redis.pcall('HSET', record, '@head', ARGV[2], '@position', ARGV[3], '@processed', ARGV[4])
  end
  if set ~= 0 and type(set) == 'table' then return {'REFUSED', record, set.err} end -- mostly 0: no new field
elseif lone_publish then -- nothing to undo either: once the publish is there, nothing can fail
  local key = KEYS[tonumber(ARGV[first_operation + 1])]
  if not redis.acl_check_cmd('HSET', record, 'f', 'v') then return {'REFUSED', record, 'NOPERM no permission to run HSET'} end
  local id = redis.pcall('XADD', key, '*', unpack(ARGV, first_operation + 3, first_operation + 2 + ARGV[first_operation + 2]))
  if type(id) == 'table' then return {'REFUSED', key, id.err} end
  redis.call('HSET', record, '@head', ARGV[2], '@position', ARGV[3], '@processed', ARGV[4], unpack(ARGV, 8, first_operation - 1))
else
  local function digest(values)
    local sized = {}
    for n, value in ipairs(values) do
      sized[2 * n - 1] = #value
      sized[2 * n] = value
    end
    return redis.sha1hex(table.concat(sized, ':'))
  end

  local added, refused_key, refused, deleted, collections, letter
  if ARGV[first_operation] then
    -- Check: nothing is written in this pass.
    local i, publishes = first_operation, nil
    while ARGV[i] do
      local kind = ARGV[i]
      if kind == 'A' then
        local key = KEYS[tonumber(ARGV[i + 1])]
        publishes = publishes or {}
        -- Without the right to undo it, a publish could outlive a refusal that follows.
        if not publishes[key] and not redis.acl_check_cmd('XDEL', key, '0-1') then return {'REFUSED', key, 'NOPERM no permission to run XDEL, which undoes a publish'} end
        publishes[key] = true
        i = i + 3 + ARGV[i + 2]
      elseif kind == 'C' then
        local key = KEYS[tonumber(ARGV[i + 1])]
        local is = redis.call('TYPE', key).ok
        if is ~= 'stream' and is ~= 'none' then return {'REFUSED', key, 'WRONGTYPE the key holds a ' .. is .. ', not a stream'} end
        if not redis.acl_check_cmd('XADD', key, '*', 'f', 'v') then return {'REFUSED', key, 'NOPERM no permission to run XADD'} end
        i = i + 2
      elseif kind == 'P' then
        local position = redis.call('HGET', record, '@position')
        local entry = redis.call('XRANGE', stream, '(' .. position, ARGV[i + 1], 'COUNT', 1)[1]
        if entry and entry[1] ~= ARGV[i + 1] then return {'DIVERGED', head, position, 'gap'} end
        if ARGV[i + 2] ~= ARGV[i + 1] then entry = redis.call('XRANGE', stream, ARGV[i + 2], ARGV[i + 2])[1] end
        if not entry then return {'DIVERGED', head, position, 'gone'} end
        if digest(entry[2]) ~= ARGV[i + 3] then return {'DIVERGED', head, position, 'gone'} end
        i = i + 4
      elseif kind == 'M' then
        local key, sets = KEYS[tonumber(ARGV[i + 1])], tonumber(ARGV[i + 6])
        local is = redis.call('TYPE', key).ok
        if is ~= 'hash' and is ~= 'none' then return {'REFUSED', key, 'WRONGTYPE the key holds a ' .. is .. ', not a hash'} end
        if ARGV[i + 3] ~= '' and redis.call('HLEN', key) ~= tonumber(ARGV[i + 3]) then
          return {'DIVERGED', head, redis.call('HGET', record, '@position') or '', 'entries'}
        end
        local removes = tonumber(ARGV[i + 7 + sets])
        if sets > 0 and not redis.acl_check_cmd('HSET', key, 'f', 'v') then return {'REFUSED', key, 'NOPERM no permission to run HSET'} end
        if removes > 0 and not redis.acl_check_cmd('HDEL', key, 'f') then return {'REFUSED', key, 'NOPERM no permission to run HDEL'} end
        if ARGV[i + 5] == '1' and not redis.acl_check_cmd('UNLINK', key) then return {'REFUSED', key, 'NOPERM no permission to run UNLINK'} end
        collections = collections or i
        i = i + 8 + sets + removes
      elseif kind == 'X' then
        local key = KEYS[tonumber(ARGV[i + 1])]
        local is = redis.call('TYPE', key).ok
        if is ~= 'stream' and is ~= 'none' then return {'REFUSED', key, 'WRONGTYPE the key holds a ' .. is .. ', not a stream'} end
        local entry = redis.call('XRANGE', key, ARGV[i + 2], ARGV[i + 2])[1]
        if not entry or digest(entry[2]) ~= ARGV[i + 3] then
          return {'DIVERGED', head, redis.call('HGET', record, '@position') or '', 'letter'}
        end
        if not redis.acl_check_cmd('XDEL', key, ARGV[i + 2]) then return {'REFUSED', key, 'NOPERM no permission to run XDEL'} end
        letter = i
        i = i + 4
      elseif kind == 'T' then
        local key = KEYS[tonumber(ARGV[i + 1])]
        if not redis.acl_check_cmd('XTRIM', key, ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]) then
          return {'REFUSED', key, 'NOPERM no permission to run XTRIM'}
        end
        trims = trims or i
        i = i + 5
      else
        if not redis.acl_check_cmd('HDEL', record, 'f') then return {'REFUSED', record, 'NOPERM no permission to run HDEL'} end
        deleted = i
        i = i + 2 + ARGV[i + 1]
      end
    end
    if (publishes or deleted or collections or letter) and not redis.acl_check_cmd('HSET', record, 'f', 'v') then
      return {'REFUSED', record, 'NOPERM no permission to run HSET'}
    end

    -- Apply: what can still fail comes first and is undone.
    i = first_operation
    while publishes and ARGV[i] do
      local kind = ARGV[i]
      if kind == 'A' then
        local key, last = KEYS[tonumber(ARGV[i + 1])], i + 2 + ARGV[i + 2]
        local id = redis.pcall('XADD', key, '*', unpack(ARGV, i + 3, last))
        if type(id) == 'table' then
          refused_key, refused = key, id.err
          break
        end
        added = added or {}
        added[#added + 1] = key
        added[#added + 1] = id
        i = last + 1
      elseif kind == 'C' then i = i + 2
      elseif kind == 'P' or kind == 'X' then i = i + 4
      elseif kind == 'T' then i = i + 5
      elseif kind == 'M' then i = i + 8 + ARGV[i + 6] + ARGV[i + 7 + ARGV[i + 6]]
      else i = i + 2 + ARGV[i + 1] end
    end
  end

  if not refused then
    local last = first_operation - 1
    local r = redis.pcall('HSET', record, '@head', ARGV[2], '@position', ARGV[3], '@processed', ARGV[4], unpack(ARGV, 8, math.min(last, 7007)))
    local i = 7008
    while i <= last and type(r) == 'number' do
      r = redis.pcall('HSET', record, unpack(ARGV, i, math.min(i + 6999, last)))
      i = i + 7000
    end
    if type(r) == 'table' then refused_key, refused = record, r.err end
  end
  if refused then
    if added then
      for n = 1, #added, 2 do redis.call('XDEL', added[n], added[n + 1]) end
    end
    return {'REFUSED', refused_key, refused}
  end
  while collections and ARGV[collections] == 'M' do -- checked above: nothing of it can fail
    local i, key, sets = collections, KEYS[tonumber(ARGV[collections + 1])], tonumber(ARGV[collections + 6])
    local removes = tonumber(ARGV[i + 7 + sets])
    if ARGV[i + 5] == '1' then redis.call('UNLINK', key) end
    for n = 1, sets, 7000 do redis.call('HSET', key, unpack(ARGV, i + 6 + n, i + 6 + math.min(n + 6999, sets))) end
    for n = 1, removes, 7000 do
      redis.call('HDEL', key, unpack(ARGV, i + 7 + sets + n, i + 7 + sets + math.min(n + 6999, removes)))
    end
    if ARGV[i + 4] ~= '' then redis.call('HSET', record, ARGV[i + 2], ARGV[i + 4]) end
    collections = i + 8 + sets + removes
  end
  if letter then redis.call('XDEL', KEYS[tonumber(ARGV[letter + 1])], ARGV[letter + 2]) end
  if deleted then
    local names = tonumber(ARGV[deleted + 1])
    for n = 1, names, 7000 do
      redis.call('HDEL', record, unpack(ARGV, deleted + 1 + n, deleted + 1 + math.min(n + 6999, names)))
    end
  end
end

local cursor
if ARGV[6] == '' then cursor = redis.pcall('XGROUP', 'SETID', stream, ARGV[5], ARGV[3])
else cursor = redis.pcall('XGROUP', 'SETID', stream, ARGV[5], ARGV[3], 'ENTRIESREAD', ARGV[6]) end
local untrimmed
while trims and ARGV[trims] do
  local r = redis.pcall('XTRIM', KEYS[tonumber(ARGV[trims + 1])], ARGV[trims + 2], ARGV[trims + 3], ARGV[trims + 4])
  if type(r) == 'table' then untrimmed = r.err end
  trims = trims + 5
end
if cursor.err or untrimmed then return {'COMMITTED', cursor.err or '', untrimmed or ''} end
return 1
