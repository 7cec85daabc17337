-- RESERVE: take n calls out of the fleet's daily allowance, or say why not.
--
-- KEYS  b counter hash, r open reservations (score = deadline), p the one probe's lock
-- ARGV  id, n, floor (share of M that this class leaves), ttl (ms until the reservation is given up),
--       fleet (calls that the whole fleet may have open), ghost (ms, the longest call), probe (ms),
--       fresh (ms a header is trusted), window (ms over which a paced class spreads, 0 = not paced), burst,
--       blind (1: while the usage is unknown this call itself may be the probe)
--
-- Fields of b: u, M last accepted header; at when it was accepted; G granted; S settled; S0 = S at the start of the
-- call that brought u; inc this life; until = refused until; tat = when a paced class is on schedule again.
-- Upper bound of the use: E = u + (G - S0).
local b, r, p = KEYS[1], KEYS[2], KEYS[3]
local id, n, floor, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local fleet, ghost, probe, fresh = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local window, burst, blind = tonumber(ARGV[9]), tonumber(ARGV[10]), ARGV[11] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local member = id .. ':' .. n

local function field(name) return tonumber(redis.call('HGET', b, name) or nil) end

local inc = redis.call('HGET', b, 'inc')
if not inc then
  -- A new life: calls of the old one may still be open, as many as the fleet can have, for one call's time.
  inc = id
  redis.call('HDEL', b, 'u', 'M', 'at', 'S0', 'tat')
  redis.call('HSET', b, 'inc', inc, 'G', fleet, 'S', 0)
  redis.call('DEL', r)
  redis.call('ZADD', r, now + ghost, 'ghost:' .. fleet)
end

for _, late in ipairs(redis.call('ZRANGEBYSCORE', r, '-inf', now)) do
  -- Past its deadline a call was counted by Salesforce or never sent.
  redis.call('HINCRBY', b, 'S', tonumber(string.match(late, ':(%d+)$')))
  redis.call('ZREM', r, late)
end

local S = field('S') or 0
if redis.call('ZSCORE', r, member) then return {'learn', inc, S} end

local blocked = (field('until') or 0) - now
if blocked > 0 then return {'blocked', blocked} end

local function grant(kind)
  redis.call('HINCRBY', b, 'G', n)
  redis.call('ZADD', r, now + ttl, member)
  return {kind, inc, S}
end

local u, M = field('u'), field('M')
local left = u and M - u - ((field('G') or 0) - (field('S0') or 0)) - floor * M
if not u or now - (field('at') or 0) > fresh then
  if not redis.call('SET', p, id, 'NX', 'PX', probe) then return {'unknown'} end
  local itself
  if u then itself = left >= n else itself = blind end
  return grant(itself and 'granted' or 'learn')
end
if left < n then return {'floor'} end
if window > 0 then
  local interval = window / left
  local tat = math.max(field('tat') or 0, now)
  local early = tat - now - burst * interval
  if early > 0 then return {'paced', math.ceil(early)} end
  redis.call('HSET', b, 'tat', tat + n * interval)
end
return grant('granted')
