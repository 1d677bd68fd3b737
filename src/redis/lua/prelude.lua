-- The common part, which precedes every script. Runs on Redis 6.2 and later, and on Valkey.
--
-- KEYS: the user's sessions, their data and, if one server has all keys, the revocation log.
-- ARGV[1]: 'c' and the time in milliseconds, from a test clock; or 'd' and the time of the server after which the caller
-- no longer waits; or nothing.
--
-- Lua's numbers are doubles: whole numbers are exact below 2^53, which no value here may reach.
local SESSIONS, DATA = KEYS[1], KEYS[2]
local FORMAT, PACKED_LEN, VERSION = '>BBI4I4I4I8I8I8I8I8I8', 62, 1
-- Of sessions that are bound to a device: with the time of that. Values of more than 64 bytes would unpack the hash.
local BOUND_FORMAT, BOUND_LEN, BOUND, LAST = '>BBI4I4I4I6I6I6I6I6I6I6', 56, 2, 281474976710655
local EXACT = 9007199254740992
local MAX_U32 = 4294967295
-- Above every epoch: the session has ended.
local ENDED = MAX_U32
-- The fields of the marks that logins check, and how long these count, in milliseconds. One has the time of the last
-- expire_access; the other that of the last end of all or of the others, then when it was requested, in microseconds.
local EXPIRED_AT, ENDED_AT, MARKS_REMEMBERED = 'x', 'e', 3600000
-- The field with the identifiers of tombstones, oldest first.
local TOMBSTONES = 't'
-- How far clocks may differ, in milliseconds.
local MAX_CLOCK_SKEW = 60000
-- How many sessions one script of a batched step looks at.
local BATCH = 250
-- The field with revocations that are not published yet; only in a cluster.
local PENDING = 'p'

local now, micros
local by_test_clock = string.sub(ARGV[1], 1, 1) == 'c'
if by_test_clock then
  now = tonumber(string.sub(ARGV[1], 2))
  micros = now * 1000
else
  local time = redis.call('TIME')
  micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  now = math.floor(micros / 1000)
  -- A server that was suspended runs what it was sent in the meantime when it resumes. The caller has reported a failure
  -- by then, so nothing may change.
  if ARGV[1] ~= '' and now > tonumber(string.sub(ARGV[1], 2)) then
    return { now, 'late' }
  end
end

-- Lua would write large numbers with an exponent.
local function text(number)
  return string.format('%.0f', number)
end

local function unreadable()
  error('a value in Redis is not a session record of a known version')
end

