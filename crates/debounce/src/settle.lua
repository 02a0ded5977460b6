-- Ends a claim, if its token still holds the lease: forgets the window, or ends the lease at a given time.
-- KEYS: claimed windows (zset by lease end), prefix
-- ARGV: window key and generation joined by a newline, token, new lease end or '' to forget
local claimed, prefix = KEYS[1], KEYS[2]
local name, token, lease_end = ARGV[1], ARGV[2], ARGV[3]
if redis.call('HGET', prefix .. name, 'token') ~= token then return 0 end
if lease_end == '' then
    redis.call('ZREM', claimed, name)
    redis.call('UNLINK', prefix .. name, prefix .. name .. '\nmembers')
else
    redis.call('ZADD', claimed, lease_end, name)
end
return 1
