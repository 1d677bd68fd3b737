-- What every script shares; it is put in front of each of them. Runs on Redis 6.2 and later, and on Valkey.
--
-- KEYS: the user's sessions, what belongs to them and, where one server has it all, the revocation log.
-- ARGV[1]: 'c' and the time in milliseconds, from a test clock; or 'd' and the time of the server after which nobody
-- waits for the answer any more; or nothing.
--
-- Lua's numbers are doubles: whole numbers are exact below 2^53, and nothing here may reach that.
local SESSIONS, DATA = KEYS[1], KEYS[2]
local FORMAT, PACKED_LEN, VERSION = '>BBI4I4I4I8I8I8I8I8I8', 62, 1
local EXACT = 9007199254740992
local MAX_U32 = 4294967295
-- Above every epoch: the session has ended.
local ENDED = MAX_U32
-- The field with the time of the last expire_access, and how long it counts, in milliseconds.
local EXPIRED_AT, EXPIRY_REMEMBERED = 'x', 120000
-- The field with what is to be published; only in a cluster.
local PENDING = 'p'

local now
local by_test_clock = string.sub(ARGV[1], 1, 1) == 'c'
if by_test_clock then
  now = tonumber(string.sub(ARGV[1], 2))
else
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  -- A server that stood still runs afterwards what it was sent meanwhile. The caller has reported a failure by then,
  -- so nothing may happen.
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
  if #packed ~= PACKED_LEN or string.byte(packed, 1) ~= VERSION or string.byte(packed, 2) > 1 then
    unreadable()
  end
  local r, _ = {}, nil
  _, r.ended, r.generation, r.previous, r.epoch, r.created_at, r.rotated_at, r.confirmed_at, r.access_expired_at,
    r.idle_end, r.absolute_end = struct.unpack(FORMAT, packed)
  if math.max(r.created_at, r.rotated_at, r.confirmed_at, r.access_expired_at, r.idle_end, r.absolute_end) >= EXACT then
    unreadable()
  end
  return r
end

local function pack_record(r)
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

local function remove(sids)
  for _, sid in ipairs(sids) do
    redis.call('HDEL', SESSIONS, sid)
    redis.call('HDEL', DATA, 'u' .. sid, 'i' .. sid, 'd' .. sid)
  end
end

-- The live sessions of the user as { sid, record } pairs. Removes those that expired, never what it cannot read.
local function walk()
  local flat = redis.call('HGETALL', SESSIONS)
  local live, dead = {}, {}
  for i = 1, #flat, 2 do
    local r = unpack_record(flat[i + 1])
    if #flat[i] ~= 16 then
      unreadable()
    end
    if now >= expires_at(r) then
      dead[#dead + 1] = flat[i]
    elseif r.ended == 0 then
      live[#live + 1] = { flat[i], r }
    end
  end
  remove(dead)
  return live
end

-- As in the log: for each { sid, smallest valid epoch } 20 bytes.
local function pack_revocations(revoked)
  local parts = {}
  for i, pair in ipairs(revoked) do
    parts[i] = pair[1] .. struct.pack('>I4', pair[2])
  end
  return table.concat(parts)
end

-- publish.lua or pending.lua gives these their meaning.
--
-- publish(revoked, retention), with a list of { sid, smallest valid epoch }, says whether it is done. It comes before any
-- other write of a script: scripts are not rolled back, and this one is the most likely to be refused.
-- is_pending(sid): whether an earlier step ended the session and could not publish that.
-- await_publication(sid): until then the new session is one on probation. Only where it is not done.
local publish, is_pending, await_publication

local function publish_ended(sids, retention)
  local revoked = {}
  for i, sid in ipairs(sids) do
    revoked[i] = { sid, ENDED }
  end
  return publish(revoked, retention)
end

-- ClaimsAge::is_outdated_by: `age` and what the claims are newer than, the time and epoch of an expiry, each '' or a
-- number.
local function are_claims_outdated(age, known_at, known_epoch, expired_at, epoch)
  if age == '' or expired_at == 0 then
    return false
  end
  local is_known = known_at ~= '' and epoch <= tonumber(known_epoch) and expired_at <= tonumber(known_at)
  return not is_known and elapsed(expired_at) <= tonumber(age)
end
