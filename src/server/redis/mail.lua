-- Mail for the server of a seat. It enters no log, and expires.
-- ARGV: server, attach, request, to, until, life (ms), most, the fields of the mail
-- Replies 'kept'; 'nobody' if the seat is gone, or it is too late; 'stale'.
local to, till, life, most = unpack(ARGV, 4)
if stale() then return { 'stale' } end
local it = seat(to)
if not it or clock() > tonumber(till) then return { 'nobody' } end
local now = clock()
local id = digits(math.max(tonumber(state('mail') or 0) + 1, now))
redis.call('HSET', KEYS[1], 'mail', id)
local mail = key('mail', it.server)
-- Neither the append-only file nor a replica gets it.
redis.set_repl(redis.REPL_NONE)
redis.call('XADD', mail, 'MAXLEN', '~', most, id .. '-0', 'to', to, unpack(ARGV, 8))
redis.call('XTRIM', mail, 'MINID', digits(now - life))
redis.call('PEXPIRE', mail, life)
return { 'kept' }
