-- Gives a seat up.
-- ARGV: server, attach, request, fence, reason, next, hold (ms; 0: the name is free at once), keep
-- Replies 'kept'; 'fenced' if it is not this server's seat any more; 'stale'.
local fence, reason, next, hold, keep = unpack(ARGV, 4)
if stale() then return { 'stale' } end
local it = seat(fence)
if not it or it.server ~= server then return { 'fenced' } end
depart(keep, fence, it, reason, next, tonumber(hold))
return { 'kept' }
