//! Messages: the content of the chat, inside `Once`, `Unordered` and `Ordered` frames. Clients and
//! the server have a table each, selected by `Flags::FROM_SERVER`; the order of the variants is
//! their number on the wire. `proto.md` §6 has the same tables.

use super::frame::{Delivery, Refusal, Token, Transport, as_bytes};
use super::mark::Mark;
use super::roll::Roll;
use super::servers::ServerList;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A message of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientMessage<'a> {
    /// 0: a line for the room.
    Say(#[serde(borrow)] Say<'a>),
    /// 1: a line for one peer.
    Whisper(#[serde(borrow)] Whisper<'a>),
    /// 2: leaves. The server ends the session with `Closing`.
    Leave {
        /// Number that the next line would have had, so that peers learn of lost last lines.
        next: u16,
    },
    /// 3: sets the delivery mode of chat lines to this client.
    Deliver(Delivery),
    /// 4: asks for the peers and their link statistics.
    Who {
        /// Identifies the answers to this question.
        number: u16,
    },
    /// 5: measures the round-trip time to a peer.
    Ping {
        /// Identifies the answer to this question.
        number: u16,
        /// Nickname of that peer.
        to: &'a str,
    },
    /// 6: answers the server's `Pinged`.
    Pong {
        /// As there.
        peer: u16,
        /// As there.
        number: u16,
    },
    /// 7: asks for another nickname. `Renamed` or `NotRenamed` answers.
    Rename {
        /// The nickname, as in `Join`.
        nickname: &'a str,
    },
    /// 8: an order of the room's moderator. `Notice` answers.
    Moderate {
        /// The order, as the user typed it.
        order: &'a str,
    },
}

/// Why a peer left the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LeaveReason {
    /// It sent `Leave`.
    Quit,
    /// It expired, or it acknowledged nothing.
    Timeout,
    /// The server stops.
    Shutdown,
    /// It exceeded its rate limit by far and ignored `Slow`.
    Flood,
    /// The server restarts: clients rejoin by themselves.
    Restart,
    /// The moderator removed it.
    Kicked,
}

