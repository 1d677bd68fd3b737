-- ARGV: now, sid. Whether the record is live is for the caller to judge.
return { now, redis.call('HGET', SESSIONS, ARGV[2]), redis.call('HGET', DATA, 'd' .. ARGV[2]) }
