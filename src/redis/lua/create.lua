-- ARGV: now, sid, refresh lifetime, absolute lifetime, log retention, limit (0: none), 'evict' or 'refuse', the
-- session to replace or '', then user agent, ip and data, each '' or '+' and the value;
-- then of the claims: age, and time and epoch of the expiry that they are newer than; and of the proof: '' for none, or
-- '+' and the mark that it is newer than, if any; then the actor, '' or '+' and the value.
local sid, refresh, absolute, retention = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local limit, when_full, replaces = tonumber(ARGV[6]), ARGV[7], ARGV[8]
-- Without a limit, a login looks at this many sessions and removes those that have expired. That keeps the share of
-- expired sessions below about a quarter, at a cost that does not grow with their number.
local LOOK_AT = 4

-- The time of a mark; 0 when there is none or it is too old.
local function remembered(at)
  return elapsed(at or unreadable()) < MARKS_REMEMBERED and at or 0
end

local expired_at, ended_at, ended_micros = read_marks()
expired_at, ended_at = remembered(expired_at), remembered(ended_at)
if ARGV[15] ~= '' and ended_at ~= 0 and ended_at ~= tonumber(string.sub(ARGV[15], 2)) then
  return { now, 'unproven', ended_at, text(math.max(micros - ended_micros, 0)) }
end
local marked_at = math.max(expired_at, ended_at)
if are_claims_outdated(ARGV[12], ARGV[13], ARGV[14], marked_at, 0) then
  return { now, 'outdated', marked_at, 0 }
end

local existing = redis.call('HGET', SESSIONS, sid)
if existing then
  local r = unpack_record(existing)
  if now >= expires_at(r) then
    remove({ sid })
  elseif r.ended == 1 then
    error('the identifier of the new session belongs to one that was ended')
  end
end

local ended = {}
if replaces ~= '' and find_live(replaces) then
  ended[1] = replaces
end

-- Look at all of them only when there may be too many.
if limit > 0 and redis.call('HLEN', SESSIONS) - #ended > limit - 1 then
  local others = {}
  for _, session in ipairs(live_of(redis.call('HGETALL', SESSIONS))) do
    if session[1] ~= replaces then
      others[#others + 1] = session
    end
  end
  local surplus = #others - (limit - 1)
  if surplus > 0 and when_full == 'refuse' then
    return { now, 'limit' }
  end
  local function refreshed_at(r)
    return r.rotated_at ~= 0 and r.rotated_at or r.created_at
  end
  -- Byte by byte: '<' on strings follows the server's locale.
  local function precedes(a, b)
    for i = 1, 16 do
      local x, y = string.byte(a, i), string.byte(b, i)
      if x ~= y then
        return x < y
      end
    end
    return false
  end
  local function goes_before(a, b)
    local x, y = refreshed_at(a[2]), refreshed_at(b[2])
    if x ~= y then
      return x < y
    end
    return precedes(a[1], b[1])
  end
  if surplus == 1 then
    local first = others[1]
    for i = 2, #others do
      if goes_before(others[i], first) then
        first = others[i]
      end
    end
    ended[#ended + 1] = first[1]
  elseif surplus > 1 then
    table.sort(others, goes_before)
    for i = 1, surplus do
      ended[#ended + 1] = others[i][1]
    end
  end
end
-- Ended by an earlier login, which reported a failure: this one reports the end.
if is_pending(replaces) then
  ended[#ended + 1] = replaces
end
local is_published = publish_ended(ended, retention)
remove(ended)
if limit == 0 then
  local expired, some = {}, redis.call('HRANDFIELD', SESSIONS, -LOOK_AT, 'WITHVALUES')
  for i = 1, #some, 2 do
    local readable, r = pcall(unpack_record, some[i + 1])
    if readable and now >= expires_at(r) then
      expired[#expired + 1] = some[i]
    end
  end
  remove(expired)
end

local absolute_end = now + absolute
local r = {
  ended = 0, generation = 1, previous = 0, epoch = 0,
  created_at = now, rotated_at = 0, confirmed_at = 0, access_expired_at = marked_at,
  idle_end = math.min(now + refresh, absolute_end), absolute_end = absolute_end,
}
local packed = pack_record(r)
redis.call('HSET', SESSIONS, sid, packed)
for i, kind in ipairs({ 'u', 'i' }) do
  if ARGV[8 + i] ~= '' then
    redis.call('HSET', DATA, kind .. sid, string.sub(ARGV[8 + i], 2))
  end
end
if ARGV[16] ~= '' then
  redis.call('HSET', DATA, 'a' .. sid, string.sub(ARGV[16], 2))
end
if ARGV[11] ~= '' then
  redis.call('HSET', DATA, 'd' .. sid, struct.pack('>I8', 1) .. string.sub(ARGV[11], 2))
end
keep_user(r)
if not is_published then
  await_publication(sid)
end
return { now, 'created', packed, ended }
