-- SETTLE: a reserved call has ended, with or without an answer.
--
-- KEYS  b, r as in reserve.lua
-- ARGV  id, n, inc and started (S at its start) as reserve.lua gave them, used and max of its header ('' without),
--       block (ms for which nothing is granted, 0 unless Salesforce said that the day's calls are spent),
--       fleet, ghost as in reserve.lua
local b, r = KEYS[1], KEYS[2]
local member, inc, started = ARGV[1] .. ':' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local used, max, block = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function field(name) return tonumber(redis.call('HGET', b, name) or nil) end

if block > 0 then redis.call('HSET', b, 'until', now + block) end
local life = redis.call('HGET', b, 'inc')
if not life then return 'lost' end
if life == inc and started > (field('S') or 0) then
  -- This server went back in time (a stale replica took over): what it forgot may be open, so begin anew.
  redis.call('HDEL', b, 'u', 'M', 'at', 'S0', 'tat')
  redis.call('HSET', b, 'inc', ARGV[1], 'G', ARGV[8], 'S', 0)
  redis.call('DEL', r)
  redis.call('ZADD', r, now + tonumber(ARGV[9]), 'ghost:' .. ARGV[8])
  return 'restarted'
end
if redis.call('ZREM', r, member) == 1 then redis.call('HINCRBY', b, 'S', ARGV[2]) end
if life ~= inc then return 'other life' end
if not used then return 'no header' end
local u, S0 = field('u'), field('S0') or 0
if u and not (started > S0 or (started == S0 and used >= u)) then return 'older' end
redis.call('HSET', b, 'u', used, 'M', max, 'S0', started, 'at', now)
return 'accepted'
