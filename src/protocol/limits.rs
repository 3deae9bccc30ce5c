//! Every number the protocol fixes, in one place. `proto.md` §9 repeats them; a test compares.

use std::time::Duration;

/// Largest UDP payload either end sends or accepts, bytes. It fits IPv6's minimum MTU of 1,280
/// (RFC 8200 §5) with 32 bytes to spare for a tunnel, so it is never fragmented on the way.
pub const MAX_DATAGRAM: usize = 1_200;
/// The UDP payload that every path carries: IPv4's 576 bytes (RFC 791 §3.1, RFC 1122 §3.3.2) less the
/// headers of IPv4 and UDP. RFC 8899 §5.1.2 calls it `BASE_PLPMTU`; what is larger has to be probed for.
pub const BASE_DATAGRAM: usize = 576 - 20 - 8;
/// The same for a path of either version: every IPv6 link carries 1,280 bytes (RFC 8200 §5).
pub fn base_datagram(ipv6: bool) -> usize {
    if ipv6 { MAX_DATAGRAM } else { BASE_DATAGRAM }
}

/// A message that does not fit into one datagram of a path is cut after every so many bytes: a piece
/// fits into [`BASE_DATAGRAM`] with header and frame.
pub const PART_SIZE: usize = 496;
/// Largest message a frame can carry so that header, frame and message fit one datagram.
pub const MAX_MESSAGE: usize = MAX_DATAGRAM - super::HEADER_LEN - 1 - 3 - 3;
/// A `Join` is padded to this size, so that no answer to it can be larger (RFC 9000 §8.1).
pub const JOIN_SIZE: usize = 512;
/// A text is at most this many bytes of UTF-8.
pub const MAX_TEXT: usize = super::text::MAX_TEXT_BYTES;
/// A nickname as typed, before normalisation, is at most this many bytes.
pub const MAX_RAW_NAME: usize = 256;
/// A nickname is at most this many bytes: what a `Line` with the longest text leaves of a datagram.
pub const MAX_NAME: usize = 119;
/// The port nobody has to name.
pub const DEFAULT_PORT: u16 = 2428;
/// Where servers listen for probes, whatever their own port is.
pub const DISCOVERY_PORT: u16 = 2429;
/// A `Probe` is padded to this size, so that no answer to it can be larger.
pub const PROBE_SIZE: usize = 256;
/// The name of a room is at most this many bytes: 32 characters of four.
pub const ROOM_SIZE: usize = 128;
/// A server tells about at most this many peers in answer to one question.
pub const MAX_ABOUT: usize = 1_024;

/// Messages that may be on their way unacknowledged, and be buffered out of order, per direction.
pub const MESSAGE_WINDOW: u64 = 256;
/// Sequence numbers behind the largest that are still told apart from duplicates.
pub const REPLAY_WINDOW: u64 = 1_024;
/// Bytes of messages one end queues for one peer before it counts as too slow.
pub const MAX_QUEUE_BYTES: usize = 1 << 18;
/// Bytes of text replayed to who comes back, at most; the newest lines count.
pub const MAX_REPLAY_BYTES: usize = 1 << 17;

/// How long a join cookie or a path cookie is accepted, at least.
pub const COOKIE_LIFE: Duration = Duration::from_secs(10);
/// The secret behind the cookies is replaced this often; the previous one still counts.
pub const SECRET_LIFE: Duration = Duration::from_secs(120);
/// After a peer expired its name is kept this long for the owner of its resume token.
pub const NAME_HOLD: Duration = Duration::from_secs(30);

