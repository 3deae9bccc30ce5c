//! Every number that a client author or the network can notice, in one place. `proto.md` §9 has the
//! same table; `tests/library/proto_md.rs` compares the two.
//!
//! The values are those of the specification this implementation follows, where there is one, and
//! the comment cites it.

use std::time::Duration;

// Sizes

/// Largest UDP payload either end sends or accepts, bytes. It fits the minimum MTU of IPv6, 1,280
/// (RFC 8200 §5), with 32 bytes to spare for a tunnel, so the network never fragments it.
pub const MAX_DATAGRAM: usize = 1_200;
/// UDP payload that every path carries: 576 bytes of IPv4 (RFC 791 §3.1, RFC 1122 §3.3.2) less the
/// headers of IPv4 and UDP. RFC 8899 §5.1.2 calls it `BASE_PLPMTU`; larger sizes need a probe.
pub const BASE_DATAGRAM: usize = 576 - 20 - 8;
/// The same for a path of either version: every IPv6 link carries 1,280 bytes (RFC 8200 §5).
#[must_use]
pub(crate) fn base_datagram(ipv6: bool) -> usize {
    if ipv6 { MAX_DATAGRAM } else { BASE_DATAGRAM }
}

/// Bytes in each part of a message that does not fit one datagram of the path. A part fits into
/// [`BASE_DATAGRAM`] together with header and frame.
pub const PART_SIZE: usize = 496;
/// Parts of the longest message.
pub const MAX_PARTS: usize = MAX_MESSAGE.div_ceil(PART_SIZE);
/// Largest message a frame can carry so that header, frame and message fit one datagram.
pub const MAX_MESSAGE: usize = MAX_DATAGRAM - super::HEADER_LEN - 1 - 3 - 3;
/// Largest frame in a record of a TCP stream: a datagram without its header.
pub const MAX_RECORD: usize = MAX_DATAGRAM - super::HEADER_LEN;
/// Largest roll: a message less its number, `peers`, `reason` and length, each at its longest.
pub const MAX_ROLL: usize = MAX_MESSAGE - 1 - 3 - 1 - 3;
/// A `Join` is padded to this size, so that no answer to it can be larger (RFC 9000 §8.1).
pub const JOIN_SIZE: usize = 512;
/// Bytes of UTF-8 in a text, at most.
pub const MAX_TEXT: usize = super::text::MAX_TEXT_BYTES;
/// Bytes of a nickname as typed, before normalisation, at most.
pub const MAX_RAW_NAME: usize = 256;
/// Characters of a nickname as typed, at most: NFKC joins at most four into one (UAX #15).
/// Checked before any work is spent on hostile input.
pub const MAX_RAW_CHARS: usize = 4 * MAX_NAME_CHARS;
/// Characters of a nickname in its normalised form, at most.
pub const MAX_NAME_CHARS: usize = 32;
/// Longest nickname in bytes: it fits into a `Line` with the longest text in one datagram.
pub const MAX_NAME: usize = 119;
/// Nonspacing marks on one letter of a nickname: the bound that UTS #39 §5.4 proposes.
pub const MAX_MARKS: usize = 4;
/// The server's port where none is given.
pub const DEFAULT_PORT: u16 = 2428;
/// Port where servers listen for probes, whatever their own port is.
pub const DISCOVERY_PORT: u16 = 2429;
/// A `Probe` is padded to this size, so that no answer to it can be larger.
pub const PROBE_SIZE: usize = 256;
/// Bytes of a room's name, at most: 32 characters of four.
pub const ROOM_SIZE: usize = 128;

// Windows, queues and memory