local function unpack_record(packed)
  local version = string.byte(packed, 1)
  local is_bound = version == BOUND and #packed == BOUND_LEN
  if not is_bound and (version ~= VERSION or #packed ~= PACKED_LEN) or string.byte(packed, 2) > 1 then
    unreadable()
  end
  local r, at, _ = {}, nil, nil
  _, r.ended, r.generation, r.previous, r.epoch, r.created_at, r.rotated_at, r.confirmed_at, r.access_expired_at,
    r.idle_end, r.absolute_end, at = struct.unpack(is_bound and BOUND_FORMAT or FORMAT, packed)
  -- struct.unpack returns the next position after the last value.
  r.bound_at = is_bound and at or 0
  if is_bound and at == 0 then
    unreadable()
  end
  if math.max(r.created_at, r.rotated_at, r.confirmed_at, r.access_expired_at, r.idle_end, r.absolute_end) >= EXACT then
    unreadable()
  end
  return r
end

local function pack_record(r)
  if (r.bound_at or 0) ~= 0 then
    local function time(at)
      return math.min(at, LAST)
    end
    return struct.pack(BOUND_FORMAT, BOUND, r.ended, r.generation, r.previous, r.epoch, time(r.created_at),
      time(r.rotated_at), time(r.confirmed_at), time(r.access_expired_at), time(r.idle_end), time(r.absolute_end),
      time(r.bound_at))
  end
  return struct.pack(FORMAT, VERSION, r.ended, r.generation, r.previous, r.epoch, r.created_at, r.rotated_at,
    r.confirmed_at, r.access_expired_at, r.idle_end, r.absolute_end)
end

local function expires_at(r)
  return math.min(r.idle_end, r.absolute_end)
end

local function is_live(r)
  return r.ended == 0 and now < expires_at(r)
end

-- How long ago; zero when it is in the future.
local function elapsed(since)
  return math.max(now - since, 0)
end

-- Whether a time is further ahead than clocks may differ: it was taken before the clock was set back, and its age is
-- unknown.
local function is_ahead(at)
  return at > now + MAX_CLOCK_SKEW
end

-- The record of a live session and its packed form, or nil.
local function find_live(sid)
  local packed = redis.call('HGET', SESSIONS, sid)
  if not packed then
    return nil
  end
  local r = unpack_record(packed)
  if not is_live(r) then
    return nil
  end
  return r, packed
end

-- Only ever extends the time to live of a key (PEXPIRE GT would need Redis 7). Never below a minute: keys expire by the
-- server's time also where a test clock stands still.
local function keep(key, millis)
  millis = math.max(millis, 60000)
  local ttl = redis.call('PTTL', key)
  if ttl ~= -2 and ttl < millis then
    redis.call('PEXPIRE', key, text(millis))
  end
end

local function keep_user(r)
  local millis = expires_at(r) - now
  keep(SESSIONS, millis)
  keep(DATA, millis)
end

-- Calls a command on a key with any number of arguments: Lua cannot pass more than some thousands at a time.
local function call_with(command, key, args)
  for i = 1, #args, 1000 do
    redis.call(command, key, unpack(args, i, math.min(i + 999, #args)))
  end
end

local function remove(sids)
  local data = {}
  for _, sid in ipairs(sids) do
    for _, kind in ipairs({ 'u', 'i', 'a', 'd', 'k' }) do
      data[#data + 1] = kind .. sid
    end
  end
  call_with('HDEL', SESSIONS, sids)
  call_with('HDEL', DATA, data)
end

-- The live sessions among these fields and values, as { sid, record } pairs. Removes those that have expired, and fails
-- if one is unreadable.
local function live_of(flat)
  local live, expired = {}, {}
  for i = 1, #flat, 2 do
    local r = unpack_record(flat[i + 1])
    if #flat[i] ~= 16 then
      unreadable()
    end
    if now >= expires_at(r) then
      expired[#expired + 1] = flat[i]
    elseif r.ended == 0 then
      live[#live + 1] = { flat[i], r }
    end
  end
  remove(expired)
  return live
end

-- The next of the user's fields with their values, and the cursor, '0' when there are no more. Redis returns all of
-- them at once while it keeps the hash packed.
local function next_batch(cursor)
  local found = redis.call('HSCAN', SESSIONS, cursor, 'COUNT', BATCH)
  return found[2], found[1]
end

local function leave_mark(field, value)
  -- Free memory first: sessions must end even when it is full.
  redis.call('HDEL', DATA, field)
  redis.call('HSET', DATA, field, value)
  keep(DATA, MARKS_REMEMBERED)
end

local function leave_end_mark(at, at_micros)
  leave_mark(ENDED_AT, text(at) .. ' ' .. text(at_micros))
end

-- The times of the marks, for the end also that in microseconds: 0 if there is none, nil if it is unreadable. A mark that
-- lies ahead counts as left now, and is written back, so that it is never taken for older than it is.
local function read_marks()
  local marks = redis.call('HMGET', DATA, EXPIRED_AT, ENDED_AT)
  local expired_at = tonumber(marks[1] or 0)
  local ended_at, ended_micros = string.match(marks[2] or '0 0', '^(%d+) (%d+)$')
  ended_at, ended_micros = tonumber(ended_at), tonumber(ended_micros)
  if expired_at and is_ahead(expired_at) then
    expired_at = now
    leave_mark(EXPIRED_AT, text(now))
  end
  if ended_at and is_ahead(ended_at) then
    ended_at, ended_micros = now, micros
    leave_end_mark(ended_at, ended_micros)
  end
  return expired_at, ended_at, ended_micros
end

-- The time for a mark that is left now. Later than both previous marks, even within one millisecond, so that a login that
-- knows of those is told of this one too.
local function next_mark(expired_at, ended_at)
  return math.max(now, (expired_at or 0) + 1, (ended_at or 0) + 1)
end

-- In the format of the log: for each { sid, smallest valid epoch } 20 bytes.
local function pack_revocations(revoked)
  local parts = {}
  for i, pair in ipairs(revoked) do
    parts[i] = pair[1] .. struct.pack('>I4', pair[2])
  end
  return table.concat(parts)
end

-- Defined by publish.lua or pending.lua.
--
-- publish(revoked, retention), with a list of { sid, smallest valid epoch }, returns whether it is done. It precedes all
-- other writes of a script: scripts are not rolled back, and this write is the most likely to be refused.
-- is_pending(sid): whether an earlier step ended the session and could not publish that.
-- await_publication(sid): keeps a new session on probation until the revocations are published.
local publish, is_pending, await_publication

local function publish_ended(sids, retention)
  local revoked = {}
  for i, sid in ipairs(sids) do
    revoked[i] = { sid, ENDED }
  end
  return publish(revoked, retention)
end

-- ClaimsAge::is_outdated_by: `age` and the expiry that the claims are newer than, its time and epoch, each '' or a number.
local function are_claims_outdated(age, known_at, known_epoch, expired_at, epoch)
  if age == '' or expired_at == 0 then
    return false
  end
  local is_known = expired_at == tonumber(known_at) and epoch == tonumber(known_epoch)
  return not is_known and elapsed(expired_at) <= tonumber(age)
end
