-- Claims windows: first those whose lease ended, then open ones that are due, which closes their generation.
-- KEYS: open windows (zset), generations of open windows (hash), claimed windows (zset by lease end), prefix
-- ARGV: now, limit, lease end, token
-- Returns key, generation and claim count of each.
local open, generations, claimed, prefix = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now, limit, lease_end, token = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local result = {}

local function claim(name)
    local claims = redis.call('HINCRBY', prefix .. name, 'claims', 1)
    redis.call('HSET', prefix .. name, 'token', token)
    redis.call('ZADD', claimed, lease_end, name)
    local cut = string.find(name, '\n', 1, true)
    result[#result + 1] = { string.sub(name, 1, cut - 1), string.sub(name, cut + 1), claims }
end

for _, name in ipairs(redis.call('ZRANGEBYSCORE', claimed, '-inf', now, 'LIMIT', 0, limit)) do
    claim(name)
end
if #result < limit then
    for _, key in ipairs(redis.call('ZRANGEBYSCORE', open, '-inf', now, 'LIMIT', 0, limit - #result)) do
        local generation = redis.call('HGET', generations, key)
        redis.call('ZREM', open, key)
        redis.call('HDEL', generations, key)
        if generation then claim(key .. '\n' .. generation) end
    end
end
return result
