-- Adds hits to a window, and creates or extends it with its timer, in one step.
-- KEYS: open windows (zset by due time), generations of open windows (hash), generation counter, prefix of windows
-- ARGV: window key, now, window, max_wait, max_count, slide (0 or 1), hits...
-- Times are milliseconds. The rule is domain::window's; the conformance suite compares the two.
local open, generations, counter, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, now = ARGV[1], tonumber(ARGV[2])
local window, max_wait = tonumber(ARGV[3]), tonumber(ARGV[4])
local max_count, slide = tonumber(ARGV[5]), ARGV[6] == '1'

local generation = redis.call('HGET', generations, key)
-- A window whose state was evicted is as good as gone: the sweep brings its hits.
if generation and redis.call('HEXISTS', prefix .. key .. '\n' .. generation, 'due') == 0 then
    redis.call('UNLINK', prefix .. key .. '\n' .. generation .. '\nmembers')
    generation = false
end
local fresh = not generation
if fresh then
    -- Never a number twice, not even after a flush: a claim from before must not meet a window from after.
    generation = redis.call('INCR', counter)
    if generation < now then
        generation = now
        redis.call('SET', counter, generation)
    end
    generation = string.format('%.0f', generation)
    redis.call('HSET', generations, key, generation)
end
local state = prefix .. key .. '\n' .. generation
local members = state .. '\nmembers'

local joining = 0
for i = 7, #ARGV do
    joining = joining + redis.call('ZADD', members, 'NX', 0, ARGV[i])
end

local opened, due, hard_due, count
if fresh then
    opened, count = now, joining
    hard_due = opened + max_wait
    due = now + window
else
    local old = redis.call('HMGET', state, 'opened', 'due', 'hard_due', 'count')
    opened, count = tonumber(old[1]), tonumber(old[4]) + joining
    local old_due, old_hard = tonumber(old[2]), tonumber(old[3])
    hard_due = math.min(old_hard, math.max(opened + max_wait, now))
    if slide and joining > 0 then
        due = math.max(old_due, now + window)
    else
        due = math.min(old_due, now + window)
    end
end
if count >= max_count then due = now end
due = math.min(due, hard_due)
redis.call('HSET', state, 'opened', opened, 'due', due, 'hard_due', hard_due, 'count', count)
redis.call('ZADD', open, due, key)
return count
