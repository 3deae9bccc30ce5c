-- Chatagram in Wireshark and tshark: UDP and TCP, at any port. § is a section of proto.md.
--
--   wireshark -X lua_script:scripts/chatagram.lua
--   tshark -X lua_script:scripts/chatagram.lua -i lo -O chatagram
--
-- To install it, copy this file to the directory that Help > About Wireshark > Folders calls
-- "Personal Lua Plugins" (~/.local/lib/wireshark/plugins, %APPDATA%\Wireshark\plugins). Wireshark
-- 4.0 or later.
--
-- For a port that Wireshark assigns to another protocol: Analyze > Decode As, or
-- -d udp.port==5000,chatagram.
--
-- If TCP loses segments: -o tcp.reassemble_out_of_order:TRUE (Preferences > Protocols > TCP).
-- Otherwise Wireshark passes on the bytes after a hole, which may begin within a record and are
-- then shown as rejected.
--
-- Filters: chatagram.message == "Line", chatagram.session == 0x..., chatagram.acknowledged == 17,
-- chatagram.rejected, chatagram.gap, chatagram.duplicate, chatagram.again,
-- chatagram.acked_time > 0.1
--
-- Relations between datagrams (gaps, duplicates, retransmitted messages, acknowledgments) are kept
-- for each session, direction, pair of addresses and interface, so that the two sides of a relay or
-- of a router in one capture are two conversations. They are found when a packet is dissected for
-- the first time, in order, and stored by packet number.
--
-- No code here trusts a length: all reads go through Reader, which checks the remaining bytes.

local chatagram = Proto("chatagram", "Chatagram")

local HEADER, MAX_DATAGRAM, JOIN_SIZE, PROBE_SIZE = 40, 1200, 512, 256
local PREFACE, MAX_RECORD = 12, 1160
local REPLAY_WINDOW = 1024
local PART_SIZE, MAX_MESSAGE = 496, 1153
local DEFAULT_PORT = 2428
local MAGIC, VERSION = 0x4347, 1
local FROM_SERVER, ACK = 1, 2

----------------------------------------------------------------------------------------------------
-- The wire format: the tables of §5 and §6. The first frame and the first messages have number 0.
----------------------------------------------------------------------------------------------------

local DELIVERY = { [0] = "Unreliable", "ReliableUnordered", "ReliableOrdered" }
local TRANSPORT = { [0] = "Udp", "Tcp", "Quic", "Web" }
local LEAVE = { [0] = "Quit", "Timeout", "Shutdown", "Flood", "Restart", "Kicked" }
local REFUSAL = { [0] = "Version", "NameNotAllowed", "NameTaken", "RoomFull", "TooManyFromAddress",
  "ShuttingDown", "Unavailable", "Locked", "Kicked" }

local function delivery(name) return { name, "enum", DELIVERY } end
local function reason(values) return { "reason", "enum", values } end
local u16 = function(name) return { name, "u16" } end
local u32 = function(name) return { name, "u32" } end
local u64 = function(name) return { name, "u64" } end
local moment = function(name) return { name, "moment" } end
local str = function(name) return { name, "string" } end
local bytes = function(name, size) return { name, "bytes", size } end
-- A roll of peers (§2.3).
local roll = function()
  return { "roll", "roll", entry = { u16("peer"), str("nickname"), u16("next") } }
end
-- A list of servers (§2.3).
local servers = { "servers", "servers" }
local payload = { "payload", "payload" }

-- `from`: the end that may send it. `session`: whether the header's session is other than 0 (§5).
local FRAMES = {
  [0] = { name = "Padding", from = "CS", bytes("content") },
  { name = "Heartbeat", from = "CS", session = true },
  { name = "Once", from = "CS", session = true, payload },
  { name = "Unordered", from = "CS", session = true, u16("id"), payload },
  { name = "Ordered", from = "CS", session = true, u16("id"), payload },
  { name = "Join", from = "C", session = false, u64("nonce"), bytes("cookie"), str("nickname"),
    delivery("delivery"), bytes("resume"), u64("epoch"), u64("seen"), u16("next") },
  { name = "Challenge", from = "S", session = false, u64("nonce"), bytes("cookie", 20) },
  { name = "Refused", from = "S", session = false, u64("nonce"), reason(REFUSAL), str("detail") },
  { name = "PathChallenge", from = "CS", session = true, bytes("cookie", 8) },
  { name = "PathResponse", from = "CS", session = true, bytes("cookie", 8) },
  { name = "Reset", from = "S", session = true },
  { name = "Probe", from = "C", session = false, u64("nonce") },
  { name = "Found", from = "S", session = false, u64("nonce"), u64("server"), u16("port"),
    u16("peers"), str("room") },
  { name = "Part", from = "CS", session = true, u16("id"), { "ordered", "bool" }, u16("index"),
    u16("count"), bytes("payload") },
  { name = "OncePart", from = "CS", session = true, u16("number"), u16("index"), u16("count"),
    bytes("payload") },
}

local FROM_CLIENT = {
  [0] = { name = "Say", u16("number"), moment("sent"), str("text") },
  { name = "Whisper", u16("number"), moment("sent"), str("to"), str("text") },
  { name = "Leave", u16("next") },
  { name = "Deliver", delivery("delivery") },
  { name = "Who", u16("number") },
  { name = "Ping", u16("number"), str("to") },
  { name = "Pong", u16("peer"), u16("number") },
  { name = "Rename", str("nickname") },
  { name = "Moderate", str("order") },
}

local OF_SERVER = {
  [0] = { name = "Welcome", u64("nonce"), u16("peer"), bytes("token", 16), str("nickname"),
    str("room"), u32("heartbeat_ms"), u32("expiry_ms"), u16("burst"), u16("rate"), u16("peers"),
    u16("replay"), { "complete", "bool" }, u64("epoch"), u64("latest"), u16("newest"),
    bytes("taken"), { "sure", "bool" } },
  { name = "Present", roll() },
  { name = "History", u64("position"), moment("at"), { "own", "bool" }, u16("number"), str("from"),
    str("text") },
  { name = "Joined", u16("peers"), roll() },
  { name = "Left", u16("peers"), reason(LEAVE), roll() },
  { name = "Line", u64("position"), moment("at"), { "upstream", "i32" }, u16("peer"), u16("number"),
    str("from"), str("text") },
  { name = "Accepted", u16("number"), u64("position") },
  { name = "Whisper", moment("at"), { "upstream", "i32" }, u16("peer"), str("from"), str("text") },
  { name = "Whispered", u16("number"), moment("at"), str("to"), str("text") },
  { name = "NotHere", u16("number"), str("to") },
  { name = "Notice", str("text") },
  { name = "Closing", reason(LEAVE), str("detail") },
  { name = "About", u16("number"), u16("left"), u16("peer"), str("nickname"),
    { "transport", "enum", TRANSPORT }, delivery("delivery"), u32("rtt_us"), u32("silent_ms"),
    u64("sent"), u64("lost"), u64("received"), u64("missing") },
  { name = "Pinged", u16("peer"), u16("number") },
  { name = "Ponged", u16("number"), str("from") },
  { name = "Slow", u16("wait_ms") },
  { name = "Counters", u16("number"), u64("received"), u64("alien"), u64("other_version"),
    u64("corrupt"), u64("malformed"), u64("unknown_session"), u64("unread"), u64("refused"),
    u64("left_out") },
  { name = "Servers", servers },
  { name = "Renamed", u16("peer"), str("from"), str("to") },
  { name = "NotRenamed", reason(REFUSAL), str("detail") },
  { name = "Topic", str("text") },
  { name = "Rejected", u16("number"), { "private", "bool" }, str("detail") },
}

----------------------------------------------------------------------------------------------------
-- Fields: chatagram.sequence of the header, chatagram.join.nickname of a frame,
-- chatagram.line.text of a message
----------------------------------------------------------------------------------------------------

