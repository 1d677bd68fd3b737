-- ARGV: now, log retention. The greatest u32 means "ended" in the log, so no epoch reaches it.
local sessions, raised = walk(), {}
local expired_before = tonumber(redis.call('HGET', DATA, EXPIRED_AT) or 0)
for i, session in ipairs(sessions) do
  local r = session[2]
  r.epoch = math.min(r.epoch + 1, MAX_U32 - 1)
  r.access_expired_at = now
  raised[i] = { session[1], r.epoch }
end
publish(raised, tonumber(ARGV[2]))
-- For logins that are under way: create.lua reads it. Later than the last time, also within one millisecond: a login
-- that has heard of that one must hear of this one too.
redis.call('HSET', DATA, EXPIRED_AT, text(math.max(now, expired_before + 1)))
keep(DATA, EXPIRY_REMEMBERED)
for _, session in ipairs(sessions) do
  redis.call('HSET', SESSIONS, session[1], pack_record(session[2]))
  keep_user(session[2])
end
return { now, raised }
