-- ARGV: now, log retention; the cursor, '0' at first, and the mark that the first piece left, '' at first.
--
-- The greatest u32 means "ended" in the log, so no epoch reaches it.
local flat, cursor = next_piece(ARGV[3])
local mark = tonumber(ARGV[4]) or next_mark(read_marks())
local raised, changed, longest = {}, {}, nil
for _, session in ipairs(live_of(flat)) do
  local sid, r = session[1], session[2]
  -- A session with the mark began after it or was already seen: a scan of a growing hash may return it twice.
  if ARGV[4] == '' or r.access_expired_at < mark then
    r.epoch = math.min(r.epoch + 1, MAX_U32 - 1)
    r.access_expired_at = mark
    raised[#raised + 1] = { sid, r.epoch }
    changed[#changed + 1], changed[#changed + 2] = sid, pack_record(r)
    if not longest or expires_at(r) > expires_at(longest) then
      longest = r
    end
  end
end
publish(raised, tonumber(ARGV[2]))
if ARGV[4] == '' then
  -- For logins that are under way: create.lua reads it.
  leave_mark(EXPIRED_AT, text(mark))
end
if longest then
  call_with('HSET', SESSIONS, changed)
  keep_user(longest)
end
return { now, raised, cursor, text(mark) }
