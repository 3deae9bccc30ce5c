-- Begins every script. KEYS[1] is the room's state, and its other keys are beside it:
--   chatagram:{ROOM}:state     hash: epoch; position and chain of the newest entry; position at
--                              which the epoch began; beat, the last renewal of any server; grace,
--                              until when no server is taken for dead; mail, the newest mail's id
--   chatagram:{ROOM}:log       stream of entries; the id is the position
--   chatagram:{ROOM}:names     hash: key of a name -> fence of its seat
--   chatagram:{ROOM}:seats     hash: fence -> server, request, proof, owner, next, key, nickname
--   chatagram:{ROOM}:next      hash: fence -> number of the next line
--   chatagram:{ROOM}:said      sorted set: owner and number of a line -> its position
--   chatagram:{ROOM}:servers   hash: server -> attach, time of the last renewal, addresses
--   chatagram:{ROOM}:of:S      set: fences of the seats of server S
--   chatagram:{ROOM}:mail:S    stream that expires: mail for server S
--   chatagram:{ROOM}:hold:K    string that expires: proof of the owner for whom name K is held
-- The fields of a record are lines. Times are milliseconds of this Redis.
local room = string.sub(KEYS[1], 1, -6)
local server, attach, request = ARGV[1], ARGV[2], ARGV[3]

local function key(name, of)
  return room .. name .. (of and ':' .. of or '')
end

local function state(field)
  return redis.call('HGET', KEYS[1], field)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- All digits of a whole number.
local function digits(number)
  return string.format('%.0f', number)
end

local function split(record)
  local fields = {}
  for field in string.gmatch(record .. '\n', '(.-)\n') do fields[#fields + 1] = field end
  return unpack(fields)
end

local function known(other)
  local record = redis.call('HGET', key('servers'), other)
  if not record then return nil end
  local its, renewed, addresses = split(record)
  return { attach = its, renewed = tonumber(renewed), addresses = addresses }
end

-- Whether this request is not of the server's newest connection, or of another epoch.
local function stale()
  local it = known(server)
  return not it or it.attach ~= attach
end

local function seat(fence)
  local record = redis.call('HGET', key('seats'), fence)
  if not record then return nil end
  local at, by, proof, owner, _, name, nickname = split(record)
  return {
    server = at, request = by, proof = proof, owner = owner, name = name, nickname = nickname,
  }
end

-- What this log has of an entry of this epoch: 'here'; 'trimmed', with older ones; or 'lost', if
-- this is an older copy of the log, or another one that grew from an older copy.
local function find(position, chain)
  local entry = redis.call('XRANGE', key('log'), position .. '-0', position .. '-0')[1]
  if entry and entry[2][2] == chain then return 'here' end
  local oldest = redis.call('XRANGE', key('log'), '-', '+', 'COUNT', 1)[1]
  local trimmed = oldest and tonumber(string.match(oldest[1], '%d+')) > tonumber(position)
  return trimmed and 'trimmed' or 'lost'
end

-- The servers whose leases are valid, each with its addresses.
local function alive(now, expiry)
  local list = {}
  for _, other in ipairs(redis.call('HKEYS', key('servers'))) do
    local it = known(other)
    if now - it.renewed <= expiry then
      list[#list + 1] = other
      list[#list + 1] = it.addresses
    end
  end
  return list
end

-- Appends an entry for this request, about `keep` of which stay, and returns its position.
local function append(keep, ...)
  local position = digits(redis.call('HINCRBY', KEYS[1], 'position', 1))
  local before = state('chain') or '0'
  local all = table.concat({ before, server, request, ... }, '\n')
  local chain = string.sub(redis.sha1hex(all), 1, 16)
  redis.call('HSET', KEYS[1], 'chain', chain)
  redis.call('XADD', key('log'), 'MAXLEN', '~', keep, position .. '-0', 'chain', chain,
    'before', before, 'server', server, 'request', request, ...)
  return position
end

-- Removes a seat, and holds its name for its owner for some milliseconds.
local function depart(keep, fence, it, reason, next, hold)
  redis.call('HDEL', key('seats'), fence)
  redis.call('HDEL', key('next'), fence)
  redis.call('SREM', key('of', it.server), fence)
  if redis.call('HGET', key('names'), it.name) == fence then
    redis.call('HDEL', key('names'), it.name)
  end
  if hold > 0 then redis.call('SET', key('hold', it.name), it.proof, 'PX', hold) end
  append(keep, 'change', 'left', 'fence', fence, 'reason', reason, 'next', next)
end

-- Removes up to `most` seats of a server, which has gone. Returns whether it has no more.
local function sweep(keep, other, hold, most)
  for _, fence in ipairs(redis.call('SRANDMEMBER', key('of', other), most)) do
    local it = seat(fence)
    if it then depart(keep, fence, it, 'timeout', '', hold) end
    redis.call('SREM', key('of', other), fence)
  end
  return redis.call('SCARD', key('of', other)) == 0
end