/// How long an acknowledgment may wait for company (RFC 9000 §13.2.1, `max_ack_delay`).
pub const MAX_ACK_DELAY: Duration = Duration::from_millis(25);
/// How long an acknowledgment may wait where nothing waits for it: all that came was sent once.
pub const LAZY_ACK_DELAY: Duration = Duration::from_millis(500);
/// Shortest interval between two acknowledgments of a steady stream.
pub const ACK_INTERVAL: Duration = Duration::from_millis(60);
/// Datagrams that one acknowledgment may wait for. Its bitmap names twice as many.
pub const ACK_DATAGRAMS: u32 = 32;
/// Bytes of datagrams that one acknowledgment may wait for: eight full ones.
pub const ACK_BYTES: u32 = 9_600;
/// How long after the search for a path's datagram size a larger one is probed for again. RFC 8899
/// §5.1.1 has 600 s; a conversation is shorter than a connection, and a probe is one datagram.
pub const PATH_RAISE: Duration = Duration::from_secs(60);
/// Pieces of a message sent once wait this long for the others.
pub const REASSEMBLY: Duration = Duration::from_secs(5);
/// The round-trip time assumed before the first sample (RFC 9002 §6.2.2).
pub const INITIAL_RTT: Duration = Duration::from_millis(333);
/// A reliable message unacknowledged for this long ends the session.
pub const GIVE_UP: Duration = Duration::from_secs(30);

/// A client repeats an unanswered `Join` after this long, then after twice that, and so on.
pub const JOIN_RETRY: Duration = Duration::from_millis(250);
/// From one of a server's addresses to the next (RFC 8305 §5, Connection Attempt Delay).
pub const STAGGER: Duration = Duration::from_millis(250);
/// The longest pause between two `Join`s.
pub const JOIN_RETRY_MAX: Duration = Duration::from_millis(750);
/// A first join that nobody answered for this long has failed.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(8);
/// A first join that was answered, but not let in for this long, has failed.
pub const JOIN_DEADLINE: Duration = Duration::from_secs(15);
/// A rejoin begins anew this often, with the server's addresses as they are by then.
pub const LOOKUP_INTERVAL: Duration = Duration::from_secs(5);
/// A session has lasted when something was heard in it this long after it began.
pub const LASTING: Duration = Duration::from_secs(5);
/// The longest pause before the rejoin after a session that did not last.
pub const REJOIN_PAUSE_MAX: Duration = Duration::from_secs(8);
/// What a client on TCP assumes of the heartbeat before its `Welcome` says.
pub const INITIAL_HEARTBEAT: Duration = Duration::from_secs(2);
/// A connection that has not joined after this long is cut off.
pub const STREAM_JOIN_TIMEOUT: Duration = Duration::from_secs(10);
/// A farewell that nobody acknowledged for this long is over.
pub const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);
/// A client waits this long for a server that said it would restart.
pub const RESTART_WAIT: Duration = Duration::from_secs(60);
/// A question to the server or to a peer that nobody answered for this long is given up.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// A client that hears nothing for this long says that the server is quiet.
pub const QUIET: Duration = Duration::from_secs(5);
/// A client that hears nothing for this long takes the server for dead and joins again.
pub const SILENT: Duration = Duration::from_secs(15);

/// Line numbers of one owner that the log tells apart, from the newest down; `Welcome` tells of as many.
pub const NUMBER_WINDOW: u16 = 256;
/// A message takes one token, and one more for each full so many bytes.
pub const TOKEN_BYTES: usize = 256;
/// Tokens that a message of this many bytes takes.
pub fn tokens(bytes: usize) -> usize {
    1 + bytes / TOKEN_BYTES
}

/// Tokens that the lines of a peer with a limit take which are on their way unsettled, at most.
pub const MAX_UNSETTLED: usize = 64;
/// Tokens of debt that nobody is told of: jitter, and a few questions.
pub const SLOW_DEBT: usize = 4;
/// Tokens above its limit that a peer is forgiven. One that keeps to the limit, and to
/// [`MAX_UNSETTLED`], cannot come so far, however the network bunches them.
pub const FLOOD_TOLERANCE: usize = 2 * MAX_UNSETTLED;
/// Who was dropped for flooding is not let in again from that IP address for this long.
pub const FLOOD_HOLD: Duration = Duration::from_secs(60);

/// As many peers as one address may have come in from there in this time, after twice as many at once.
pub const JOINS_PERIOD: Duration = Duration::from_secs(30);
/// Joins from one address at once that are always allowed.
pub const MIN_JOINS: u16 = 20;

/// Lines replayed to whoever joins.
pub const REPLAY_LINES: usize = 10;
/// Lines the server keeps in memory, for those who come back.
pub const LOG_LINES: usize = 1_024;