local F, listed = {}, {}

local function field(name, make, ...)
  if not F[name] then
    F[name] = make("chatagram." .. name, ...)
    listed[#listed + 1] = F[name]
  end
  return F[name]
end

local CHECKSUM_STATUS = { [0] = "Bad", "Good", "Unverified" }

field("magic", ProtoField.uint16, "magic", base.HEX)
field("version", ProtoField.uint8, "version", base.DEC)
field("flags", ProtoField.uint8, "flags", base.HEX)
field("flags.from_server", ProtoField.bool, "FROM_SERVER", 8, nil, FROM_SERVER)
field("flags.ack", ProtoField.bool, "ACK", 8, nil, ACK)
field("flags.unknown", ProtoField.uint8, "must be 0", base.HEX, nil, 0xfc)
field("checksum", ProtoField.uint32, "checksum", base.HEX)
field("checksum.status", ProtoField.uint8, "checksum status", base.DEC, CHECKSUM_STATUS)
field("checksum.calculated", ProtoField.uint32, "checksum of these bytes", base.HEX)
field("session", ProtoField.uint64, "session", base.HEX)
field("sequence", ProtoField.uint32, "sequence", base.DEC)
field("acknowledgment", ProtoField.uint32, "acknowledgment", base.DEC)
field("ack_bitmap", ProtoField.uint64, "ack_bitmap", base.HEX)
field("acknowledged", ProtoField.uint32, "acknowledged number", base.DEC)
field("timestamp", ProtoField.uint32, "timestamp", base.DEC)
field("ack_delay", ProtoField.uint16, "ack_delay", base.DEC)
field("window", ProtoField.uint16, "window", base.DEC)
field("length", ProtoField.uint32, "length", base.DEC)
field("record", ProtoField.uint16, "length of the record", base.DEC)
field("frame", ProtoField.uint32, "frame", base.DEC, (function()
  local names = {}
  for number, spec in pairs(FRAMES) do names[number] = spec.name end
  return names
end)())
field("message", ProtoField.string, "message")
field("data", ProtoField.bytes, "not decoded")
field("rejected", ProtoField.string, "rejected")
field("unreadable", ProtoField.string, "unreadable message")

field("gap", ProtoField.uint32, "datagrams missing before this one", base.DEC)
field("late", ProtoField.framenum, "its gap was noticed at", base.NONE)
field("duplicate", ProtoField.framenum, "same datagram as", base.NONE, frametype.DUP_ACK)
field("again", ProtoField.framenum, "message was first in", base.NONE)
field("again.count", ProtoField.uint32, "times the message was sent so far", base.DEC)
field("again.time", ProtoField.relative_time, "time since the first")
field("acks", ProtoField.framenum, "acknowledges", base.NONE, frametype.ACK)
field("acks.time", ProtoField.relative_time, "time from there to here")
field("acked_in", ProtoField.framenum, "acknowledged in", base.NONE, frametype.ACK)
field("acked_time", ProtoField.relative_time, "time until acknowledged")
field("response_to", ProtoField.framenum, "answers", base.NONE, frametype.RESPONSE)
field("response_in", ProtoField.framenum, "answered in", base.NONE, frametype.REQUEST)
field("response_time", ProtoField.relative_time, "time until answered")

local MAKE = {
  u16 = function(name, label) return field(name, ProtoField.uint16, label, base.DEC) end,
  u32 = function(name, label) return field(name, ProtoField.uint32, label, base.DEC) end,
  u64 = function(name, label) return field(name, ProtoField.uint64, label, base.DEC) end,
  moment = function(name, label) return field(name, ProtoField.uint64, label, base.DEC) end,
  i32 = function(name, label) return field(name, ProtoField.int32, label, base.DEC) end,
  bool = function(name, label) return field(name, ProtoField.bool, label) end,
  string = function(name, label) return field(name, ProtoField.string, label) end,
  bytes = function(name, label) return field(name, ProtoField.bytes, label) end,
  payload = function(name, label) return field(name, ProtoField.bytes, label) end,
  roll = function(name, label) return field(name, ProtoField.bytes, label) end,
  servers = function(name, label)
    field("servers.server", ProtoField.string, "server")
    return field(name, ProtoField.bytes, label)
  end,
  enum = function(name, label, values)
    return field(name, ProtoField.uint32, label, base.DEC, values)
  end,
}

for _, specs in ipairs({ FRAMES, FROM_CLIENT, OF_SERVER }) do
  for _, spec in pairs(specs) do
    for _, part in ipairs(spec) do
      local label, kind, more = part[1], part[2], part[3]
      part.field = MAKE[kind](spec.name:lower() .. "." .. label, label, more)
      for _, of in ipairs(part.entry or {}) do
        of.field = MAKE[of[2]](spec.name:lower() .. "." .. of[1], of[1])
      end
    end
  end
end
-- `payload` is one table in the three frames with a whole message, each with a field of its own.
local PAYLOAD = {}
for _, spec in pairs(FRAMES) do PAYLOAD[spec.name] = F[spec.name:lower() .. ".payload"] end

chatagram.fields = listed

----------------------------------------------------------------------------------------------------
-- Expert information
----------------------------------------------------------------------------------------------------

local E, experts = {}, {}

local function complaint(name, text, group, severity)
  local id = "chatagram.expert." .. name:lower()
  E[name] = ProtoExpert.new(id, text, expert.group[group], expert.severity[severity])
  experts[#experts + 1] = E[name]
end

local REASONS = {
  TooShort = "§8.1 check 1: a datagram has at least 40 bytes",
  TooLong = "§8.1 check 2: a datagram has at most 1,200 bytes",
  Magic = "§8.1 check 3: the magic is 0x4347, the letters CG",
  Checksum = "§8.1 check 4: the checksum is wrong, the datagram was damaged",
  Version = "§8.1 check 5: the version is 1",
  Flags = "§8.1 check 6: a flag that version 1 does not define",
  Malformed = "§8.1 check 7: what begins here is no frame",
  NotCanonical = "§8.1 check 8: not in its one encoding (§2.3)",
}
for name, text in pairs(REASONS) do
  local group = name == "Checksum" and "CHECKSUM" or "MALFORMED"
  complaint(name, text, group, "ERROR")
end
complaint("Unreadable", "§8.3: no message of the sender's table; ignored", "PROTOCOL", "WARN")
complaint("Misplaced", "§5: a frame in a place where it is ignored", "PROTOCOL", "WARN")
complaint("Small", "§7.2: a Join in a datagram below 512 bytes; dropped", "PROTOCOL", "WARN")
complaint("Unclean", "§4.2: characters that no sender may send, shown as U+FFFD", "SECURITY",
  "WARN")
complaint("Gap", "§7.3: sequence numbers are missing: lost, or overtaken", "SEQUENCE", "WARN")
complaint("Late", "§7.3: came after a larger number", "SEQUENCE", "NOTE")
complaint("Duplicate", "§7.3: this sequence number was here before; ignored", "SEQUENCE", "NOTE")
complaint("Reused", "§7.3: a sequence number used for a second datagram", "SEQUENCE", "ERROR")
complaint("Again", "§7.5: a reliable message again, in a new datagram", "SEQUENCE", "NOTE")
complaint("Refused", "§7.2: the server does not let the client in", "RESPONSE_CODE", "NOTE")
complaint("Reset", "§7.8: the server knows no such session", "SEQUENCE", "WARN")
complaint("Cut", "the capture does not have all of it", "UNDECODED", "NOTE")

chatagram.experts = experts

----------------------------------------------------------------------------------------------------
-- Helpers
----------------------------------------------------------------------------------------------------

-- Lua 5.2 (Wireshark 4.0 to 4.2) and 5.4 (later) have no operator or library in common.
local bxor
if bit32 then
  bxor = bit32.bxor
elseif bit then
  bxor = function(a, b) return bit.bxor(a, b) % 4294967296 end
else
  bxor = load("return function(a, b) return a ~ b end")()
end

local CRC = {}
for i = 0, 255 do
  local crc = i
  for _ = 1, 8 do
    local half = math.floor(crc / 2)
    crc = crc % 2 == 1 and bxor(half, 0xEDB88320) or half
  end
  CRC[i] = crc
end

local function crc32(text) -- §3.2
  local crc = 0xFFFFFFFF
  for i = 1, #text do
    crc = bxor(CRC[bxor(crc % 256, text:byte(i))], math.floor(crc / 256))
  end
  return bxor(crc, 0xFFFFFFFF)
end

local function raw(tvb, from, length)
  return length > 0 and tvb:raw(from, length) or ""
end

-- RFC 3629: no surrogates, only shortest forms, nothing above U+10FFFF.
local function is_utf8(text)
  local i, n = 1, #text
  while i <= n do
    local a, b = text:byte(i, i + 1)
    local more
    if a < 0x80 then
      more = 0
    elseif a >= 0xC2 and a <= 0xDF then
      more = 1
    elseif a >= 0xE0 and a <= 0xEF then
      more = 2
      if not b or (a == 0xE0 and b < 0xA0) or (a == 0xED and b > 0x9F) then return false end
    elseif a >= 0xF0 and a <= 0xF4 then
      more = 3
      if not b or (a == 0xF0 and b < 0x90) or (a == 0xF4 and b > 0x8F) then return false end
    else
      return false
    end
    for k = i + 1, i + more do
      local c = text:byte(k)
      if not c or c < 0x80 or c > 0xBF then return false end
    end
    i = i + more + 1
  end
  return true
end

-- A string as displayed (§4.2): without controls and bidirectional controls. UTF-8 in, UTF-8 out.
local REPLACEMENT = "\239\191\189"
local UNSAFE = {
  "[\0-\8\10-\31\127]", "\194[\128-\159]", "\216\156", "\226\128[\142\143\168-\174]",
  "\226\129[\166-\169]",
}
local function clean(text)
  local safe = text:gsub("\t", " ")
  for _, pattern in ipairs(UNSAFE) do safe = safe:gsub(pattern, REPLACEMENT) end
  return safe
end

-- Cuts a text to the width of a column.
local function short(text)
  local LIMIT = 60
  local seen = 0
  for at in text:gmatch("()[\0-\127\194-\244]") do
    seen = seen + 1
    if seen > LIMIT then return text:sub(1, at - 1) .. "…" end
  end
  return text
end

local function unwrap(wire, near, modulus) -- §2.2
  local d = (wire - near) % modulus
  if d >= modulus / 2 and near + d >= modulus then d = d - modulus end
  return near + d
end

local function seconds(duration)
  if not duration or duration < 0 then duration = 0 end
  local whole = math.floor(duration)
  return NSTime.new(whole, math.floor((duration - whole) * 1e9 + 0.5))
end

-- Microseconds since 1970 as a date; nothing if out of range.
local function date(hi, lo)
  local at = hi * 4294967296 + lo
  local second = math.floor(at / 1000000)
  if second < 1 or second > 253402300799 then return nil end
  return os.date("!%Y-%m-%d %H:%M:%S", second) .. string.format(".%06d UTC", at % 1000000)
end

local function joined(list, by)
  return table.concat(list, by or ", ")
end

-- 9, 8, 7, 5 as "9 to 7, 5".
local function ranges(numbers)
  local out, i = {}, 1
  while i <= #numbers do
    local last = i
    while numbers[last + 1] and (numbers[last] - numbers[last + 1]) % 4294967296 == 1 do
      last = last + 1
    end
    if last > i + 1 then
      out[#out + 1] = string.format("%d to %d", numbers[i], numbers[last])
      i = last + 1
    else
      out[#out + 1] = string.format("%d", numbers[i])
      i = i + 1
    end
  end
  return joined(out)
end

----------------------------------------------------------------------------------------------------
-- Reader: successive values of §2.3. After the first failure (`err`) it reads no more.
----------------------------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

local function reader(tvb, from, to)
  return setmetatable({ tvb = tvb, pos = from, stop = to }, Reader)
end

function Reader:fail(at, text)
  self.err = { at = at, text = text }
end

function Reader:left()
  return self.stop - self.pos
end

-- An integer: its range, its value if it has at most 32 bits, and its two halves.
function Reader:int(bits, what)
  local at, left = self.pos, self:left()
  if left < 1 then return self:fail(at, what .. " is missing: the bytes end here") end
  local first = self.tvb(at, 1):uint()
  local size = first <= 250 and 0 or ({ [251] = 2, [252] = 4, [253] = 8 })[first]
  if not size then
    return self:fail(at, string.format("%s: the byte %d begins no integer", what, first))
  end
  if size * 8 > bits then
    return self:fail(at, string.format("%s: %d bytes are no u%d", what, size, bits))
  end
  if left - 1 < size then
    local text = string.format("%s: %d bytes should follow, %d are left", what, size, left - 1)
    return self:fail(at, text)
  end
  local hi, lo, least = 0, first, 0
  if size == 2 then
    lo, least = self.tvb(at + 1, 2):uint(), 251
  elseif size == 4 then
    lo, least = self.tvb(at + 1, 4):uint(), 65536
  elseif size == 8 then
    hi, lo = self.tvb(at + 1, 4):uint(), self.tvb(at + 5, 4):uint()
  end
  if (size == 8 and hi == 0) or lo < least then
    local text = string.format("%s: %d fits fewer than %d bytes", what, lo, size + 1)
    self.loose = self.loose or { at = at, text = text }
  end
  self.pos = at + 1 + size
  return self.tvb(at, 1 + size), lo, hi
end

-- Reads a length and its bytes: returns their start, their count, and the range of the length.
function Reader:sized(what)
  local at = self.pos
  local range, lo, hi = self:int(64, "the length of " .. what)
  if not range then return nil end
  if hi > 0 or lo > self:left() then
    local claim = hi > 0 and "more than 4 billion" or string.format("%d", lo)
    local text = string.format("%s says it has %s bytes, %d are left", what, claim, self:left())
    return self:fail(at, text)
  end
  local from = self.pos
  self.pos = from + lo
  return from, lo, range
end

local READ = {}

local function unsigned(bits)
  return function(r, tree, name, part)
    local range, lo = r:int(bits, name)
    if not range then return nil end
    tree:add(part.field, range, lo)
    return lo
  end
end
READ.u16, READ.u32 = unsigned(16), unsigned(32)

function READ.u64(r, tree, name, part)
  local range, lo, hi = r:int(64, name)
  if not range then return nil end
  tree:add(part.field, range, UInt64.new(lo, hi))
  return string.format("%08x%08x", hi, lo)
end

function READ.moment(r, tree, name, part)
  local range, lo, hi = r:int(64, name)
  if not range then return nil end
  local item = tree:add(part.field, range, UInt64.new(lo, hi))
  local shown = date(hi, lo)
  if shown then item:append_text(" (" .. shown .. ")") end
  return string.format("%08x%08x", hi, lo)
end

function READ.i32(r, tree, name, part)
  local range, n = r:int(32, name)
  if not range then return nil end
  local half = math.floor(n / 2)
  local value = n % 2 == 0 and half or -half - 1
  tree:add(part.field, range, value):append_text(" µs")
  return value
end

function READ.enum(r, tree, name, part)
  local at = r.pos
  local range, n = r:int(32, name)
  if not range then return nil end
  tree:add(part.field, range, n)
  local known = part[3][n]
  if not known then return r:fail(at, string.format("%s: %d is none", name, n)) end
  return known
end

function READ.bool(r, tree, name, part)
  local at = r.pos
  if r:left() < 1 then return r:fail(at, name .. " is missing: the bytes end here") end
  local range = r.tvb(at, 1)
  local n = range:uint()
  if n > 1 then return r:fail(at, string.format("%s: %d is neither 0 nor 1", name, n)) end
  tree:add(part.field, range, n == 1)
  r.pos = at + 1
  return n == 1
end

function READ.bytes(r, tree, name, part)
  local size = part[3]
  if size then
    local at = r.pos
    if r:left() < size then
      return r:fail(at, string.format("%s has %d bytes, %d are left", name, size, r:left()))
    end
    tree:add(part.field, r.tvb(at, size))
    r.pos = at + size
    return raw(r.tvb, at, size)
  end
  local from, length, range = r:sized(name)
  if not from then return nil end
  tree:add(F.length, range, length)
  tree:add(part.field, r.tvb(from, length))
  return raw(r.tvb, from, length)
end

function READ.string(r, tree, name, part)
  local from, length, range = r:sized(name)
  if not from then return nil end
  local text = raw(r.tvb, from, length)
  if not is_utf8(text) then
    tree:add(F.data, r.tvb(from, length))
    return r:fail(from, name .. " is not UTF-8")
  end
  local safe = clean(text)
  tree:add(F.length, range, length)
  local item = tree:add(part.field, r.tvb(from, length), safe)
  if safe ~= text then item:add_proto_expert_info(E.Unclean) end
  return safe
end

-- The fields of a frame or message, in the order of its table.
local function read_fields(r, tree, spec, into)
  for _, part in ipairs(spec) do
    if r.err then return end
    into[part[1]] = READ[part[2]](r, tree, part[1], part)
  end
end

-- The names of a roll (§2.3). An entry in a non-canonical encoding makes the whole roll malformed.
function READ.roll(r, tree, name, part)
  local from, length, range = r:sized(name)
  if not from then return nil end
  tree:add(F.length, range, length)
  local item = tree:add(part.field, r.tvb(from, length))
  local inner, names = reader(r.tvb, from, from + length), {}
  while not (inner.err or inner.loose) and inner:left() > 0 do
    local at, entry = inner.pos, {}
    local sub = item:add(r.tvb(at, inner:left()), "Entry")
    read_fields(inner, sub, part.entry, entry)
    sub:set_len(inner.pos - at)
    names[#names + 1] = entry.nickname
  end
  local wrong = inner.err or inner.loose
  if wrong then return r:fail(wrong.at, wrong.text) end
  return joined(names)
end

-- The servers of a list (§2.3): 16 bytes of an IPv6 address and 2 of a port each, at most 16 of
-- them.
function READ.servers(r, tree, name, part)
  local from, length, range = r:sized(name)
  if not from then return nil end
  tree:add(F.length, range, length)
  local item = tree:add(part.field, r.tvb(from, length))
  if length % 18 ~= 0 then return r:fail(from, name .. " ends within an entry") end
  if length > 16 * 18 then return r:fail(from, name .. " has more than 16 entries") end
  local all = {}
  for at = from, from + length - 1, 18 do
    local ip, port, shown = r.tvb(at, 16), r.tvb(at + 16, 2):uint(), nil
    if raw(r.tvb, at, 12) == string.rep("\0", 10) .. "\255\255" then
      shown = string.format("%s:%d", tostring(r.tvb(at + 12, 4):ipv4()), port)
    else
      shown = string.format("[%s]:%d", tostring(ip:ipv6()), port)
    end
    item:add(F["servers.server"], r.tvb(at, 18), shown)
    all[#all + 1] = shown
  end
  return joined(all)
end

----------------------------------------------------------------------------------------------------
-- Messages (§6) and frames (§5)
----------------------------------------------------------------------------------------------------

-- The text of the Info column for a frame or message: "Line alice: hello", "Say hello", "Left bob
-- (Timeout)".
local function summary(it)
  local words = { it.name }
  if it.count and it.index then
    return string.format("%s %d/%d", it.name, it.index + 1, it.count)
  end
  local who = it.to or it.nickname or it.roll or it.servers or it.from
  if it.to and it.name ~= "NotHere" then words[2] = "to" end
  if it.name == "Accepted" then who = string.format("%d", it.number or 0) end
  if it.name == "Deliver" then who = it.delivery end
  if who then words[#words + 1] = short(who) end
  if type(it.reason) == "string" then words[#words + 1] = "(" .. it.reason .. ")" end
  if it.name == "Join" and it.cookie and it.cookie ~= "" then
    words[#words + 1] = "(with cookie)"
  end
  local out, text = joined(words, " "), it.text or it.detail
  if not text or text == "" then return out end
  return out .. (#words > 1 and ": " or " ") .. short(text)
end

-- §8.3: exactly one message of the sender's table.
local function read_message(tvb, from, length, tree, from_server)
  local specs = from_server and OF_SERVER or FROM_CLIENT
  local r = reader(tvb, from, from + length)
  local sub = tree:add(tvb(from, length), "Message")
  local message = { name = "unreadable message" }
  local range, number = r:int(32, "the message's number")
  local spec = range and specs[number]
  if spec then
    message.name = spec.name
    sub:set_text("Message " .. spec.name)
    sub:add(F.message, range, spec.name):append_text(string.format(" (%d)", number))
    read_fields(r, sub, spec, message)
  elseif range then
    local side = from_server and "server" or "client"
    r:fail(from, string.format("no message of a %s has the number %d", side, number))
  end
  local verdict, why
  if r.err then
    verdict, why = "Malformed(0)", r.err
  elseif r.loose then
    verdict, why = "NotCanonical(0)", r.loose
  elseif r:left() > 0 then
    verdict = string.format("Malformed(%d)", r.pos - from)
    why = { at = r.pos, text = string.format("%d bytes follow the message", r:left()) }
  end
  if verdict then
    message = { name = "unreadable message", unreadable = true }
    sub:set_text("Message: unreadable")
    sub:add(F.unreadable, tvb(from, length), verdict):set_generated()
    sub:add_proto_expert_info(E.Unreadable,
      string.format("%s: %s (§8.3: ignored, but acknowledged)", verdict, why.text))
  else
    sub:append_text(": " .. summary(message))
  end
  return message
end

-- One frame. The reader has the error; the tree has the fields before it.
local function read_frame(r, tree, from_server)
  local at = r.pos
  local sub = tree:add(r.tvb(at, r:left()), "Frame")
  local frame = { name = "Frame", tree = sub, at = at }
  local range, number = r:int(32, "the frame's number")
  if not range then return frame end
  sub:add(F.frame, range, number)
  local spec = FRAMES[number]
  if not spec then
    r:fail(at, string.format("no frame has the number %d", number))
    return frame
  end
  frame.name, frame.spec = spec.name, spec
  sub:set_text("Frame " .. spec.name)
  for _, part in ipairs(spec) do
    if r.err then return frame end
    if part == payload then
      local from, length, of = r:sized("payload")
      if not from then return frame end
      sub:add(F.length, of, length)
      sub:add(PAYLOAD[spec.name], r.tvb(from, length))
      if not r.loose then frame.message = read_message(r.tvb, from, length, sub, from_server) end
    else
      frame[part[1]] = READ[part[2]](r, sub, part[1], part)
    end
  end
  if r.err then return frame end
  sub:set_len(r.pos - at)
  local what = frame.message and summary(frame.message) or summary(frame)
  if frame.id and frame.count then
    sub:set_text(string.format("Frame %s of message %d", what, frame.id))
  elseif frame.id then
    sub:set_text(string.format("Frame %s %d: %s", spec.name, frame.id, what))
  elseif frame.message then
    sub:set_text(string.format("Frame %s: %s", spec.name, what))
  elseif spec.name == "Padding" then
    sub:append_text(string.format(", %d bytes", #(frame.content or "")))
  else
    sub:set_text("Frame " .. what)
  end
  if frame.name == "Refused" then sub:add_proto_expert_info(E.Refused) end
  if frame.name == "Reset" then sub:add_proto_expert_info(E.Reset) end
  return frame
end

local function reject(tree, name, detail, text)
  tree:add(F.rejected, detail):set_generated()
  tree:add_proto_expert_info(E[name], string.format("%s: %s", detail, text or REASONS[name]))
end

-- The reason if the frame just read is not canonical: name, offset of the frame, text.
local function fault(r, frame)
  if r.err then return "Malformed", frame.at, r.err.text end
  if r.loose then return "NotCanonical", frame.at, r.loose.text end
  return nil
end

----------------------------------------------------------------------------------------------------
-- Relations between packets, found when a packet is dissected for the first time.
----------------------------------------------------------------------------------------------------

local found          -- by packet number and offset: the findings about that datagram
local senders        -- by session, direction and addresses: numbers and messages sent
local requests       -- by the value that an answer repeats: the last question
local streams        -- by TCP stream and direction
local column         -- the Info column so far, for a packet with several records

function chatagram.init()
  found, senders, requests, streams, column = {}, {}, {}, {}, nil
end

-- A router has each packet on two interfaces.
local interface_id = Field.new("frame.interface_id")
local function interface()
  local id = interface_id()
  return id and tostring(id.value) or ""
end

local function ends(pinfo)
  local side = " " .. interface()
  local src = tostring(pinfo.src) .. " " .. pinfo.src_port .. side
  local dst = tostring(pinfo.dst) .. " " .. pinfo.dst_port .. side
  return src, dst
end

local function sender(session, from_server, from, to)
  local key = joined({ session, from_server and "S" or "C", from, to }, "|")
  local it = senders[key]
  if not it then
    it = { sent = {}, missing = {}, messages = {}, begun = {} }
    senders[key] = it
  end
  return it
end

-- Gaps, duplicates, late datagrams (§7.3).
local function number_it(me, it, sequence, checksum)
  if not me.largest then
    me.largest = sequence
  end
  local number = unwrap(sequence, me.largest, 4294967296)
  local before = me.sent[number]
  if before then
    if before.checksum == checksum then
      it.duplicate = before.frame
    else
      it.reused = before.frame
    end
    return
  elseif number <= me.largest - REPLAY_WINDOW then
    it.old = me.largest - number
    return
  end
  me.sent[number] = it
  it.number, it.checksum = number, checksum
  if number > me.largest then
    local missing = number - me.largest - 1
    if missing > 0 then
      local first, last = (me.largest + 1) % 4294967296, (number - 1) % 4294967296
      it.gap = { count = missing, first = first, last = last }
      -- A jump may have any size; only numbers that may still arrive are kept.
      for n = math.max(me.largest + 1, number - REPLAY_WINDOW), number - 1 do me.missing[n] = it end
    end
    me.largest = number
  elseif me.missing[number] then
    it.late = me.missing[number].frame
    me.missing[number] = nil
  end
end

-- The datagrams of the other end that this one acknowledges first.
local function acknowledge(other, it, numbers, now)
  if not other.largest then return end
  it.acks = {}
  for _, wire in ipairs(numbers) do
    local sent = other.sent[unwrap(wire, other.largest, 4294967296)]
    if sent and not sent.acked then
      sent.acked = { frame = it.frame, time = now - sent.time }
      it.acks[#it.acks + 1] = { frame = sent.frame, number = wire, time = now - sent.time }
    end
  end
end

-- Retransmitted reliable messages or parts (§7.4).
local function message_again(me, it, index, frame, now)
  local id = frame.id
  me.largest_id = me.largest_id or id
  local number = unwrap(id, me.largest_id, 65536)
  if number > me.largest_id then me.largest_id = number end
  local key = frame.count and number .. "/" .. frame.index or number
  local first = me.messages[key]
  if first then
    first.count = first.count + 1
    it.again[index] = { frame = first.frame, count = first.count, time = now - first.time }
  else
    me.messages[key] = { frame = it.frame, time = now, count = 1 }
  end
end

-- A part that a sender may send (§7.16).
local function is_sound(part)
  local most = part.index * PART_SIZE + #part.payload
  if part.count < 2 or part.count > 3 or part.index >= part.count or most > MAX_MESSAGE then
    return false
  end
  if part.index + 1 < part.count then return #part.payload == PART_SIZE end
  return #part.payload > 0 and #part.payload <= PART_SIZE
end

-- The message of which this part was the last missing one.
local function join_parts(me, part)
  local id = part.id and "id " .. unwrap(part.id, me.largest_id, 65536)
  local key = (id or "number " .. part.number) .. "/" .. part.count
  local parts = me.begun[key] or {}
  me.begun[key] = parts
  parts[part.index + 1] = part.payload
  for index = 1, part.count do
    if not parts[index] then return nil end
  end
  me.begun[key] = nil
  return table.concat(parts)
end

-- The complete message, in a view of its own at its last part.
local function show_joined(frame, message, from_server)
  local tvb = ByteArray.new(message, true):tvb("Joined message")
  frame.message = read_message(tvb, 0, #message, frame.tree, from_server)
  local text = "Frame %s %d/%d, the last to come: %s"
  frame.tree:set_text(string.format(text, frame.name, frame.index + 1, frame.count,
    summary(frame.message)))
end

-- Questions by the value that their answers repeat: a nonce, a number, a cookie. The last question
-- counts.
local function ask(kind, key, it, index, now)
  it.asked[index] = it.asked[index] or { frame = it.frame, time = now }
  requests[kind .. "|" .. key] = it.asked[index]
end

local function answer(kind, key, it, index, now)
  local request = requests[kind .. "|" .. key]
  if not request or request.frame == it.frame then return end
  local time = now - request.time
  it.answers[index] = { frame = request.frame, time = time }
  if not request.answered then request.answered = { frame = it.frame, time = time } end
end

-- `here` names the conversation, whichever side sends.
local function relate(frame, index, it, here, now)
  local m = frame.message or {}
  if frame.name == "Join" then
    -- Challenge answers a Join without a cookie, Welcome one with a cookie (and over TCP), Refused
    -- any.
    if frame.cookie == "" then ask("plain", here .. frame.nonce, it, index, now) end
    ask("join", here .. frame.nonce, it, index, now)
  elseif frame.name == "Probe" then
    ask("probe", interface() .. " " .. frame.nonce, it, index, now)
  elseif frame.name == "Found" then
    -- The answer comes from one machine, the question went to a group.
    answer("probe", interface() .. " " .. frame.nonce, it, index, now)
  elseif frame.name == "Challenge" then
    answer("plain", here .. frame.nonce, it, index, now)
  elseif frame.name == "Refused" then
    answer("join", here .. frame.nonce, it, index, now)
  elseif frame.name == "PathChallenge" then
    ask("path", here .. frame.cookie, it, index, now)
  elseif frame.name == "PathResponse" then
    answer("path", here .. frame.cookie, it, index, now)
  elseif it.again[index] or m.unreadable then
    return
  elseif m.name == "Welcome" then
    answer("join", here .. m.nonce, it, index, now)
  elseif m.name == "Say" then
    ask("say", here .. m.number, it, index, now)
  elseif m.name == "Accepted" then
    answer("say", here .. m.number, it, index, now)
  elseif m.name == "Whisper" and m.number then
    ask("whisper", here .. m.number, it, index, now)
  elseif m.name == "Whispered" or m.name == "NotHere" then
    answer("whisper", here .. m.number, it, index, now)
  elseif m.name == "Who" or m.name == "Ping" then
    ask(m.name, here .. m.number, it, index, now)
  elseif m.name == "About" or m.name == "Counters" then
    answer("Who", here .. m.number, it, index, now)
  elseif m.name == "Ponged" then
    answer("Ping", here .. m.number, it, index, now)
  elseif m.name == "Pinged" then
    ask("Pong", here .. m.peer .. " " .. m.number, it, index, now)
  elseif m.name == "Pong" then
    answer("Pong", here .. m.peer .. " " .. m.number, it, index, now)
  elseif m.name == "Rename" then
    ask("rename", here, it, index, now)
  elseif m.name == "NotRenamed" then
    answer("rename", here, it, index, now)
  elseif m.name == "Leave" then
    ask("leave", here, it, index, now)
  elseif m.name == "Closing" then
    answer("leave", here, it, index, now)
  end
end

local function new_entry(pinfo)
  local it = { frame = pinfo.number, time = pinfo.rel_ts }
  it.again, it.asked, it.answers, it.joined = {}, {}, {}, {}
  return it
end

local function generated(tree, field_, value)
  return tree:add(field_, value):set_generated()
end

local function show_relations(frame, index, it)
  local tree = frame.tree
  local again = it.again[index]
  if again then
    generated(tree, F.again, again.frame)
    generated(tree, F["again.count"], again.count)
    generated(tree, F["again.time"], seconds(again.time))
    tree:add_proto_expert_info(E.Again, string.format(
      "message %d again, first in packet %d: sent again because unacknowledged, or a copy (§7.5)",
      frame.id, again.frame))
  end
  local asked = it.asked[index]
  if asked and asked.answered then
    generated(tree, F.response_in, asked.answered.frame)
    generated(tree, F.response_time, seconds(asked.answered.time))
  end
  local answers = it.answers[index]
  if answers then
    generated(tree, F.response_to, answers.frame)
    generated(tree, F.response_time, seconds(answers.time))
  end
end

local function say(pinfo, place, text)
  local before = column
  if before and before.packet == pinfo.number and before.place < place then
    text = before.text .. "; " .. text
  end
  column = { packet = pinfo.number, place = place, text = text }
  pinfo.cols.protocol = "Chatagram"
  pinfo.cols.info = text
end

-- An ICMP error quotes its datagram, which was not sent again.
local icmp, icmp6 = Field.new("icmp"), Field.new("icmpv6")
local function is_quoted()
  return icmp() ~= nil or icmp6() ~= nil
end

----------------------------------------------------------------------------------------------------
-- UDP (§3)
----------------------------------------------------------------------------------------------------

local function read_header(tvb, tree)
  local h = {}
  local function number(name, at, size)
    local range = tvb(at, size)
    h[name] = range:uint()
    return tree:add(F[name], range), range
  end
  number("magic", 0, 2)
  number("version", 2, 1)
  local flags, range = number("flags", 3, 1)
  h.from_server, h.ack = h.flags % 2 == 1, math.floor(h.flags / 2) % 2 == 1
  local names = {}
  if h.from_server then names[1] = "FROM_SERVER" end
  if h.ack then names[#names + 1] = "ACK" end
  flags:append_text(" [" .. joined(names) .. "]")
  flags:add(F["flags.from_server"], range)
  flags:add(F["flags.ack"], range)
  if h.flags > 3 then flags:add(F["flags.unknown"], range) end
  h.checksum_item = number("checksum", 4, 4)
  if h.version ~= VERSION then return h end
  tree:add(F.session, tvb(8, 8))
  h.session = tvb(8, 8):bytes():tohex()
  h.outside = h.session == "0000000000000000"
  number("sequence", 16, 4)
  number("acknowledgment", 20, 4)
  local bitmap = tree:add(F.ack_bitmap, tvb(24, 8))
  number("timestamp", 32, 4):append_text(" µs of the sender's clock")
  local delay = number("ack_delay", 36, 2)
  number("window", 38, 2)
  h.acknowledged = {}
  if h.ack then
    h.acknowledged[1] = h.acknowledgment
    for i = 0, 63 do
      local byte = tvb(31 - math.floor(i / 8), 1):uint()
      if math.floor(byte / 2 ^ (i % 8)) % 2 == 1 then
        h.acknowledged[#h.acknowledged + 1] = (h.acknowledgment - 1 - i) % 4294967296
      end
    end
    local list = ranges(h.acknowledged)
    bitmap:append_text(" (with acknowledgment: " .. list .. ")")
    for _, n in ipairs(h.acknowledged) do generated(bitmap, F.acknowledged, n) end
    if h.ack_delay == 65535 then
      delay:append_text(" (6.5535 s or more)")
    else
      delay:append_text(string.format(" (%.1f ms)", h.ack_delay / 10))
    end
  end
  return h
end

local function check_sum(tvb, h, length, cut)
  local item = h.checksum_item
  if cut then
    generated(item, F["checksum.status"], 2)
    return true
  end
  local sum = crc32(raw(tvb, 0, 4) .. raw(tvb, 8, length - 8))
  local good = sum == h.checksum
  item:append_text(good and " [right]" or string.format(" [wrong: these bytes give 0x%08x]", sum))
  generated(item, F["checksum.status"], good and 1 or 0)
  generated(item, F["checksum.calculated"], sum)
  return good, sum
end

-- The first check that fails (§8.1), as in the vectors, if it is of the header.
local function judge(h, length, good, sum)
  if length > MAX_DATAGRAM then return "TooLong", "TooLong" end
  if h.magic ~= MAGIC then return "Magic", string.format("Magic(%d)", h.magic) end
  if not good then
    local detail = string.format("Checksum { found: 0x%08x, computed: 0x%08x }", h.checksum, sum)
    return "Checksum", detail
  end
  if h.version ~= VERSION then return "Version", string.format("Version(%d)", h.version) end
  if h.flags > 3 then return "Flags", string.format("Flags(%d)", h.flags) end
  return nil
end

local function is_misplaced(frame, index, h)
  local spec = frame.spec
  if not spec.from:find(h.from_server and "S" or "C", 1, true) then return true end
  if spec.session ~= nil and spec.session == h.outside then return true end
  -- §5: in session 0 only the first frame counts.
  return h.outside and index > 1 and spec.name ~= "Padding"
end

-- §3.1: a datagram outside of a session's state has no number.
local function is_inside(h, frames)
  local first = frames[1] and frames[1].name
  local answered = h.from_server and first == "PathResponse"
  return not (h.outside or answered or first == "PathChallenge" or first == "Reset")
end

local function track(pinfo, h, frames, it)
  local from, to = ends(pinfo)
  local here = (h.from_server and to .. "|" .. from or from .. "|" .. to) .. "|" .. h.session .. "|"
  local now = it.time
  local inside = is_inside(h, frames)
  local me
  if inside then
    me = sender(h.session, h.from_server, from, to)
    number_it(me, it, h.sequence, h.checksum)
    if it.duplicate or it.old then return end
    if h.ack then
      acknowledge(sender(h.session, not h.from_server, to, from), it, h.acknowledged, now)
    end
  end
  for index, frame in ipairs(frames) do
    if inside and frame.id then message_again(me, it, index, frame, now) end
    if inside and frame.count and is_sound(frame) and not it.again[index] then
      it.joined[index] = join_parts(me, frame)
      if it.joined[index] then show_joined(frame, it.joined[index], h.from_server) end
    end
    -- Nonces belong to no session: the Welcome is in a session, the Join was not.
    local nonce = frame.nonce or (frame.message and frame.message.nonce)
    local pair = from < to and from .. to or to .. from
    relate(frame, index, it, nonce and pair or here, now)
  end
end

local function show_found(tree, h, it)
  if it.gap then
    local gap = it.gap
    generated(tree, F.gap, math.min(gap.count, 4294967295))
    local which = gap.count == 1 and string.format("number %d has", gap.first)
      or string.format("numbers %d to %d have", gap.first, gap.last)
    tree:add_proto_expert_info(E.Gap, which .. " not come: lost, or overtaken (§7.3)")
  end
  if it.late then
    generated(tree, F.late, it.late)
    local text = string.format("overtaken: its gap was noticed at packet %d", it.late)
    tree:add_proto_expert_info(E.Late, text)
  end
  if it.duplicate then
    generated(tree, F.duplicate, it.duplicate)
    tree:add_proto_expert_info(E.Duplicate,
      string.format("number %d was in packet %d; nothing in it is used (§7.3)", h.sequence,
        it.duplicate))
  elseif it.old then
    tree:add_proto_expert_info(E.Duplicate,
      string.format("%d below the largest number: counts as a duplicate (§7.3)", it.old))
  elseif it.reused then
    tree:add_proto_expert_info(E.Reused,
      string.format("number %d was used in packet %d for another datagram (§7.3)", h.sequence,
        it.reused))
  end
  for _, acked in ipairs(it.acks or {}) do
    local item = generated(tree, F.acks, acked.frame)
    item:append_text(string.format(" (number %d)", acked.number))
    item:add(F["acks.time"], seconds(acked.time)):set_generated()
  end
  if it.acked then
    generated(tree, F.acked_in, it.acked.frame)
    generated(tree, F.acked_time, seconds(it.acked.time))
  end
end

local function describe(h, frames, it, verdict)
  local parts = {}
  for index, frame in ipairs(frames) do
    if frame.name ~= "Padding" then
      local what = frame.message and summary(frame.message) or summary(frame)
      parts[#parts + 1] = what .. (it and it.again[index] and " (again)" or "")
    end
  end
  local text
  if h.version ~= VERSION then
    text = string.format("version %d", h.version)
  else
    local inside = is_inside(h, frames)
    local acks = h.ack and string.format("Ack %d", h.acknowledgment)
    text = #parts > 0 and joined(parts) or acks or frames[1] and frames[1].name or "no frames"
    if inside then text = text .. string.format(" | seq %d", h.sequence) end
    if inside and acks and #parts > 0 then text = text .. ", " .. acks end
  end
  if it and (it.duplicate or it.old) then text = "[duplicate] " .. text end
  if it and it.gap then text = string.format("[%d missing] ", it.gap.count) .. text end
  if verdict then text = "[rejected: " .. verdict .. "] " .. text end
  return text
end

local function dissect_datagram(tvb, pinfo, root)
  local length, captured = tvb:reported_len(), tvb:len()
  local cut = captured < length
  local tree = root:add(chatagram, tvb(0, captured))
  if captured < HEADER then
    if cut then
      tree:add_proto_expert_info(E.Cut)
    else
      if captured > 0 then tree:add(F.data, tvb(0, captured)) end
      reject(tree, "TooShort", string.format("TooShort(%d)", length))
    end
    say(pinfo, tvb:offset(), cut and "[cut by the capture]" or "[rejected: TooShort]")
    return captured
  end
  if tvb(0, 2):uint() ~= MAGIC then
    tree:add(F.magic, tvb(0, 2))
    tree:add(F.data, tvb(2, captured - 2))
    local name, detail = judge({ magic = tvb(0, 2):uint() }, length)
    reject(tree, name, detail)
    say(pinfo, tvb:offset(), "[rejected: " .. name .. "] not Chatagram")
    return captured
  end
  local header = tree:add(tvb(0, HEADER), "Header")
  local h = read_header(tvb, header)
  local good, sum = check_sum(tvb, h, length, cut)
  local name, detail = judge(h, length, good, sum)
  if name then reject(name == "Checksum" and h.checksum_item or tree, name, detail) end
  local frames = {}
  if h.version ~= VERSION then
    -- §11.1: the rest belongs to another version.
    if captured > 8 then tree:add(F.data, tvb(8, captured - 8)) end
  else
    local r = reader(tvb, HEADER, captured)
    while r:left() > 0 do
      local frame = read_frame(r, tree, h.from_server)
      local what, at, text = fault(r, frame)
      if what and cut then
        frame.tree:add_proto_expert_info(E.Cut)
        break
      elseif what then
        if not name then
          name, detail = what, string.format("%s(%d)", what, at)
          reject(frame.tree, name, detail, text)
        end
        break
      end
      frames[#frames + 1] = frame
      if is_misplaced(frame, #frames, h) then frame.tree:add_proto_expert_info(E.Misplaced) end
    end
    if cut then
      tree:add_proto_expert_info(E.Cut)
    elseif frames[1] and frames[1].name == "Join" and length < JOIN_SIZE then
      frames[1].tree:add_proto_expert_info(E.Small)
    end
  end
  local it
  if not name and not cut and not is_quoted() then
    local key = pinfo.number .. " " .. tvb:offset()
    if not pinfo.visited then
      it = new_entry(pinfo)
      found[key] = it
      track(pinfo, h, frames, it)
    end
    it = found[key]
    for index, frame in ipairs(it and pinfo.visited and frames or {}) do
      if it.joined[index] then show_joined(frame, it.joined[index], h.from_server) end
    end
  end
  if it then
    show_found(tree, h, it)
    for index, frame in ipairs(frames) do show_relations(frame, index, it) end
  end
  local text = describe(h, frames, it, name)
  tree:append_text(", " .. text)
  say(pinfo, tvb:offset(), text)
  return captured
end

-- With UDP_SEGMENT the kernel takes several datagrams of one size in one call (the last may be
-- shorter), and a capture on the sending machine shows them as one packet; so does UDP_GRO on
-- receiving. The packet does not contain the size: it is where the first datagram's checksum is
-- correct and another datagram begins.
local function segment_size(tvb)
  local captured = tvb:len()
  if captured <= HEADER or tvb(0, 2):uint() ~= MAGIC then return nil end
  local bytes, wanted = raw(tvb, 0, captured), tvb(4, 4):uint()
  local function is_right(size) return crc32(bytes:sub(1, 4) .. bytes:sub(9, size)) == wanted end
  local reported = tvb:reported_len()
  if reported <= MAX_DATAGRAM and (captured < reported or is_right(captured)) then
    return nil
  end
  local at = bytes:find("CG", HEADER + 1, true)
  while at and at - 1 <= MAX_DATAGRAM do
    if is_right(at - 1) then return at - 1 end
    at = bytes:find("CG", at + 1, true)
  end
  return nil
end

local function dissect_datagrams(tvb, pinfo, root)
  local size = segment_size(tvb)
  if not size then return dissect_datagram(tvb, pinfo, root) end
  local captured, length, at = tvb:len(), tvb:reported_len(), 0
  while at < captured do
    local one = math.min(size, length - at)
    if at + one > captured then
      root:add(chatagram, tvb(at, captured - at)):add_proto_expert_info(E.Cut)
      break
    end
    dissect_datagram(tvb(at, one):tvb(), pinfo, root)
    at = at + one
  end
  return captured
end

----------------------------------------------------------------------------------------------------
-- TCP (§11.2)
----------------------------------------------------------------------------------------------------

-- A position in the capture: packets in order; in a packet, the reassembled record before the rest
-- of the segment.
local function is_after(packet, place, mark)
  return mark and (packet > mark.packet or (packet == mark.packet and place > mark.place))
end

local function read_preface(tvb, at, tree)
  local sub = tree:add(tvb(at, PREFACE), "Preface")
  local p = { magic = tvb(at, 2):uint() }
  p.version, p.flags = tvb(at + 2, 1):uint(), tvb(at + 3, 1):uint()
  sub:add(F.magic, tvb(at, 2))
  sub:add(F.version, tvb(at + 2, 1))
  local flags = sub:add(F.flags, tvb(at + 3, 1))
  p.from_server = p.flags % 2 == 1
  if p.from_server then flags:append_text(" [FROM_SERVER]") end
  flags:add(F["flags.from_server"], tvb(at + 3, 1))
  flags:add(F["flags.ack"], tvb(at + 3, 1))
  if p.flags > 3 then flags:add(F["flags.unknown"], tvb(at + 3, 1)) end
  sub:add(F.session, tvb(at + 4, 8))
  p.session = tvb(at + 4, 8):bytes():tohex()
  if p.version ~= VERSION then
    p.rejected, p.detail = "Version", string.format("Version(%d)", p.version)
    p.text = "§11.2: a preface has version 1"
  elseif p.flags > 1 then -- §11.2: ACK is not set either
    p.rejected, p.detail = "Flags", string.format("Flags(%d)", p.flags)
    p.text = "§11.2: only FROM_SERVER may be set in a preface"
  end
  p.tree = sub
  return p
end

-- The sender of this direction, from its preface, else from the other direction's, else from the
-- port.
local function is_from_server(me, other, pinfo)
  if me.preface then return me.from_server end
  if other.preface then return not other.from_server end
  local from, to = pinfo.src_port, pinfo.dst_port
  return from == DEFAULT_PORT or (to ~= DEFAULT_PORT and from < to)
end

-- The state of this direction at this position, of the newest connection that began before it.
-- Wireshark's connection number does not help: it does not exist when packets are dissected for the
-- first time.
local function connection_at(key, packet, place)
  local all = streams[key] or {}
  for i = #all, 1, -1 do
    local it = all[i]
    if packet > it.packet or (packet == it.packet and place >= it.place) then return it end
  end
  return nil
end

local function begin_connection(key, packet, place)
  local it = { packet = packet, place = place }
  streams[key] = streams[key] or {}
  table.insert(streams[key], it)
  return it
end

local function dissect_stream(tvb, pinfo, root)
  local length, start = tvb:len(), tvb:offset()
  local from, to = ends(pinfo)
  local key = from .. "|" .. to
  local other = connection_at(to .. "|" .. from, pinfo.number, start) or {}
  local me = connection_at(key, pinfo.number, start)
  -- A segment that begins with CG, without an incomplete record: a new connection on the same
  -- ports.
  local begins = length >= 2 and tvb(0, 2):uint() == MAGIC
  local is_new = begins and me and me.preface and is_after(pinfo.number, start, me)
  if not me or (is_new and not pinfo.visited) then
    me = begin_connection(key, pinfo.number, start)
  end
  local tree = root:add(chatagram, tvb(0, length))
  local words, at = {}, 0

  local function hang_up(where, name, detail, text)
    reject(where, name, detail, text)
    words[#words + 1] = "[rejected: " .. name .. "]"
    if not me.broken then me.broken = { packet = pinfo.number, place = start + at } end
  end

  -- Requests the missing bytes; false if TCP cannot reassemble.
  -- An incomplete length does not tell how much is missing: requesting its second byte and then the
  -- record would lose the record in the second pass.
  local function wait_for(size)
    if length - at >= size then return true end
    if pinfo.can_desegment > 0 then
      pinfo.desegment_offset = at
      pinfo.desegment_len = size == 2 and DESEGMENT_ONE_MORE_SEGMENT or size - (length - at)
    else
      tree:add_proto_expert_info(E.Cut)
    end
    return false
  end

  while at < length do
    if is_after(pinfo.number, start + at, me.broken) then
      tree:add(F.data, tvb(at, length - at)):append_text(" (the receiver has hung up)")
      words[#words + 1] = "[after the rejected record]"
      break
    end
    if not wait_for(2) then break end
    local first = tvb(at, 2):uint()
    local begun = is_after(pinfo.number, start + at, me.preface)
    -- No record begins with CG, which would be a length of 17,223.
    if first == MAGIC and not begun then
      if not wait_for(PREFACE) then break end
      local p = read_preface(tvb, at, tree)
      if p.rejected then
        hang_up(p.tree, p.rejected, p.detail, p.text)
        break
      end
      if not me.preface then
        me.preface = { packet = pinfo.number, place = start + at }
        me.from_server, me.session = p.from_server, p.session
      end
      words[#words + 1] = "Preface"
      at = at + PREFACE
    elseif first == 0 or first > MAX_RECORD then
      if begun then
        tree:add(F.record, tvb(at, 2))
        local text = string.format("§11.2: a record has 1 to 1,160 bytes, not %d", first)
        hang_up(tree, "TooLong", "TooLong", text)
      else
        tree:add(F.magic, tvb(at, 2))
        local text = "§11.2: a stream begins with 0x4347 (or the capture begins later)"
        hang_up(tree, "Magic", string.format("Magic(%d)", first), text)
      end
      break
    else
      if not wait_for(2 + first) then break end
      local server = is_from_server(me, other, pinfo)
      local sub = tree:add(tvb(at, 2 + first), "Record")
      sub:add(F.record, tvb(at, 2))
      local r = reader(tvb, at + 2, at + 2 + first)
      local frame = read_frame(r, sub, server)
      local name, _, text = fault(r, frame)
      local place = 0
      if not name and r:left() > 0 then
        name, place = "Malformed", r.pos - at - 2
        text = "a record has one frame, and more bytes follow"
      end
      if name then
        hang_up(frame.tree, name, string.format("%s(%d)", name, place), text)
        break
      end
      local what = frame.message and summary(frame.message) or summary(frame)
      sub:set_text("Record: " .. what)
      words[#words + 1] = what
      local key = pinfo.number .. " " .. (start + at)
      if not pinfo.visited then
        local it = new_entry(pinfo)
        found[key] = it
        relate(frame, 1, it, "tcp|" .. (from < to and from .. to or to .. from) .. "|", it.time)
      end
      if found[key] then show_relations(frame, 1, found[key]) end
      at = at + 2 + first
    end
  end
  if #words > 0 then
    local text = joined(words)
    tree:append_text(", " .. text)
    say(pinfo, start, text)
  else
    pinfo.cols.protocol = "Chatagram"
  end
  return length
end

----------------------------------------------------------------------------------------------------
-- Registration: port 2428, and heuristics for packets that begin like this protocol
----------------------------------------------------------------------------------------------------

local TCP_TYPE = 2 -- Wireshark's port type, for which pinfo has no name

function chatagram.dissector(tvb, pinfo, root)
  if pinfo.port_type == TCP_TYPE then return dissect_stream(tvb, pinfo, root) end
  return dissect_datagrams(tvb, pinfo, root)
end

-- Accepts another version if its checksum is correct (§11.1), and a corrupt datagram if it names
-- version 1.
local function looks_like_datagram(tvb)
  local length = tvb:len()
  if length < HEADER or tvb(0, 2):uint() ~= MAGIC then return false end
  if tvb(2, 1):uint() == VERSION then return true end
  if length ~= tvb:reported_len() then return false end
  return crc32(raw(tvb, 0, 4) .. raw(tvb, 8, length - 8)) == tvb(4, 4):uint()
end

chatagram:register_heuristic("udp", function(tvb, pinfo, root)
  if not looks_like_datagram(tvb) then return false end
  if not is_quoted() then pinfo.conversation = chatagram end
  dissect_datagrams(tvb, pinfo, root)
  return true
end)

chatagram:register_heuristic("tcp", function(tvb, pinfo, root)
  local length = tvb:len()
  if length < 3 or tvb(0, 2):uint() ~= MAGIC or tvb(2, 1):uint() ~= VERSION then return false end
  if length > 3 and tvb(3, 1):uint() > 1 then return false end
  if not is_quoted() then pinfo.conversation = chatagram end
  dissect_stream(tvb, pinfo, root)
  return true
end)

DissectorTable.get("udp.port"):add(DEFAULT_PORT, chatagram)
DissectorTable.get("tcp.port"):add(DEFAULT_PORT, chatagram)
