-- The revocation log, which is the last of the keys.
local LOG = KEYS[#KEYS]

-- The next position by the test clock, as '*' would choose it by the server's.
local function log_id()
  if not by_test_clock then
    return '*'
  end
  if redis.call('EXISTS', LOG) == 1 then
    local info = redis.call('XINFO', 'STREAM', LOG)
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then
        local millis, sequence = string.match(info[i + 1], '^(%d+)-(%d+)$')
        if tonumber(millis) >= now then
          return millis .. '-' .. text(tonumber(sequence) + 1)
        end
      end
    end
  end
  return text(now) .. '-0'
end

-- The longest retention that was ever asked for, as the newest entry that states one has it; nil if none of the last
-- hundred does. Managers with different lifetimes share the log, and so do nodes while a deployment changes them.
local function longest_retention(asked)
  -- Every entry of this crate states it: more are read only if something else has written to the log.
  for _, count in ipairs({ 1, 100 }) do
    local newest = redis.call('XREVRANGE', LOG, '+', '-', 'COUNT', count)
    if #newest == 0 then
      return asked
    end
    for _, entry in ipairs(newest) do
      local fields = entry[2]
      for i = 1, #fields, 2 do
        local kept = fields[i] == 'k' and tonumber(fields[i + 1])
        if kept and kept >= 0 and kept < EXACT then
          return math.max(asked, kept)
        end
      end
    end
  end
  return nil
end

local function append(packed, retention)
  local longest = longest_retention(retention)
  -- Trimmed by a command of its own: when memory is full, Redis refuses commands that need more of it in a script that
  -- has not written yet, and sessions must end even then. Nothing is trimmed while the retention is unknown.
  redis.call('XTRIM', LOG, 'MINID', '~', text(longest and math.max(now - longest, 0) or 0))
  retention = longest or retention
  redis.call('XADD', LOG, log_id(), 'r', packed, 'k', text(retention))
  keep(LOG, retention)
end
