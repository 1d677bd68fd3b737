-- ARGV: now, log retention; the cursor, '0' at first, and the mark of the batch before, '' at first.
--
-- The greatest u32 means "ended" in the log, so no epoch reaches it.
local is_first = ARGV[4] == ''
local flat, cursor = next_batch(ARGV[3])
local expired_at, ended_at = read_marks()
-- Expiries that overlap all continue with the latest mark, so that none repeats what another has done.
local mark = is_first and next_mark(expired_at, ended_at) or math.max(tonumber(ARGV[4]), expired_at or 0)

-- Whether the session was already seen (a scan of a growing hash may return it twice) or began after the mark: then it has
-- the time of the mark, or of a later end. Any other time says nothing, even a later one: it may lie ahead, or a refresh
-- wrote it when it raised a lost epoch, maybe with claims from before the mark.
local function is_done(r)
  return r.access_expired_at == mark or r.access_expired_at == math.max(mark, ended_at or 0)
end

local raised, changed, longest = {}, {}, nil
for _, session in ipairs(live_of(flat)) do
  local sid, r = session[1], session[2]
  if is_first or not is_done(r) then
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
if mark ~= expired_at then
  -- For logins that are under way: create.lua reads it.
  leave_mark(EXPIRED_AT, text(mark))
end
if longest then
  call_with('HSET', SESSIONS, changed)
  keep_user(longest)
end
return { now, raised, cursor, text(mark) }
