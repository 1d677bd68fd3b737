
-- Selects the revocations that are published before the answer: those of this step, those that others left behind, and all
-- of them if this step may be a retry, which is recognized by its session.
local reply = step()
local is_retry = completes or is_pending(ARGV[2])
local due, must, unfinished = {}, is_retry, {}
for _, entry in ipairs(pending) do
  local sid, epoch = entry[1], entry[2]
  if epoch > 0 and (is_retry or own[sid] or sid == ARGV[2] or elapsed(entry[3]) >= LEFT_BEHIND) then
    due[#due + 1] = entry
    must = must or own[sid]
    if epoch == ENDED and not own[sid] then
      unfinished[#unfinished + 1] = sid
    end
  end
end
if #due == 0 then
  return reply
end
return { now, 'pending', reply, must and 1 or 0, text(pending_retention), pack_revocations(due), created, unfinished }
