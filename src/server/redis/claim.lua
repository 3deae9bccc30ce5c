-- Claims a name: a peer joins.
-- ARGV: server, attach, request, key, nickname, proof, owner, next, expiry and hold (ms), most
--       seats, keep
-- Replies 'kept'; 'taken'; 'held', for how many milliseconds; 'full'; 'stale'.
local name, nickname, proof, owner, next, expiry, hold, most, keep = unpack(ARGV, 4)
if stale() then return { 'stale' } end
expiry, hold = tonumber(expiry), tonumber(hold)

local fence = redis.call('HGET', key('names'), name)
local it = fence and seat(fence)
local replaces = ''
if it and it.server == server and it.request == request then return { 'kept' } end
if it and it.proof == proof then
  -- All servers go on to show the same spelling.
  replaces, nickname = fence, it.nickname
elseif it then
  local other = known(it.server)
  if other and clock() - other.renewed < expiry + hold then return { 'taken' } end
  depart(keep, fence, it, 'timeout', '', 0)
else
  local held = redis.call('GET', key('hold', name))
  if held and held ~= proof then return { 'held', redis.call('PTTL', key('hold', name)) } end
end
if replaces == '' and redis.call('HLEN', key('seats')) >= tonumber(most) then return { 'full' } end

if replaces ~= '' then
  redis.call('HDEL', key('seats'), fence)
  redis.call('HDEL', key('next'), fence)
  redis.call('SREM', key('of', it.server), fence)
end
redis.call('DEL', key('hold', name))
fence = append(keep, 'change', 'joined', 'nickname', nickname, 'owner', owner,
  'next', next, 'replaces', replaces)
redis.call('HSET', key('seats'), fence,
  table.concat({ server, request, proof, owner, next, name, nickname }, '\n'))
redis.call('HSET', key('next'), fence, next)
redis.call('HSET', key('names'), name, fence)
redis.call('SADD', key('of', server), fence)
return { 'kept' }
