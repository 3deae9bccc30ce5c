//! Messages: what the chat says, inside `Once`, `Unordered` and `Ordered` frames. Clients and the
//! server say different things, so there are two tables, told apart by `Flags::FROM_SERVER`; the
//! order of the variants is their number on the wire. `proto.md` §6 is the same table.

use super::frame::{Delivery, Token, Transport, as_bytes};
use super::roll::Roll;
use serde::{Deserialize, Serialize};

/// What a client says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientMessage<'a> {
    /// 0: a line for the room.
    Say {
        /// Counts this client's lines for the room, modulo 2^16, also across sessions.
        number: u16,
        /// The client's wall clock when the line was typed, microseconds since 1970.
        sent: u64,
        /// At most 1,000 bytes, no control characters.
        text: &'a str,
    },
    /// 1: a line for one peer.
    Whisper {
        /// Counts this client's whispers, modulo 2^16, also across sessions.
        number: u16,
        /// As in `Say`.
        sent: u64,
        /// The nickname of the one who is to read it.
        to: &'a str,
        /// As in `Say`.
        text: &'a str,
    },
    /// 2: goodbye. The server forgets the session once it has said `Closing`.
    Leave {
        /// The number the next line would have had: those who missed the last ones learn it.
        next: u16,
    },
    /// 3: from now on, deliver chat lines to me like this.
    Deliver(Delivery),
    /// 4: who is here, and how are they?
    Who {
        /// Tells the answers to this question from others.
        number: u16,
    },
    /// 5: how long does it take to this peer and back?
    Ping {
        /// Tells the answer to this question from others.
        number: u16,
        /// The nickname of the one asked.
        to: &'a str,
    },
    /// 6: the answer to the server's `Pinged`.
    Pong {
        /// As there.
        peer: u16,
        /// As there.
        number: u16,
    },
}

/// Why a peer is no longer here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// It said goodbye.
    Quit,
    /// Nothing was heard from it for the expiry time, or it acknowledged nothing.
    Timeout,
    /// The server is closing.
    Shutdown,
    /// It said far more than it may, and did not wait when it was told to.
    Flood,
    /// The server is about to be started again: clients come back by themselves.
    Restart,
}