/// Messages on their way unacknowledged, and buffered out of order, per direction.
pub const MESSAGE_WINDOW: u64 = 256;
/// Sequence numbers, from the largest down, that are told apart from duplicates.
pub const REPLAY_WINDOW: u64 = 1_024;
/// Datagrams below the acknowledgment that the header's bitmap names.
pub const ACK_BITMAP: u64 = 64;
/// Datagrams that a sender remembers. If there are more, the oldest counts as lost.
pub const REMEMBERED_DATAGRAMS: usize = 1_024;
/// Messages sent once of which some parts have arrived. If there are more, the oldest is dropped.
pub const MAX_ASSEMBLIES: usize = 8;
/// Bytes of messages one end queues for one other end.
pub const MAX_QUEUE_BYTES: usize = 1 << 18;
/// Bytes in a queue that is pressure. A room that says fewer in `PRESSURE_WAIT` never waits for a
/// reader that stands still.
pub const PRESSURE_HIGH: usize = MAX_QUEUE_BYTES / 8 * 5;
/// Bytes in a queue that is pressure no longer.
pub const PRESSURE_LOW: usize = MAX_QUEUE_BYTES / 4;
/// Bytes in a queue that puts pressure on all peers. Lines in transit through the hub still fit.
pub const PRESSURE_FULL: usize = MAX_QUEUE_BYTES / 4 * 3;
/// Bytes that a reader takes within [`PRESSURE_WAIT`] if it makes progress.
pub const PRESSURE_STEP: usize = 8 * 1024;
/// A reader without progress for this long exerts no pressure.
pub const PRESSURE_WAIT: Duration = Duration::from_secs(2);
/// Bytes in the queue to a peer behind which no `Pinged` or `Ponged` is queued.
pub const PING_QUEUE: usize = 16 * 1024;
/// Bytes of datagrams that the server reads of one peer in a turn: more than a full window.
pub const TURN_BYTES: usize = 2 * MAX_QUEUE_BYTES;
/// Bytes that the server reads of one connection in a turn.
pub const STREAM_TURN_BYTES: usize = 64 * 1024;
/// Connections without a session, of TCP and QUIC together; and QUIC handshakes under way. One more
/// takes the place of the oldest.
pub const MAX_UNJOINED: usize = 64;
/// QUIC handshakes under way above which a client has to prove its address (RFC 9000 §8.1.2).
pub const QUIC_RETRY_ABOVE: usize = 16;
/// QUIC handshakes that a server begins in a second, at most: each costs a signature.
pub const QUIC_HANDSHAKES: u32 = 256;
/// Bytes of the secret of a private room: 160 random bits, which nobody guesses.
pub const SECRET_LEN: usize = 20;
/// Bytes of each proof of that secret, and of the key that it is bound to: those of a SHA-256.
pub const PROOF_LEN: usize = 32;
/// Longest ticket in bytes.
pub const MAX_TICKET: usize = 1_024;
/// Addresses in a ticket, at most.
pub const TICKET_PLACES: usize = 8;
/// Wrong proofs at once from one address, after which the server reads no more of them.
pub const GUESSES: u32 = 8;
/// After this pause, an address may send one more wrong proof.
pub const GUESS_PAUSE: Duration = Duration::from_secs(10);
/// Nonces of ended sessions that the server remembers, the newest.
pub const REMEMBERED_NONCES: usize = 4_096;
/// Addresses and owners whose allowance the server remembers after they left. The account that
/// would be settled first is forgotten first.
pub const MAX_ACCOUNTS: usize = 4_096;
/// Owners whose line numbers the log knows. The owner whose last line is oldest is forgotten first.
pub const MAX_OWNERS: usize = 4_096;
/// Line numbers of one owner, from the newest down, that the log tells apart and `Welcome` names.
pub const NUMBER_WINDOW: u16 = 256;
/// Lines replayed to newcomers, unless configured otherwise.
pub const REPLAY_LINES: usize = 10;
/// Lines the server keeps in memory, for clients that rejoin.
pub const LOG_LINES: usize = 1_024;
/// Bytes of text replayed to a client that rejoins, at most; the newest lines count.
pub const MAX_REPLAY_BYTES: usize = 1 << 17;
/// Each run of a server begins behind a multiple of this position, so that lines which were told
/// and then lost with the end of the history file do not share a position with later lines.
pub const POSITION_STEP: u64 = 1_000_000;
/// Positions in a history file are below this, because many readers of JSON take no larger number.
pub const MAX_POSITION: u64 = 1 << 52;
/// Addresses of one server that a client tries, at most.
pub const MAX_ADDRESSES: usize = 16;
/// Addresses of other servers in one list of a server, at most.
pub const MAX_SERVERS: usize = 16;
/// `About` messages in answer to one `Who`, at most.
pub const MAX_ABOUT: usize = 1_024;

// Joining, leaving, coming back

/// How long a join cookie or a path cookie is accepted, at least.
pub const COOKIE_LIFE: Duration = Duration::from_secs(10);

/// [`COOKIE_LIFE`] of a join cookie in a room with this expiry.
#[must_use]
pub fn cookie_life(expiry: Duration) -> Duration {
    COOKIE_LIFE.max(expiry / 6)
}

