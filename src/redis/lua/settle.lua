
-- ARGV: now, what was published, as in the log, and when the step was. Somebody may have revoked more since; that stays.
local published, settled, left = {}, {}, {}
for at = 1, #ARGV[2], 20 do
  published[string.sub(ARGV[2], at, at + 15)] = (struct.unpack('>I4', ARGV[2], at + 16))
end
for _, entry in ipairs(pending) do
  if (published[entry[1]] or -1) < entry[2] then
    left[#left + 1] = entry
  else
    settled[entry[1]] = true
  end
end
if #left < #pending then
  pending = left
  write_pending()
end
for sid, epoch in pairs(published) do
  -- A session that is not on probation any more was ended by somebody, or the login took too long.
  if epoch == 0 and not settled[sid] and elapsed(tonumber(ARGV[3])) >= LEFT_BEHIND then
    return { now, 'lost' }
  end
end
return { now, 'settled' }
