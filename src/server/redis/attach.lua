-- A server begins to take part, or continues on a new connection.
-- ARGV: server, attach, request, epoch position chain of its last entry ('' for none), an epoch
--       should a new one begin, addresses, hold (ms), keep
-- Replies 'continues', clock; or 'fresh', clock, epoch, position, chain, began, seats: the state at
-- that position; or 'stale'.
local epoch, position, chain, new, addresses, hold, keep = unpack(ARGV, 4)
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
  local entry = redis.call('XRANGE', key('log'), position .. '-0', position .. '-0')[1]
  if entry and entry[2][2] == chain then
    redis.call('HSET', key('servers'), server, record)
    return { 'continues', digits(now) }
  end
  local oldest = redis.call('XRANGE', key('log'), '-', '+', 'COUNT', 1)[1]
  local trimmed = oldest and tonumber(string.match(oldest[1], '%d+')) > tonumber(position)
  -- An older copy of the log, or another one that grew from an older copy: entries are lost.
  if not trimmed then begin() end
elseif epoch > state('epoch') then
  begin() -- epochs grow: an older state has come back
end

while not sweep(keep, server, tonumber(hold), 1000) do end
redis.call('DEL', key('mail', server))
redis.call('HSET', key('servers'), server, record)
local seats = {}
local all = redis.call('HGETALL', key('seats'))
for i = 1, #all, 2 do
  seats[#seats + 1] = { all[i], all[i + 1], redis.call('HGET', key('next'), all[i]) }
end
return { 'fresh', digits(now), state('epoch'), state('position'), state('chain'), state('began'),
  seats }
