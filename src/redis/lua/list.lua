-- ARGV: now, the cursor, '0' at first.
local flat, cursor = next_batch(ARGV[2])
local listed = {}
for i, session in ipairs(live_of(flat)) do
  local sid, r = session[1], session[2]
  local device = redis.call('HMGET', DATA, 'u' .. sid, 'i' .. sid, 'a' .. sid)
  listed[i] = { sid, pack_record(r), device[1], device[2], device[3] }
end
return { now, listed, cursor }
