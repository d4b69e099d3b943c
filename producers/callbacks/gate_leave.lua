-- What came of a callback, and who is next. ARGV[7..]: result, whether it was a probe, whether somebody asked for it,
-- the wait that the receiver asked for ("" for none), what is written when it is gone, and when it keeps failing,
-- failures until the breaker opens, first and longest wait for a probe, failing time until it is disabled, lease, and
-- for how long a slot is kept. Gives what has changed, what those that wait in a worker are told ('go': they may without
-- asking again, 'ask', or 'shut': all of them ask), who of them has a slot now, and the jobs to promote.
local result, probe, on_request, asked_s = ARGV[7], ARGV[8] == '1', ARGV[9] == '1', ARGV[10]
local most_failures, probe_s, longest_s, disable_after_s = tonumber(ARGV[13]), tonumber(ARGV[14]), tonumber(ARGV[15]), tonumber(ARGV[16])
local lease_s, reserved_s, change = tonumber(ARGV[17]), tonumber(ARGV[18]), ''

-- What is written for an endpoint that is deleted in the meantime nobody would ever take away.
local function disable(why)
  if string.sub(target, 1, 3) == 'ep_' and call('HEXISTS', endpoints, target) == 0 then return end
  if call('HSETNX', disabled, target, why) == 1 then change = 'disabled' end
end

local function failed()
  local failures = call('HINCRBY', state, 'failures', 1)
  call('HSETNX', state, 'since', tostring(now))
  if failures < most_failures then return end
  if probe or not number('open_until') then
    local opened = call('HINCRBY', state, 'opened', 1)
    call('HSET', state, 'open_until', tostring(now + math.min(longest_s, probe_s * 2 ^ (opened - 1))))
    change = 'opened'
  end
  if now - number('since') >= disable_after_s then disable(ARGV[12]) end
end

local function slow_down()
  local wait_s = tonumber(asked_s)
  if wait_s == 0 then
    -- It did not say for how long: a second at first, each time twice as long, up to a minute.
    wait_s = math.min(60, 2 ^ (call('HINCRBY', state, 'throttled', 1) - 1))
  end
  call('HSET', state, 'not_before', tostring(math.max(number('not_before') or 0, now + wait_s)))
end

-- How many of the line are looked at for one that can go at once.
local looked_at = 100

call('ZREM', slots, job)
if not on_request then
  if result == 'delivered' then
    if number('open_until') then change = 'closed' end
    call('HDEL', state, 'failures', 'since', 'open_until', 'opened', 'throttled', 'not_before')
  elseif result == 'failed' then
    failed()
  elseif result == 'gone' then
    disable(ARGV[11])
  end
  if asked_s ~= '' then slow_down() end
  call('EXPIRE', state, keep_s)
end

local open_until, not_before = number('open_until'), number('not_before')
local shut = call('HEXISTS', disabled, target) == 1 or (open_until and now < open_until) or (not_before and now < not_before)
local room = math.min(concurrency - call('ZCARD', slots), math.floor(tokens()))
if open_until then room = math.min(room, 1) end
local word, called, released = (open_until or rate > 0) and 'ask' or 'go', {}, {}
if shut then return {change, 'shut', called, released} end
if room <= 0 then return {change, word, called, released} end
for _, id in ipairs(call('ZRANGE', line, 0, room + looked_at)) do
  local until_ = tonumber(call('ZSCORE', waiting, id) or 0)
  -- One that is neither is on its way: its slot would stand empty, and it asks by itself.
  local found = until_ > now and called or call('ZSCORE', delayed, id) and released
  if found and #called + #released < room then
    table.insert(found, id)
    call('ZREM', line, id)
    call('ZREM', waiting, id)
    call('ZADD', slots, now + (found == called and word == 'go' and lease_s or reserved_s), id)
  end
end
call('EXPIRE', slots, keep_s)
return {change, word, called, released}
