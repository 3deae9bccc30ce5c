-- A server begins to take part, or continues on a new connection.
-- ARGV: server, attach, request, epoch position chain of its last entry ('' for none), an epoch
--       should a new one begin, addresses, expiry and hold (ms), keep
-- Replies 'continues', clock, servers and their addresses; or 'fresh', clock, those, epoch,
-- position, chain, began, seats: the state at that position; or 'stale'.
local epoch, position, chain, new, addresses, expiry, hold, keep = unpack(ARGV, 4)
expiry, hold = tonumber(expiry), tonumber(hold)
local it = known(server)
if it and tonumber(it.attach) > tonumber(attach) then return { 'stale' } end

local now = clock()
local record = table.concat({ attach, digits(now), addresses }, '\n')
local function begin()
  for _, other in ipairs(redis.call('HKEYS', key('servers'))) do
    redis.call('DEL', key('of', other), key('mail', other))
  end
  redis.call('DEL', key('names'), key('seats'), key('next'), key('said'), key('servers'))
  redis.call('HSET', KEYS[1], 'epoch', new, 'beat', digits(now))
  redis.call('HSET', KEYS[1], 'began', append(keep, 'change', 'began', 'epoch', new))
end

-- What is left of a room whose state somebody deleted has no meaning.
if not state('epoch') then
  redis.call('DEL', key('log'))
  begin()
end
if epoch == state('epoch') then
  local found = find(position, chain)
  if found == 'here' then
    redis.call('HSET', key('servers'), server, record)
    return { 'continues', digits(now), alive(now, expiry) }
  end
  if found == 'lost' then begin() end
elseif epoch > state('epoch') then
  begin() -- epochs grow: an older state has come back
end

while not sweep(keep, server, hold, 1000) do end
redis.call('DEL', key('mail', server))
redis.call('HSET', key('servers'), server, record)
local seats = {}
local all = redis.call('HGETALL', key('seats'))
for i = 1, #all, 2 do
  seats[#seats + 1] = { all[i], all[i + 1], redis.call('HGET', key('next'), all[i]) }
end
return { 'fresh', digits(now), alive(now, expiry), state('epoch'), state('position'),
  state('chain'), state('began'), seats }
