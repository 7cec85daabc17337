-- KEYS: entry, lease, tag...   ARGV: nonces of the read, payload, entry ttl ms, lease token, lsn of the primary or '', tag ttl ms
-- 1 when kept; 0 when a tag was told or lost since the read began.
if ARGV[4] ~= '' and redis.call('GET', KEYS[2]) == ARGV[4] then
  redis.call('DEL', KEYS[2])
end
local tags, nonces = {}, {}
for i = 3, #KEYS do
  local tag = redis.call('GET', KEYS[i])
  if not tag then
    return 0
  end
  local cut = string.find(tag, ':', 1, true)
  tags[i] = tag
  nonces[#nonces + 1] = string.sub(tag, 1, cut - 1)
end
if table.concat(nonces, ',') ~= ARGV[1] then
  return 0
end
for i = 3, #KEYS do
  if ARGV[5] ~= '' and string.sub(tags[i], -2) == ':-' then
    tags[i] = string.sub(tags[i], 1, -2) .. ARGV[5]
  end
  -- A tag outlives every entry under it, so that time alone voids nothing early.
  redis.call('SET', KEYS[i], tags[i], 'PX', ARGV[6])
end
redis.call('HSET', KEYS[1], 'n', ARGV[1], 'd', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
