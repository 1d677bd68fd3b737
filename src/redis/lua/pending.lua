-- Publishing when the log is on another server: revocations are kept with the user until they are published. The protocol
-- is described in cluster/mod.rs.
--
-- For each { sid, smallest valid epoch, when it was revoked }. Epoch 0 is a session on probation, whose login ends others,
-- until those are published. Revocations of that session have an entry of their own.
local pending, pending_retention = {}, 0
-- The sessions that this step revoked, and the one that it created on probation.
local own, created = {}, ''
-- A step that has not finished after this long has failed or was stopped. In milliseconds.
local LEFT_BEHIND = 1000

-- The field: the log retention, then 28 bytes for each.
local function read_pending()
  local packed = redis.call('HGET', DATA, PENDING)
  if not packed then
    return
  end
  if #packed < 8 or (#packed - 8) % 28 ~= 0 then
    unreadable()
  end
  pending_retention = struct.unpack('>I8', packed)
  for at = 9, #packed, 28 do
    local epoch, since = struct.unpack('>I4I8', packed, at + 16)
    pending[#pending + 1] = { string.sub(packed, at, at + 15), epoch, since }
  end
end

local function write_pending()
  -- First the command that needs no memory: sessions must end even when it is full.
  redis.call('HDEL', DATA, PENDING)
  if #pending == 0 then
    return
  end
  local parts = { struct.pack('>I8', pending_retention) }
  for _, entry in ipairs(pending) do
    parts[#parts + 1] = entry[1] .. struct.pack('>I4I8', entry[2], entry[3])
  end
  redis.call('HSET', DATA, PENDING, table.concat(parts))
  keep(DATA, pending_retention)
end

local function add_pending(sid, epoch)
  for _, entry in ipairs(pending) do
    if entry[1] == sid and entry[2] > 0 then
      entry[2], entry[3] = math.max(entry[2], epoch), now
      return
    end
  end
  pending[#pending + 1] = { sid, epoch, now }
end

publish = function(revoked, retention)
  for _, pair in ipairs(revoked) do
    own[pair[1]] = true
    add_pending(pair[1], pair[2])
  end
  if #revoked > 0 then
    pending_retention = math.max(pending_retention, retention)
    write_pending()
  end
  return #revoked == 0
end

is_pending = function(sid)
  for _, entry in ipairs(pending) do
    if entry[1] == sid and entry[2] == ENDED then
      return true
    end
  end
  return false
end

await_publication = function(sid)
  created = sid
  pending[#pending + 1] = { sid, 0, now }
  write_pending()
end

read_pending()
do
  -- Logins that failed: no client has the tokens of these sessions.
  local kept, failed = {}, {}
  for _, entry in ipairs(pending) do
    if entry[2] == 0 and elapsed(entry[3]) >= LEFT_BEHIND then
      failed[#failed + 1] = entry[1]
    else
      kept[#kept + 1] = entry
    end
  end
  if #failed > 0 then
    pending = kept
    write_pending()
    remove(failed)
  end
end

