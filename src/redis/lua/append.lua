
-- KEYS: the log. ARGV: now, packed revocations, log retention.
append(ARGV[2], tonumber(ARGV[3]))
return { now }
