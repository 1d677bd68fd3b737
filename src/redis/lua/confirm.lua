-- ARGV: now, sid, generation.
local r = find_live(ARGV[2])
if r and r.generation == tonumber(ARGV[3]) and r.previous ~= 0 and r.confirmed_at == 0 then
  r.confirmed_at = now
  redis.call('HSET', SESSIONS, ARGV[2], pack_record(r))
  keep_user(r)
end
return { now }