/// A message of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServerMessage<'a> {
    /// 0: the first message of a session. `Present` with `peers - 1` other peers in total and
    /// `replay` times `History` follow, in this order.
    Welcome(#[serde(borrow)] Welcome<'a>),
    /// 1: peers announced before this client.
    Present {
        /// The peers, with the numbers of their next lines.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 2: a line from before this client joined or rejoined.
    History(#[serde(borrow)] PastLine<'a>),
    /// 3: peers joined.
    Joined {
        /// Number of peers in the room, with them.
        peers: u16,
        /// The peers, with the numbers of their next lines.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 4: peers left; their peer numbers are free.
    Left {
        /// Number of peers in the room, without them.
        peers: u16,
        /// Why.
        reason: LeaveReason,
        /// The peers, with the numbers that their next lines would have had.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 5: a line.
    Line(#[serde(borrow)] LiveLine<'a>),
    /// 6: this client's line `number` is in the log at `position`.
    Accepted {
        /// As in the `Say`.
        number: u16,
        /// As in `Line`.
        position: u64,
    },
    /// 7: a whisper to this client.
    Whisper {
        /// As in `Line`.
        at: u64,
        /// As in `Line`.
        upstream: i32,
        /// As in `Line`.
        peer: u16,
        /// As in `Line`.
        from: &'a str,
        /// The text.
        text: &'a str,
    },
    /// 8: this client's whisper `number` was passed on.
    Whispered {
        /// As in the client's `Whisper`.
        number: u16,
        /// As in `Whisper`.
        at: u64,
        /// Nickname of the receiver.
        to: &'a str,
        /// The text.
        text: &'a str,
    },
    /// 9: no peer has the nickname of this client's whisper `number`.
    NotHere {
        /// As in the client's `Whisper`.
        number: u16,
        /// That nickname.
        to: &'a str,
    },
    /// 10: a warning for all peers, such as a full disk.
    Notice {
        /// For people.
        text: &'a str,
    },
    /// 11: the last message of a session.
    Closing {
        /// Why.
        reason: LeaveReason,
        /// Text for people; may be empty.
        detail: &'a str,
    },
    /// 12: statistics of one peer, in answer to `Who`.
    About(#[serde(borrow)] About<'a>),
    /// 13: another client measures the round-trip time: answer with a `Pong` of the same contents.
    Pinged {
        /// Peer number of that client.
        peer: u16,
        /// The number of its `Ping`.
        number: u16,
    },
    /// 14: the answer to a `Ping`.
    Ponged {
        /// Identifies the `Ping`.
        number: u16,
        /// Nickname of the peer that answered; empty if no peer has the name.
        from: &'a str,
    },
    /// 15: rate limit: send nothing for a while.
    Slow {
        /// Duration from now, milliseconds.
        wait_ms: u16,
    },
    /// 16: counters of received datagrams since the server started, before the `About`s.
    Counters {
        /// Identifies the `Who`.
        number: u16,
        /// The counters.
        server: ServerCounters,
    },
    /// 17: the other servers of the room, in place of those of an earlier list.
    Servers {
        /// Where clients can join them.
        #[serde(borrow)]
        servers: ServerList<'a>,
    },
    /// 18: a peer, perhaps this client, has another nickname.
    Renamed {
        /// Its peer number.
        peer: u16,
        /// Its nickname before.
        from: &'a str,
        /// Its nickname from now on.
        to: &'a str,
    },
    /// 19: this client keeps its nickname.
    NotRenamed {
        /// Why.
        reason: Refusal,
        /// For people.
        detail: &'a str,
    },
    /// 20: the topic of the room.
    Topic {
        /// The text; empty: there is none.
        text: &'a str,
    },
    /// 21: this client's line or whisper `number` was not passed on.
    Rejected {
        /// As in the `Say` or `Whisper`.
        number: u16,
        /// Whether it is a whisper.
        private: bool,
        /// Why, for people.
        detail: &'a str,
    },
}

/// A line for the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Say<'a> {
    /// Number of the line: counts this client's lines for the room, modulo 2^16, across
    /// sessions.
    pub number: u16,
    /// The client's wall clock when the line was typed, microseconds since 1970.
    pub sent: u64,
    /// At most 1,000 bytes, no control characters.
    pub text: &'a str,
}

/// A line for one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whisper<'a> {
    /// Number of the whisper: counts this client's whispers, modulo 2^16, across sessions.
    pub number: u16,
    /// As in `Say`.
    pub sent: u64,
    /// Nickname of the receiver.
    pub to: &'a str,
    /// As in `Say`.
    pub text: &'a str,
}

/// The first message of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome<'a> {
    /// The nonce of the `Join`.
    pub nonce: u64,
    /// This client's number in the room.
    pub peer: u16,
    /// Token with which a rejoin keeps the nickname.
    pub token: Token,
    /// The nickname as all peers see it: normalised.
    pub nickname: &'a str,
    /// Name of the room.
    pub room: &'a str,
    /// Heartbeat interval, milliseconds.
    pub heartbeat_ms: u32,
    /// Expiry, milliseconds.
    pub expiry_ms: u32,
    /// Rate limit: messages at once; 0: no limit.
    pub burst: u16,
    /// Rate limit: messages a second after that; 0: no limit.
    pub rate: u16,
    /// Number of announced peers, this client included.
    pub peers: u16,
    /// Number of `History` messages that follow.
    pub replay: u16,
    /// Whether these are all lines after the `seen` of the `Join`.
    pub complete: bool,
    /// Epoch of the log.
    pub epoch: u64,
    /// Position of the newest line, or one before the first: the client's `seen` after the
    /// replay.
    pub latest: u64,
    /// Largest line number of this owner in the log; 0 if `taken` is empty.
    pub newest: u16,
    /// Line numbers of this owner in the log: bit `i` stands for `newest - i`, the lowest bit
    /// of the first byte for `newest`. At most 32 bytes, the last of them not 0.
    #[serde(serialize_with = "as_bytes")]
    pub taken: &'a [u8],
    /// Whether `taken` has every line of this owner after the `seen` of the `Join`, within its
    /// window.
    pub sure: bool,
}

impl Welcome<'_> {
    /// The newest line of the log, or the position before the first.
    #[must_use]
    pub fn latest(&self) -> Mark {
        Mark { epoch: self.epoch, position: self.latest }
    }
}

/// A line from before the client joined or rejoined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastLine<'a> {
    /// As in `Line`.
    pub position: u64,
    /// As in `Line`.
    pub at: u64,
    /// Whether this client's owner said it.
    pub own: bool,
    /// The `number` of its `Say` if so; else 0.
    pub number: u16,
    /// Whose line it was.
    pub from: &'a str,
    /// The text.
    pub text: &'a str,
}

/// A line, as it is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveLine<'a> {
    /// Position in the log of this epoch.
    pub position: u64,
    /// The server's wall clock when it took the line, microseconds since 1970. For display
    /// only: the clock may step, so it gives no order.
    pub at: u64,
    /// Delay to the server: `at` minus the `sent` of the `Say`, microseconds, saturating. It
    /// includes the offset of the two clocks.
    pub upstream: i32,
    /// The sender's peer number.
    pub peer: u16,
    /// The `number` of the `Say`. A jump is a gap.
    pub number: u16,
    /// The sender's nickname.
    pub from: &'a str,
    /// The text.
    pub text: &'a str,
}

