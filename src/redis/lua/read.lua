-- ARGV: now, sid. The caller decides whether the record is live.
local found = redis.call('HMGET', DATA, 'k' .. ARGV[2], 'd' .. ARGV[2])
return { now, redis.call('HGET', SESSIONS, ARGV[2]), found[1], found[2] }
