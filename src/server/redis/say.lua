-- A line. The log takes each line identity (owner, number) once.
-- ARGV: server, attach, request, fence, owner, number, at, upstream, from, text, most identities,
--       keep
-- Replies 'kept'; 'repeated', position; 'fenced'; 'stale'.
local fence, owner, number, at, upstream, from, text, most, keep = unpack(ARGV, 4)
if stale() then return { 'stale' } end
local it = seat(fence)
if not it or it.server ~= server or it.owner ~= owner then return { 'fenced' } end

local identity = owner .. ':' .. number
local before = redis.call('ZSCORE', key('said'), identity)
if before then return { 'repeated', digits(before) } end
local position = append(keep, 'change', 'said', 'fence', fence, 'owner', owner, 'number', number,
  'at', at, 'upstream', upstream, 'from', from, 'text', text)
redis.call('ZADD', key('said'), position, identity)
redis.call('ZREMRANGEBYRANK', key('said'), 0, -1 - most)

-- Numbers wrap around (RFC 1982).
if (number - (redis.call('HGET', key('next'), fence) or number)) % 65536 < 32768 then
  redis.call('HSET', key('next'), fence, (number + 1) % 65536)
end
return { 'kept' }
