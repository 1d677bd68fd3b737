-- SessionRecord::rotate, row by row. The two must agree to the byte; a property test compares them.
--
-- ARGV: now, sid, presented generation, end of the token, 'fixed' or 'confirmed', window, two windows,
-- refresh lifetime, log retention, smallest valid epoch, then of the claims: age, and time and epoch of the expiry that
-- they are newer than; then whether the device has proven the attempt, 0 or 1.
local MAX_LOST_ANSWERS = 10
local sid, presented, token_end, kind = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local window, two_windows, refresh, retention =
  tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local min_epoch = tonumber(ARGV[10])

local r, before = find_live(sid)
if not r or now >= token_end or min_epoch == ENDED then
  return { now, 'ended' }
end
if r.bound_at ~= 0 and ARGV[14] ~= '1' then
  return { now, 'unproven' }
end
if are_claims_outdated(ARGV[11], ARGV[12], ARGV[13], r.access_expired_at, r.epoch) then
  return { now, 'outdated', r.access_expired_at, r.epoch }
end

if ARGV[14] == '1' and r.bound_at == 0 then
  r.bound_at = now
end
local rolled_back = 0
if r.epoch < min_epoch then
  rolled_back = 1
  r.epoch = min_epoch
  r.access_expired_at = now
end
if presented > r.generation then
  rolled_back = 1
  r.generation = presented
  r.previous = 0
end

local function is_within(at, time)
  return not is_ahead(at) and elapsed(at) < time
end

local function rotated_within(time)
  return r.rotated_at ~= 0 and is_within(r.rotated_at, time)
end

local function is_repeatable()
  if r.previous == 0 then
    return false
  end
  local open_since = kind == 'fixed' and r.rotated_at or r.confirmed_at
  if open_since == 0 then
    return kind == 'confirmed'
  end
  return is_within(open_since, window)
end

local function advance()
  r.previous = presented
  r.generation = math.min(r.generation + 1, MAX_U32)
  r.rotated_at = now
  r.confirmed_at = 0
  r.idle_end = math.min(now + refresh, r.absolute_end)
end

local outcome
if presented == r.generation then
  local just_rotated = rotated_within(two_windows)
  if kind == 'confirmed' and r.previous ~= 0 and r.confirmed_at == 0 then
    r.confirmed_at = now
  end
  if just_rotated or is_repeatable() then
    outcome = 'current'
  else
    advance()
    outcome = 'rotated'
  end
elseif r.previous == presented and is_repeatable() then
  if r.confirmed_at ~= 0 or rotated_within(window) then
    outcome = 'repeated'
  elseif rotated_within(two_windows) then
    outcome = 'current'
  elseif r.generation - presented <= MAX_LOST_ANSWERS then
    advance()
    outcome = 'rotated'
  end
end
if not outcome then
  publish_ended({ sid }, retention)
  remove({ sid })
  return { now, 'reused' }
end

local packed = pack_record(r)
if packed ~= before then
  redis.call('HSET', SESSIONS, sid, packed)
  keep_user(r)
end
return { now, outcome, packed, rolled_back }
