-- May this callback be sent? ARGV[7..]: its event's time, lease, whether somebody asked for it, for how long its worker
-- waits where a slot is all that it lacks.
-- Gives why not ("" for yes), for how long, and its place in the line, or 1 when it is a probe.
local at, lease_s, on_request, wait_s = ARGV[7], tonumber(ARGV[8]), ARGV[9] == '1', tonumber(ARGV[10])
local open_until, not_before = number('open_until'), number('not_before')
local why, wait = '', 0

if not on_request and call('HEXISTS', disabled, target) == 1 then
  why = 'disabled'
elseif not on_request and open_until and now < open_until then
  why, wait = 'open', open_until - now
elseif not_before and now < not_before then
  why, wait = 'throttled', not_before - now
elseif not call('ZSCORE', slots, job) and call('ZCARD', slots) >= concurrency then
  why = 'busy'
elseif tokens() < 1 then
  why, wait = 'rate', (1 - tokens()) / rate
end

call('ZREM', waiting, job)
if why ~= '' then
  call('ZREM', slots, job)
  call('ZADD', line, at, job)
  call('EXPIRE', line, keep_s)
  if why == 'busy' and wait_s > 0 then
    call('ZADD', waiting, now + wait_s, job)
    call('EXPIRE', waiting, keep_s)
  end
  return {why, tostring(wait), call('ZRANK', line, job)}
end

call('ZREM', line, job)
call('ZADD', slots, now + lease_s, job)
call('EXPIRE', slots, keep_s)
if rate > 0 then
  call('HSET', state, 'tokens', tostring(tokens() - 1), 'tokens_at', tostring(now))
end
local probe = 0
if open_until and not on_request then
  -- One at a time: the others wait for what becomes of it.
  probe = 1
  call('HSET', state, 'open_until', tostring(now + lease_s))
end
call('EXPIRE', state, keep_s)
return {'', '0', probe}
