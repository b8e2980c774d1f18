#!lua flags=allow-oom
-- release: end the lease now and wake those that stand by. Sent last, after the reply to every commit.
-- KEYS  1 record    ARGV  1 token
-- Reply 1 released   0 somebody else owns it
local head = redis.call('HGET', KEYS[1], '@head')
if not head or head:match('^(.*):') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], '@lease', '0')
redis.pcall('HDEL', KEYS[1], '@trying') -- whatever was tried did not kill its process
redis.pcall('PUBLISH', KEYS[1], 'released') -- a courtesy: standbys poll as well, and the user may lack the right
return 1
