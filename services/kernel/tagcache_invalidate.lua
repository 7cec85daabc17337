-- KEYS: tag...   ARGV: new nonce, lsn, tag ttl ms, channel, what to publish there
for i = 1, #KEYS do
  local floor = ARGV[2]
  local tag = redis.call('GET', KEYS[i])
  if tag then
    local own = string.sub(tag, string.find(tag, ':', 1, true) + 1)
    if own ~= '-' and own > floor then
      floor = own
    end
  end
  redis.call('SET', KEYS[i], ARGV[1] .. ':' .. floor, 'PX', ARGV[3])
end
return redis.call('PUBLISH', ARGV[4], ARGV[5])
