-- Renews a server's lease, and removes the seats of servers that did not renew theirs.
-- ARGV: server, attach, request, epoch position chain of the last entry that it has read, expiry
--       (ms), hold (ms), most removals, last mail read, keep
-- Replies 'renewed', clock, servers and their addresses; or 'stale', also if that entry is lost.
local epoch, position, chain, expiry, hold, most, read, keep = unpack(ARGV, 4)
expiry, hold, most = tonumber(expiry), tonumber(hold), tonumber(most)
if stale() or epoch ~= state('epoch') or find(position, chain) == 'lost' then
  return { 'stale' }
end
local now = clock()

-- While no server could renew, none was dead: each gets time. A clock that is behind is another's.
local beat = tonumber(state('beat') or 0)
if now - beat > expiry / 2 or now < beat then
  redis.call('HSET', KEYS[1], 'grace', digits(now + expiry))
end
redis.call('HSET', KEYS[1], 'beat', digits(now))
local grace = now < tonumber(state('grace') or 0)
redis.call('XTRIM', key('mail', server), 'MINID', read + 1)

for _, other in ipairs(redis.call('HKEYS', key('servers'))) do
  local it = known(other)
  if other == server or it.renewed > now then
    it.renewed = now
    redis.call('HSET', key('servers'), other,
      table.concat({ it.attach, digits(now), it.addresses }, '\n'))
  end
  local is_dead = now - it.renewed > expiry and not grace
  if is_dead and sweep(keep, other, hold, most) then
    redis.call('HDEL', key('servers'), other)
    redis.call('DEL', key('mail', other))
  end
end
return { 'renewed', digits(now), alive(now, expiry) }
