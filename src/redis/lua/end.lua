-- ARGV: now, 'one', 'proven', 'others' or 'all', the sid that is meant or kept, log retention, greatest number of tombstones
-- of a user, age below which a session is spared; the cursor, '0' at first, and the time of the first batch, '' at
-- first.
local which, chosen, retention, room, min_age = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local ended, removed = {}, {}
local is_first, since = ARGV[8] == '', tonumber(ARGV[8]) or now

-- EndSessions::spares, by the time of the first batch, so that later batches do not end more.
local function is_spared(r)
  return r.created_at <= now and since - r.created_at < min_age
end

if which == 'one' or which == 'proven' then
  local packed = redis.call('HGET', SESSIONS, chosen)
  if packed then
    local r = unpack_record(packed)
    if is_spared(r) then
      return { now, {}, '0', '' }
    end
    if is_live(r) then
      ended[1] = chosen
    end
    -- A tombstone stays until it expires, or the next attempt would publish again.
    if r.ended == 0 then
      removed[1] = chosen
    end
  elseif which == 'proven' then
    -- A signed token names a session that the store lost. Its access tokens may still be valid, so its end is published.
    -- The tombstone prevents that repeats publish it again. It is no session: it is neither counted nor listed.
    publish_ended({ chosen }, retention)
    remove({ chosen })
    local tombstones = (redis.call('HGET', DATA, TOMBSTONES) or '') .. chosen
    while #tombstones > room * 16 do
      local oldest = string.sub(tombstones, 1, 16)
      local there = redis.call('HGET', SESSIONS, oldest)
      if there and unpack_record(there).ended == 1 then
        remove({ oldest })
      end
      tombstones = string.sub(tombstones, 17)
    end
    redis.call('HSET', SESSIONS, chosen, pack_record({
      ended = 1, generation = 1, previous = 0, epoch = 0,
      created_at = now, rotated_at = 0, confirmed_at = 0, access_expired_at = 0,
      idle_end = now + retention, absolute_end = now + retention,
    }))
    keep(SESSIONS, retention)
    redis.call('HSET', DATA, TOMBSTONES, tombstones)
    keep(DATA, retention)
    return { now, {}, '0', '' }
  end
  publish_ended(ended, retention)
  remove(removed)
  return { now, ended, '0', '' }
end

local flat, cursor = next_batch(ARGV[7])

-- Spares what began after the first batch. What began in the future began before the clock was set back.
local function is_meant(r)
  return r.ended == 0 and not is_spared(r) and (is_first or r.created_at <= since or r.created_at > now)
end

for i = 1, #flat, 2 do
  local readable, r = pcall(unpack_record, flat[i + 1])
  -- Only an end of all removes unreadable values, which count as live: it must always succeed.
  if which == 'others' and not (readable and #flat[i] == 16) then
    unreadable()
  end
  if (which == 'all' or flat[i] ~= chosen) and (not readable or is_meant(r)) then
    removed[#removed + 1] = flat[i]
    if #flat[i] == 16 and (not readable or is_live(r)) then
      ended[#ended + 1] = flat[i]
    end
  end
end

publish_ended(ended, retention)
if is_first then
  -- For logins that are under way: create.lua reads it. Its age counts from when this end, or a later one, was requested.
  local expired_at, ended_at, before = read_marks()
  leave_end_mark(next_mark(expired_at, ended_at), math.max(micros - min_age * 1000, before or 0))
end
remove(removed)
if which == 'all' and cursor == '0' and redis.call('EXISTS', SESSIONS) == 0 then
  -- Data that belongs to no session is removed as well.
  local fields = { EXPIRED_AT, ENDED_AT, TOMBSTONES, PENDING }
  local kept = redis.call('HMGET', DATA, unpack(fields))
  -- Values that something else has written go, too. The mark of this end stands for that of an expiry.
  kept[1] = kept[1] and tonumber(kept[1]) and kept[1]
  local published_within = kept[4] and #kept[4] >= 8 and struct.unpack('>I8', kept[4]) or 0
  if published_within == 0 or published_within >= EXACT then
    kept[4], published_within = false, 0
  end
  redis.call('DEL', DATA)
  for i, field in ipairs(fields) do
    if kept[i] then
      redis.call('HSET', DATA, field, kept[i])
    end
  end
  keep(DATA, math.max(MARKS_REMEMBERED, retention, published_within))
end
return { now, ended, cursor, text(since) }
