-- What both scripts of the gate know. KEYS: the target's state, its slots, its line, the tenant's disabled targets,
-- who of the line waits in a worker, the engine's delayed jobs, the tenant's endpoints.
-- ARGV: now, the target, the job, how many at once, how many a second (0 for no limit), time to live.
local call, now, target, job = redis.call, tonumber(ARGV[1]), ARGV[2], ARGV[3]
local concurrency, rate, keep_s = tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local state, slots, line, disabled, waiting, delayed, endpoints = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]

local function number(field)
  return tonumber(call('HGET', state, field) or nil)
end

-- A bucket that holds what may be sent in a second, and at least one.
local function tokens()
  if rate == 0 then return 1000000 end
  local most = math.max(1, rate)
  local since = now - (number('tokens_at') or now)
  return math.min(most, (number('tokens') or most) + math.max(0, since) * rate)
end

call('ZREMRANGEBYSCORE', slots, '-inf', now)
