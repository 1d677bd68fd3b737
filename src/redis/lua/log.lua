-- The revocation log. It is the last of the keys.
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

local function append(packed, retention)
  -- Trimmed by a command of its own: when memory is full, Redis refuses what needs more of it in a script that has not
  -- written yet, and sessions must end even then.
  redis.call('XTRIM', LOG, 'MINID', '~', text(math.max(now - retention, 0)))
  redis.call('XADD', LOG, log_id(), 'r', packed)
  keep(LOG, retention)
end
