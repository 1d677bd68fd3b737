-- ARGV: now, sid. The caller decides whether the record is live.
return { now, redis.call('HGET', SESSIONS, ARGV[2]), redis.call('HGET', DATA, 'd' .. ARGV[2]) }
