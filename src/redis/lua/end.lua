-- ARGV: now, 'one', 'proven', 'others' or 'all', the sid that is meant or kept, log retention, greatest number of tombstones
-- of a user, age below which a session is spared.
local which, chosen, retention, room, min_age = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ended, gone, spared = {}, {}, false

-- EndSessions::spares.
local function spares(r)
  return r.ended == 0 and r.created_at <= now and now - r.created_at < min_age
end

if which == 'one' or which == 'proven' then
  local packed = redis.call('HGET', SESSIONS, chosen)
  if packed then
    local r = unpack_record(packed)
    if spares(r) then
      return { now, {} }
    end
    if is_live(r) then
      ended[1] = chosen
    end
    -- A tombstone stays until it expires, or the next attempt would publish again.
    if r.ended == 0 then
      gone[1] = chosen
    end
  elseif which == 'proven' then
    -- A signed token names a session that the store lost. Its access tokens may live, so it is published all the same;
    -- the tombstone keeps repeats from doing so again. It is no session: nothing counts, lists or revives it.
    local tombstones = {}
    local flat = redis.call('HGETALL', SESSIONS)
    for i = 1, #flat, 2 do
      local readable, r = pcall(unpack_record, flat[i + 1])
      if readable and r.ended == 1 then
        tombstones[#tombstones + 1] = { flat[i], r.created_at }
      end
    end
    publish_ended({ chosen }, retention)
    remove({ chosen })
    table.sort(tombstones, function(a, b) return a[2] < b[2] end)
    for i = 1, #tombstones - (room - 1) do
      remove({ tombstones[i][1] })
    end
    redis.call('HSET', SESSIONS, chosen, pack_record({
      ended = 1, generation = 1, previous = 0, epoch = 0,
      created_at = now, rotated_at = 0, confirmed_at = 0, access_expired_at = 0,
      idle_end = now + retention, absolute_end = now + retention,
    }))
    keep(SESSIONS, retention)
    return { now, {} }
  end
elseif which == 'others' then
  for _, session in ipairs(walk()) do
    if session[1] ~= chosen and not spares(session[2]) then
      ended[#ended + 1] = session[1]
    end
  end
  gone = ended
else
  -- The only verb that removes what it cannot read, and it takes that for live: ending everything must always work.
  local flat = redis.call('HGETALL', SESSIONS)
  for i = 1, #flat, 2 do
    local readable, r = pcall(unpack_record, flat[i + 1])
    if readable and spares(r) then
      spared = true
    else
      if not readable or r.ended == 0 then
        gone[#gone + 1] = flat[i]
      end
      if #flat[i] == 16 and (not readable or is_live(r)) then
        ended[#ended + 1] = flat[i]
      end
    end
  end
end

publish_ended(ended, retention)
remove(gone)
if which == 'all' and not spared then
  local kept = redis.call('HMGET', DATA, EXPIRED_AT, PENDING)
  redis.call('DEL', DATA)
  if kept[1] then
    redis.call('HSET', DATA, EXPIRED_AT, kept[1])
    keep(DATA, EXPIRY_REMEMBERED)
  end
  if kept[2] then
    redis.call('HSET', DATA, PENDING, kept[2])
    keep(DATA, math.max(retention, (struct.unpack('>I8', kept[2]))))
  end
end
return { now, ended }