/// Statistics of one peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About<'a> {
    /// Identifies the `Who`.
    pub number: u16,
    /// Number of `About`s that follow.
    pub left: u16,
    /// Its peer number.
    pub peer: u16,
    /// Its nickname.
    pub nickname: &'a str,
    /// Transport of its session.
    pub transport: Transport,
    /// Delivery mode of lines to it.
    pub delivery: Delivery,
    /// The smoothed round-trip time between server and peer, microseconds; 0: not known.
    pub rtt_us: u32,
    /// Time since the server heard it, milliseconds.
    pub silent_ms: u32,
    /// Ack-eliciting datagrams sent to it in this session; over TCP segments with data. 0: this
    /// and `lost` are not known.
    pub sent: u64,
    /// Of these, datagrams declared lost; over TCP segments retransmitted.
    pub lost: u64,
    /// Datagrams received from it; over TCP segments with data. 0: this and `missing` are not
    /// known.
    pub received: u64,
    /// Datagrams missing between them; not known over TCP.
    pub missing: u64,
}

impl About<'_> {
    /// The smoothed round-trip time, if it is known.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        (self.rtt_us > 0).then(|| Duration::from_micros(self.rtt_us.into()))
    }

    /// Time since the server heard the peer; `None` for a peer at another server.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        (self.silent_ms != u32::MAX).then(|| Duration::from_millis(self.silent_ms.into()))
    }

    /// What was sent to the peer, and how much of it was lost, if that is known. A session begins
    /// with a message each way, so 0 is an unknown number.
    #[must_use]
    pub fn sent(&self) -> Option<(u64, u64)> {
        (self.sent > 0).then_some((self.sent, self.lost))
    }

    /// What was received from the peer, if that is known, and how much is missing between that:
    /// known over UDP alone.
    #[must_use]
    pub fn received(&self) -> Option<(u64, Option<u64>)> {
        let missing = (self.transport == Transport::Udp).then_some(self.missing);
        (self.received > 0).then_some((self.received, missing))
    }
}

/// Datagrams that a server received and dropped since it started. Losses of the network are not
/// included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Datagrams received, of any kind.
    pub received: u64,
    /// Of another protocol.
    pub alien: u64,
    /// Of another version.
    pub other_version: u64,
    /// Damaged: the checksum is wrong.
    pub corrupt: u64,
    /// Malformed frames or messages with a valid checksum, over TCP too.
    pub malformed: u64,
    /// Of sessions that do not exist.
    pub unknown_session: u64,
    /// Dropped by the server's kernel: the receive buffer was full.
    pub unread: u64,
    /// Joins refused.
    pub refused: u64,
    /// Messages refused by full queues to slow peers.
    pub left_out: u64,
}
