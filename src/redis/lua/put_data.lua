-- ARGV: now, sid, expected version, new version, data. Versions are compared in their packed form, eight bytes, so
-- that none is too large for Lua.
local sid, expected, version = ARGV[2], ARGV[3], ARGV[4]
local r = find_live(sid)
if not r then
  return { now, 'ended' }
end
local current = redis.call('HGET', DATA, 'd' .. sid)
if current and #current < 8 then
  unreadable()
end
if (current and string.sub(current, 1, 8) or string.rep('\0', 8)) ~= expected then
  return { now, 'conflict' }
end
redis.call('HSET', DATA, 'd' .. sid, version .. ARGV[5])
keep_user(r)
return { now, 'stored' }
