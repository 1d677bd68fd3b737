-- ARGV: now, sid, the key of the device. It is kept once and never changes.
local r, packed = find_live(ARGV[2])
if not r then
  return { now, 'ended' }
end
if redis.call('HSETNX', DATA, 'k' .. ARGV[2], ARGV[3]) == 0 then
  return { now, 'known' }
end
keep_user(r)
return { now, 'registered', packed }
