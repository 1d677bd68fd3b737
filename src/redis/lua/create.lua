-- ARGV: now, sid, refresh lifetime, absolute lifetime, log retention, limit (0: none), 'evict' or 'refuse', the
-- session to replace or '', then user agent, ip and data, each '' or '+' and the value;
-- then the claims: age, and time and epoch of the expiry that they are newer than.
local sid, refresh, absolute, retention = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local limit, when_full, replaces = tonumber(ARGV[6]), ARGV[7], ARGV[8]

local expired_at = tonumber(redis.call('HGET', DATA, EXPIRED_AT) or 0)
if expired_at ~= 0 and elapsed(expired_at) >= EXPIRY_REMEMBERED then
  expired_at = 0
end
if are_claims_outdated(ARGV[12], ARGV[13], ARGV[14], expired_at, 0) then
  return { now, 'outdated', expired_at, 0 }
end

local sessions = walk()
if redis.call('HEXISTS', SESSIONS, sid) == 1 and not find_live(sid) then
  error('the identifier of the new session belongs to one that was ended')
end

local ended, others = {}, {}
for _, session in ipairs(sessions) do
  if session[1] == replaces then
    ended[1] = replaces
  else
    others[#others + 1] = session
  end
end

if limit > 0 and #others > limit - 1 then
  if when_full == 'refuse' then
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
  table.sort(others, function(a, b)
    local x, y = refreshed_at(a[2]), refreshed_at(b[2])
    if x ~= y then
      return x < y
    end
    return precedes(a[1], b[1])
  end)
  for i = 1, #others - (limit - 1) do
    ended[#ended + 1] = others[i][1]
  end
end
-- By an earlier login, which has reported a failure: this one reports that it is over.
if is_pending(replaces) then
  ended[#ended + 1] = replaces
end
local is_published = publish_ended(ended, retention)
remove(ended)

local absolute_end = now + absolute
local r = {
  ended = 0, generation = 1, previous = 0, epoch = 0,
  created_at = now, rotated_at = 0, confirmed_at = 0, access_expired_at = expired_at,
  idle_end = math.min(now + refresh, absolute_end), absolute_end = absolute_end,
}
local packed = pack_record(r)
redis.call('HSET', SESSIONS, sid, packed)
for i, kind in ipairs({ 'u', 'i' }) do
  if ARGV[8 + i] ~= '' then
    redis.call('HSET', DATA, kind .. sid, string.sub(ARGV[8 + i], 2))
  end
end
if ARGV[11] ~= '' then
  redis.call('HSET', DATA, 'd' .. sid, struct.pack('>I8', 1) .. string.sub(ARGV[11], 2))
end
keep_user(r)
if not is_published then
  await_publication(sid)
end
return { now, 'created', packed, ended }
