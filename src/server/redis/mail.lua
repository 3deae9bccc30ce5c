-- Mail for the server of a seat. It enters no log, and expires.
-- ARGV: server, attach, request, to, until, life (ms), most, the fields of the mail
-- Replies 'kept'; 'nobody' if the seat is gone, or it is too late; 'stale'.
local to, till, life, most = unpack(ARGV, 4)
if stale() then return { 'stale' } end
local it = seat(to)
if not it or clock() > tonumber(till) then return { 'nobody' } end
local id = digits(redis.call('HINCRBY', KEYS[1], 'mail', 1))
local mail = key('mail', it.server)
redis.call('XADD', mail, 'MAXLEN', '~', most, id .. '-0', 'to', to, unpack(ARGV, 8))
redis.call('PEXPIRE', mail, life)
return { 'kept' }
