-- GCRA.  KEYS: the caller's   ARGV: interval ms, burst.   0 when allowed, else the ms to wait
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local interval = tonumber(ARGV[1])
local due = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now_ms)
local wait = due - now_ms - interval * (tonumber(ARGV[2]) - 1)
if wait > 0 then
  return math.ceil(wait)
end
redis.call('SET', KEYS[1], string.format('%d', due + interval), 'PX', string.format('%d', due + interval - now_ms))
return 0