/// What the server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerMessage<'a> {
    /// 0: the first message of a session. `Present` with `peers - 1` others in all and `replay`
    /// times `History` follow, in this order.
    Welcome {
        /// The join's.
        nonce: u64,
        /// This client's number in the room.
        peer: u16,
        /// Takes the name back after a break.
        token: Token,
        /// The name as everybody sees it: normalised.
        nickname: &'a str,
        /// What the room is called.
        room: &'a str,
        /// The client sends something at least this often, milliseconds.
        heartbeat_ms: u32,
        /// A client not heard for this long is gone, milliseconds.
        expiry_ms: u32,
        /// Messages a client may send at once; 0: no limit.
        burst: u16,
        /// Messages a second a client may send after that; 0: no limit.
        rate: u16,
        /// Number of announced peers, and this client.
        peers: u16,
        /// How many `History` messages follow.
        replay: u16,
        /// Whether those are all the lines after the join's `seen`.
        complete: bool,
        /// Names the log in which the positions are.
        epoch: u64,
        /// The position of the newest line, or one before the first: what the client has seen
        /// once the replay is over.
        latest: u64,
        /// The largest number of a line of this owner in the log; 0 if `taken` is empty.
        newest: u16,
        /// Which of its numbers the log has: bit `i` stands for `newest - i`, the lowest bit of the
        /// first byte for `newest`. At most 32 bytes, the last of them not 0.
        #[serde(serialize_with = "as_bytes")]
        taken: &'a [u8],
        /// Whether `taken` has every line of this owner after the join's `seen` that is not too old
        /// for it.
        sure: bool,
    },
    /// 1: the peers announced before this client came.
    Present {
        /// They, with the numbers of their next lines.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 2: a line said before this client came (or came back).
    History {
        /// As in `Line`.
        position: u64,
        /// As in `Line`.
        at: u64,
        /// Whether it is a line of this owner.
        own: bool,
        /// Then, which: the `number` of its `Say`; else 0.
        number: u16,
        /// Whose line it was.
        from: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// 3: peers came.
    Joined {
        /// How many are here with them.
        peers: u16,
        /// They, with the numbers of their next lines.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 4: peers went; their numbers are free from now on.
    Left {
        /// How many are here without them.
        peers: u16,
        /// Why.
        reason: LeaveReason,
        /// They, with the numbers their next lines would have had.
        #[serde(borrow)]
        roll: Roll<'a>,
    },
    /// 5: a line.
    Line {
        /// Where it stands in the log of this epoch: its name for good.
        position: u64,
        /// The server's wall clock when it took the line in, microseconds since 1970. It may step:
        /// it is to be shown, and says nothing about the order.
        at: u64,
        /// `at` minus the `sent` of the `Say`, microseconds, saturating: the way up, as far as
        /// the two clocks agree.
        upstream: i32,
        /// Whose line it is: the number in the room.
        peer: u16,
        /// The `number` of the `Say`. A jump is a gap.
        number: u16,
        /// Whose line it is: the nickname.
        from: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// 6: the line `number` of this client is in the log, at `position`.
    Accepted {
        /// As in the `Say`.
        number: u16,
        /// As in `Line`.
        position: u64,
    },
    /// 7: a line for this client alone.
    Whisper {
        /// As in `Line`.
        at: u64,
        /// As in `Line`.
        upstream: i32,
        /// As in `Line`.
        peer: u16,
        /// As in `Line`.
        from: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// 8: this client's whisper `number` went out: its echo.
    Whispered {
        /// As in the client's `Whisper`.
        number: u16,
        /// As in `Whisper`.
        at: u64,
        /// Who got it.
        to: &'a str,
        /// What was said.
        text: &'a str,
    },
    /// 9: this client's whisper `number` went nowhere: nobody of that name is here.
    NotHere {
        /// As in the client's `Whisper`.
        number: u16,
        /// The name that was asked for.
        to: &'a str,
    },
    /// 10: something everybody should know, such as a full disk.
    Notice {
        /// For people.
        text: &'a str,
    },
    /// 11: the last message of a session.
    Closing {
        /// Why.
        reason: LeaveReason,
        /// For people; may be empty.
        detail: &'a str,
    },
    /// 12: one of the peers this client asked about, as the server sees it.
    About {
        /// The `Who`'s.
        number: u16,
        /// How many more of these follow.
        left: u16,
        /// Its number in the room.
        peer: u16,
        /// Its nickname.
        nickname: &'a str,
        /// What carries its session.
        transport: Transport,
        /// How lines are delivered to it.
        delivery: Delivery,
        /// The smoothed round-trip time between server and peer, microseconds; 0: not known.
        rtt_us: u32,
        /// How long the server has not heard it, milliseconds.
        silent_ms: u32,
        /// Datagrams sent to it in this session that asked for an acknowledgment.
        sent: u64,
        /// How many of them were found lost.
        lost: u64,
        /// Datagrams received from it.
        received: u64,
        /// How many are missing between them.
        missing: u64,
    },
    /// 13: somebody measures the way: answer with a `Pong` of the same contents.
    Pinged {
        /// Who.
        peer: u16,
        /// The number of its `Ping`.
        number: u16,
    },
    /// 14: the answer to a `Ping`.
    Ponged {
        /// The `Ping`'s.
        number: u16,
        /// The nickname of the one who answered; empty: nobody of that name is here.
        from: &'a str,
    },
    /// 15: say nothing for a while.
    Slow {
        /// For so long from now on, milliseconds.
        wait_ms: u16,
    },
    /// 16: what came to this server since it started and was of no use, before the `About`s.
    Counters {
        /// The `Who`'s.
        number: u16,
        /// Datagrams received, of any kind.
        received: u64,
        /// Not of this protocol.
        alien: u64,
        /// Of another version.
        other_version: u64,
        /// Damaged: the checksum is wrong.
        corrupt: u64,
        /// Whole, and wrong inside; over TCP and in messages too.
        malformed: u64,
        /// Of sessions that do not exist.
        unknown_session: u64,
        /// Never received: the server's kernel had no room for them.
        unread: u64,
        /// Joins refused.
        refused: u64,
        /// Messages that the queue to a slow peer did not take.
        left_out: u64,
    },
}