/// Life of the secret behind the cookies; the previous secret still counts.
pub const SECRET_LIFE: Duration = Duration::from_secs(120);
/// After an expiry the name is kept this long for the owner of its token.
pub const NAME_HOLD: Duration = Duration::from_secs(30);
/// A client that the moderator removed may not join again before this time has passed.
pub const BAN: Duration = Duration::from_secs(600);
/// How long a peer is muted if the moderator names no time.
pub const MUTE: Duration = Duration::from_secs(600);
/// The longest time that a moderator can name.
pub const MAX_MUTE: Duration = Duration::from_secs(86_400);
/// Clients that a server's moderator keeps out, and clients that it keeps mute, at most.
pub const MAX_BANS: usize = 256;
/// Longest topic, bytes of UTF-8.
pub const MAX_TOPIC: usize = 300;
/// Pause after the first `Join` without an answer; each further pause is twice as long.
pub const JOIN_RETRY: Duration = Duration::from_millis(250);
/// Longest pause between two `Join`s of a first join, and while a server restarts.
pub const JOIN_RETRY_MAX: Duration = Duration::from_millis(750);
/// Pause from one of a server's addresses to the next (RFC 8305 §5, Connection Attempt Delay).
pub const STAGGER: Duration = Duration::from_millis(250);
/// Pause after a `Join` to an address that only a server has named, so that a hostile server cannot
/// make its clients flood a third party.
pub const LISTED_PAUSE: Duration = Duration::from_secs(1);
/// A first join without any answer has failed after this time.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(8);
/// A first join that was answered, but not admitted, has failed after this time.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(15);
/// A rejoin draws a new nonce at this interval. It looks up the server's addresses again after this
/// time, then after twice that, and so on.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);
/// Longest pause between two look-ups of the server's addresses in a rejoin.
pub const LOOKUP_PAUSE_MAX: Duration = Duration::from_secs(40);
/// A session has lasted if something was received in it this long after it began, or if a line was
/// accepted in it.
pub const LASTING: Duration = Duration::from_secs(5);
/// Longest pause between two `Join`s of a rejoin, and before one after a session that did not last.
pub const REJOIN_PAUSE_MAX: Duration = Duration::from_secs(8);
/// A connection that has not joined after this time is closed.
pub const STREAM_JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that are not established this long after the last attempt began are begun anew; over
/// QUIC the old ones go on beside the new.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Where there are other addresses, a server that accepted a connection has this long to answer.
pub const STREAM_ANSWER: Duration = Duration::from_secs(2);
/// Heartbeat interval over TCP before `Welcome` names it.
pub const INITIAL_HEARTBEAT: Duration = Duration::from_secs(2);
/// A session that ends in order is over after this time at the latest.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client tries this long to rejoin a server that announced a restart.
pub const RESTART_WAIT: Duration = Duration::from_secs(60);
/// A client that followed the server to another address stays there at least this long. The server
/// may be moving the session at the same time; if both followed at once they would never meet.
pub const DWELL: Duration = Duration::from_secs(2);

// Signs of life

/// Heartbeat interval that the server announces, unless configured otherwise.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// A client not heard for this long is gone, unless configured otherwise.
pub const EXPIRY: Duration = Duration::from_secs(10);
/// In a crowd the heartbeat interval grows by this for each peer (RFC 3550 §6.2).
pub const HEARTBEAT_SHARE: Duration = Duration::from_millis(2);
/// The heartbeat interval grows with the crowd up to this.
pub const MAX_HEARTBEAT: Duration = Duration::from_secs(5);
/// Messages a second with arrivals and departures, to all peers together.
pub const ANNOUNCE_RATE: u32 = 5_000;
/// Longest interval between two announcements of arrivals and departures.
pub const MAX_ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// Most messages of one announcement: an eighth of what may be queued for a peer.
pub const MAX_ANNOUNCEMENT: usize = 32;
/// A client sends heartbeats no more often than this, whatever the server asks.
pub const MIN_HEARTBEAT: Duration = Duration::from_millis(10);
/// A client that hears nothing for this long says that the server is quiet.
pub const QUIET: Duration = Duration::from_secs(5);
/// A client that hears nothing for this long takes the server for dead and joins again.
pub const SILENT: Duration = Duration::from_secs(15);
/// A longer pause between two turns of the server is a suspension of its own: it expires no peer.
pub const STANDSTILL: Duration = Duration::from_secs(2);
/// A peer whose connection takes none of the bytes that wait for it for this long is disconnected.
pub const STREAM_STALL: Duration = Duration::from_secs(20);

