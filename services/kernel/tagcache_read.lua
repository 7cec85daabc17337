-- KEYS: entry, lease, tag...   ARGV: new nonce, lease token, tag ttl ms, lease ttl ms
-- A hit: {1, payload, nonces}.  A miss: {0, nonces, greatest floor, 1 when no floor is unknown, 1 when leased}
local nonces, floor, known = {}, '-', 1
for i = 3, #KEYS do
  local tag = redis.call('GET', KEYS[i])
  if not tag then
    -- Evicted or new: whatever was filled under the old nonce is void.
    tag = ARGV[1] .. ':-'
    redis.call('SET', KEYS[i], tag, 'PX', ARGV[3])
  end
  local cut = string.find(tag, ':', 1, true)
  local own = string.sub(tag, cut + 1)
  nonces[#nonces + 1] = string.sub(tag, 1, cut - 1)
  if own == '-' then
    known = 0
  elseif floor == '-' or own > floor then
    floor = own
  end
end
local joined = table.concat(nonces, ',')
local entry = redis.call('HMGET', KEYS[1], 'n', 'd')
if entry[1] == joined and entry[2] then
  return {1, entry[2], joined}
end
local leased = redis.call('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[4])
return {0, joined, floor, known, leased and 1 or 0}
