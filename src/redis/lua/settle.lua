-- ARGV: now, the published revocations in the format of the log, and the time of the step. Later revocations stay. A
-- session with epoch 0 is the one that the step created on probation; only that login completes it.
local published, settled, left = {}, false, {}
for at = 1, #ARGV[2], 20 do
  local sid, epoch = string.sub(ARGV[2], at, at + 15), (struct.unpack('>I4', ARGV[2], at + 16))
  if epoch == 0 then
    created = sid
  else
    published[sid] = epoch
  end
end
for _, entry in ipairs(pending) do
  local sid, epoch = entry[1], entry[2]
  if epoch == 0 and sid == created then
    settled = true
  elseif (published[sid] or -1) < (epoch == 0 and ENDED or epoch) then
    left[#left + 1] = entry
  end
end
if #left < #pending then
  pending = left
  write_pending()
end
-- A session that is no longer on probation was ended by another step, or the login took too long.
if created ~= '' and not settled and elapsed(tonumber(ARGV[3])) >= LEFT_BEHIND then
  return { now, 'lost' }
end
return { now, 'settled' }