// Acknowledgments

/// How long an acknowledgment may wait (RFC 9000 §13.2.1, `max_ack_delay`).
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
/// How long an acknowledgment may wait if all that arrived is sent once.
pub const LAZY_ACK_DELAY: Duration = Duration::from_millis(500);
/// Shortest interval between two acknowledgments of a steady stream.
pub const ACK_INTERVAL: Duration = Duration::from_millis(60);
/// Datagrams without a pause, a late one or a missing message after which a stream counts as
/// steady, and datagrams after a late one during which the path counts as reordering.
pub const STEADY: u32 = 64;
/// Datagrams that one acknowledgment may wait for. Its bitmap names twice as many.
pub const ACK_DATAGRAMS: u32 = 32;
/// Bytes of datagrams that one acknowledgment may wait for: eight full ones.
pub const ACK_BYTES: u32 = 9_600;

// Loss and congestion

/// Round-trip time assumed before the first sample (RFC 9002 §6.2.2).
pub const INITIAL_RTT: Duration = Duration::from_millis(333);
/// Timer granularity (RFC 9002 §6.1.2, kGranularity).
pub const GRANULARITY: Duration = Duration::from_millis(1);
/// Age of the newest round-trip sample after which a datagram of messages sent once asks for one.
pub const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// A datagram this far below the largest acknowledged is lost (RFC 9002 §6.1.1, kPacketThreshold),
/// on a path that keeps the order.
pub const PACKET_THRESHOLD: u64 = 3;
/// On a path that reorders, a datagram that is later than this is lost.
pub const MAX_REORDERING: Duration = Duration::from_secs(1);
/// After this many losses without a late datagram the path keeps the order again (RFC 8985 §6.2
/// keeps its window for as many recoveries).
pub const REORDERING_PERSISTS: u32 = 16;
/// Longest interval between probes that grows by doubling, once the round trip is known. RFC 9002
/// doubles without a bound, and so does a link without a sample.
pub const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// Probe timeouts that losses span in persistent congestion (RFC 9002 §7.6.1).
pub const PERSISTENT_CONGESTION: u32 = 3;
/// Congestion window of a new session, bytes (RFC 9002 §7.2).
pub const INITIAL_WINDOW: u64 = 10 * MAX_DATAGRAM as u64;
/// Smallest congestion window, bytes (RFC 9002 §7.2, kMinimumWindow).
pub const MINIMUM_WINDOW: u64 = 2 * MAX_DATAGRAM as u64;
/// A reliable message unacknowledged for this long ends the session.
pub const GIVE_UP: Duration = Duration::from_secs(30);

/// [`GIVE_UP`] in a room with this expiry. An operator whose clients are behind a very long path
/// makes the expiry long; the other timeouts follow it.
#[must_use]
pub fn give_up(expiry: Duration) -> Duration {
    GIVE_UP.max(expiry / 2)
}

/// Bytes of the longest message that is copied before it is known to be lost.
pub const MAX_COPIED: usize = 256;
/// Bytes of copies that the budget saves up, and holds when the session begins.
pub const COPY_CREDIT: u64 = 2 * MAX_DATAGRAM as u64;
/// A copy waits for the next message if messages leave at least this often.
pub const MAX_RIDE_WAIT: Duration = Duration::from_millis(25);
/// Probes in a row that are two datagrams each and do not double the interval, where datagrams get
/// lost (RFC 9002 §6.2.4).
pub const PAIRED_PROBES: u32 = 3;

// Path size

/// Lost probes of one size after which it counts as too large (RFC 8899 §5.1.2, MAX_PROBES).
pub const PATH_PROBES: u32 = 3;
/// Pause between two path probes.
pub const PATH_PROBE_PAUSE: Duration = Duration::from_millis(250);
/// Distance between a size that passes and one that does not, at which the search ends, bytes.
pub const PATH_STEP: usize = 32;
/// Interval between probes for a larger size after the search ended below the largest.
/// RFC 8899 §5.1.1 has 600 s; a conversation is shorter than a connection.
pub const PATH_RAISE: Duration = Duration::from_secs(60);
/// Parts of a message sent once wait this long for the others.
pub const REASSEMBLY: Duration = Duration::from_secs(5);

// How fast a client may speak

/// Tokens in a full bucket, unless configured otherwise.
pub const BURST: u16 = 20;
/// Tokens a second, unless configured otherwise.
pub const RATE: u16 = 10;
/// Bytes of a message that cost one more token.
pub const TOKEN_BYTES: usize = 256;
/// Tokens that a message of `bytes` bytes takes.
#[must_use]
pub fn tokens(bytes: usize) -> usize {
    1 + bytes / TOKEN_BYTES
}

/// Tokens of the lines on their way and not settled, at most, where there is a limit.
pub const MAX_UNSETTLED: usize = 64;
/// Questions that a client may ask ahead of its tokens.
pub const QUESTIONS_AHEAD: usize = 16;
/// `Ping`s of one client without an answer.
pub const MAX_PINGS: usize = 8;
/// A question without an answer is given up after this time.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Frames without a message that one datagram carries free of tokens: a heartbeat, the answer to a
/// path challenge, padding.
pub const FREE_FRAMES: usize = 3;
/// A path probe takes no token if the one before it came this long ago: less than
/// [`PATH_PROBE_PAUSE`], for the network bunches them.
pub const FREE_PATH_PROBE: Duration = Duration::from_millis(200);
/// Tokens of debt without a `Slow`: jitter, and a few questions.
pub const SLOW_DEBT: usize = 4;
/// `Slow` is sent again when the wait has grown by this.
pub const SLOW_AGAIN: Duration = Duration::from_secs(1);
/// Tokens above its limit that a peer is forgiven. A client that keeps to the limit, and to
/// [`MAX_UNSETTLED`], cannot exceed it, however the network bunches its lines.
pub const FLOOD_TOLERANCE: usize = 2 * MAX_UNSETTLED;
/// An IP address that flooded is kept out for this long.
pub const FLOOD_HOLD: Duration = Duration::from_secs(60);

// Admission

/// Peers in the room, unless configured otherwise.
pub const PEERS: u16 = 256;
/// Peers from one IP address, unless configured otherwise.
pub const PEERS_PER_IP: u16 = 64;
/// In this time an address may bring in as many peers as it may have, after twice as many at once.
pub const JOINS_PERIOD: Duration = Duration::from_secs(30);
/// Joins at once that each address may always make.
pub const MIN_JOINS: u16 = 20;

// A room with several servers

/// A server renews its lease this often.
pub const ENGINE_RENEW: Duration = Duration::from_secs(2);
/// After this time without a renewal a server tells its peers.
pub const ENGINE_QUIET: Duration = Duration::from_secs(4);
/// After this time without a renewal the peers of a server are gone.
pub const ENGINE_EXPIRY: Duration = Duration::from_secs(10);
/// A server ends its sessions this long before others may have the names of its peers.
pub const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// A `Join` that waits for its name for this long is refused.
pub const CLAIM_WAIT: Duration = Duration::from_secs(5);
/// `Join`s that wait for their names, at most.
pub const MAX_CLAIMS: usize = 256;
/// A whisper to a peer of another server has no reader after this time without an answer.
pub const MAIL_WAIT: Duration = Duration::from_secs(5);
/// Whispers and pings between servers without an answer, at most.
pub const MAX_MAIL: usize = 1_024;
/// Bytes of lines without a position that are pressure.
pub const PROPOSED_HIGH: usize = 1 << 19;
/// Bytes of lines without a position that put pressure on all peers.
pub const PROPOSED_FULL: usize = 1 << 20;
/// Peers of a room with several servers, at most: each server numbers all of them.
pub const MAX_SEATS: usize = 60_000;

// Reports to the user, and the search for a server

/// A skipped line counts as missing after this long where lines are sent once.
pub const GAP_WAIT: Duration = Duration::from_secs(1);
/// The same where a line may be sent again, on this side of the server or the other. QUIC doubles
/// the time between probes without a bound (RFC 9002 §6.2.1): seven lost ones in a row fit in.
pub const GAP_WAIT_RELIABLE: Duration = Duration::from_secs(20);
/// A line in a QUIC datagram without a receipt counts as lost [`GAP_WAIT`] and this many round
/// trips after it left: a receipt whose packet was lost once has arrived by then.
pub const QUIC_RECEIPT_TRIPS: u32 = 3;
/// Probes in one search: datagrams get lost, multicast on Wi-Fi more than others.
pub const SEARCH_PROBES: u8 = 3;
/// Pause from one probe of a search to the next.
pub const SEARCH_PAUSE: Duration = Duration::from_millis(200);
