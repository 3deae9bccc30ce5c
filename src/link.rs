//! One end of a session: sequence numbers, acknowledgments, retransmission, ordering, and counters
//! of what the network did. A link knows no addresses, rooms or clocks. The server's hub owns one
//! for each peer, the client's session one for the server.
//!
//! [`Link::receive`] takes in a datagram and [`Link::poll_received`] hands out its messages.
//! [`Link::send`] queues a message and [`Link::poll_transmit`] builds the datagrams. As in all
//! sans-IO parts: after any call that changes the link, drain `poll_transmit` and `poll_received`,
//! then read `poll_timeout`.
//!
//! ```text
//! receive ─► arrivals (datagrams) ─► inbox (messages and their order) ─► poll_received
//!        └─► recovery (acknowledged or lost) ─► outbox (retransmit)
//! send ────► outbox ─► poll_transmit ─► recovery (contents and time of each datagram)
//! ```
//!
//! `path_size` finds the largest datagram that the path carries; `parts` cuts and joins longer
//! messages.

mod arrivals;
mod channel;
mod congestion;
mod contents;
mod copies;
mod fifo;
mod inbox;
mod observed;
mod outbox;
mod outcome;
mod parts;
mod path_size;
mod quic_info;
mod receive;
mod recovery;
mod redundancy;
mod rtt;
mod stats;
mod stream;
mod tcp_info;
#[cfg(test)]
mod tests;
mod transmit;

pub(crate) use channel::Channel;
pub use copies::{BadCopies, Copies};
pub(crate) use observed::{Step, Trail};
pub(crate) use outbox::Class;
pub use quic_info::{Congestion, QuicInfo};
pub use stats::{Stats, Totals};
pub(crate) use stream::{Backlog, StreamLink};
pub use tcp_info::{BadCongestionControl, CongestionControl, TcpInfo};

use crate::protocol::limits::{BASE_DATAGRAM, GIVE_UP, MAX_MESSAGE};
use crate::protocol::{Batch, Delivery, HEADER_LEN, PathCookie};
use crate::time::Timestamp;
use arrivals::Arrivals;
use inbox::Inbox;
use observed::Steps;
use outbox::Outbox;
use parts::Assemblies;
use path_size::PathSize;
use recovery::{Outcome, Recovery};
use redundancy::Redundancy;
use stats::{Jitter, RecentRtts};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Size to which ack-eliciting datagrams are padded. A peer answers a datagram from a new address
/// with a path challenge that must not be larger than that datagram (RFC 9000 §8.2.1).
pub const PATH_CHALLENGE_LEN: usize = HEADER_LEN + 1 + size_of::<PathCookie>();
/// Unit of the header's ack delay, in microseconds.
const ACK_DELAY_UNIT: u64 = 100;

/// Which end of a session a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Marks its datagrams `FROM_SERVER`.
    Server,
    /// Sends a heartbeat after `heartbeat` without an ack-eliciting datagram.
    Client {
        /// Heartbeat interval.
        heartbeat: Duration,
    },
}

/// A message from the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message, encoded.
    pub payload: Box<[u8]>,
    /// Head-of-line blocking: how long the message waited here for an earlier one.
    pub held: Duration,
}

/// Outcome of a message that was sent once, with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// Its datagram was acknowledged.
    Arrived(u64),
    /// Its datagram was declared lost, and the time for a late acknowledgment has passed. If one
    /// comes even later, `Arrived` follows.
    Lost(u64),
}

/// The purpose of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Timer {
    /// A datagram can be sent now.
    Transmit,
    /// The delay of an acknowledgment ends.
    AckDelay,
    /// A copy of a message has to leave in a datagram of its own.
    Redundancy,
    /// A datagram is to be declared lost, or a probe to be sent.
    LossDetection,
    /// A probe of the path's datagram size is due.
    PathSize,
    /// A heartbeat is due.
    Heartbeat,
    /// The loss of a message sent once is to be reported.
    Verdict,
    /// An unacknowledged message ends the session.
    GiveUp,
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The backlog to this peer is at its bound.
    #[error("the queue to this peer is full: it does not keep up")]
    QueueFull,
    /// Longer than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes does not fit a datagram: {MAX_MESSAGE} at most")]
    TooLong(usize),
}

/// One end of a session over datagrams.
///
/// The fields lie as written (`repr(C)`), here and in the parts: those that every departing
/// datagram needs come together. A server with a thousand peers has none of them in the cache when
/// it sends a line to each.
#[derive(Debug)]
#[repr(C)]
pub struct Link {
    jitter: Jitter,
    rtts: RecentRtts,
    fates: VecDeque<Fate>,
    /// Tags of messages sent once whose datagram was declared lost, and when to report the loss.
    doubtful: VecDeque<(Timestamp, u64)>,
    /// This end was suspended until then: waiting times count from here.
    resumed: Timestamp,
    redundancy: Redundancy,
    setting: Copies,
    role: Role,
    session: u64,
    /// Probes to send now.
    probes: u32,
    /// Seconds after which an unacknowledged message ends the session.
    give_up_s: u32,
    failed: bool,
    path_response: Option<PathCookie>,
    /// The timestamp of the newest path challenge.
    challenged: Option<u32>,
    path_size: PathSize,
    outbox: Outbox,
    recovery: Recovery,
    received: VecDeque<Received>,
    inbox: Inbox,
    arrivals: Arrivals,
    stats: Stats,
    assemblies: Assemblies,
    /// By tag of a message sent once in parts: its parts without an acknowledgment.
    parted: BTreeMap<u64, u16>,
    steps: Steps,
}

impl Link {
    /// Makes a link for `session` whose first datagram carries `sequence`.
    #[must_use]
    pub fn new(session: u64, role: Role, sequence: u32, now: Timestamp) -> Self {
        Self {
            jitter: Jitter::default(),
            rtts: RecentRtts::default(),
            fates: VecDeque::new(),
            doubtful: VecDeque::new(),
            resumed: now,
            redundancy: Redundancy::default(),
            setting: Copies::default(),
            role,
            session,
            probes: 0,
            give_up_s: GIVE_UP.as_secs() as u32,
            failed: false,
            path_response: None,
            challenged: None,
            path_size: PathSize::new(BASE_DATAGRAM, now),
            outbox: Outbox::default(),
            recovery: Recovery::new(sequence, now),
            received: VecDeque::new(),
            inbox: Inbox::default(),
            arrivals: Arrivals::default(),
            stats: Stats::default(),
            assemblies: Assemblies::default(),
            parted: BTreeMap::new(),
            steps: Steps::default(),
        }
    }

    /// Moves the session to another path, which carries datagrams of `base` bytes. The search for
    /// its largest size starts over.
    pub fn set_path(&mut self, base: usize, now: Timestamp) {
        self.path_size.start_over(base, now);
    }

    /// Sets the number of copies of each message.
    pub fn set_copies(&mut self, setting: Copies) {
        self.setting = setting;
    }

    /// Sets the time after which an unacknowledged message ends the session, in whole seconds.
    pub fn set_give_up(&mut self, time: Duration) {
        self.give_up_s = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    }

    /// The time after which an unacknowledged message ends the session.
    #[must_use]
    pub fn give_up(&self) -> Duration {
        Duration::from_secs(self.give_up_s.into())
    }

    /// The local kernel refused to send a datagram of this size (`EMSGSIZE`).
    pub fn refuse_size(&mut self, bytes: usize, now: Timestamp) {
        self.path_size.refused(bytes, now);
    }

    /// The session this link belongs to.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Queues a message. With unreliable delivery and a tag, its fate is reported under the tag.
    ///
    /// # Errors
    /// [`SendError`] says why the message was not taken.
    pub fn send(
        &mut self,
        message: &[u8],
        delivery: Delivery,
        tag: Option<u64>,
    ) -> Result<(), SendError> {
        if self.outbox.is_full() {
            return Err(SendError::QueueFull);
        }
        let batch = Batch::of(message).ok_or(SendError::TooLong(message.len()))?;
        self.queue(batch, delivery, Class::Content, tag);
        Ok(())
    }

    /// Queues messages that other peers get too, until the queue is full. Returns how many it took.
    pub(crate) fn send_batch(
        &mut self,
        mut batch: Batch,
        delivery: Delivery,
        class: Class,
    ) -> usize {
        let taken = self.outbox.room_for(&batch);
        if taken > 0 {
            let taken = if taken < batch.len() { batch.split_to(taken) } else { batch };
            self.queue(taken, delivery, class, None);
        }
        taken
    }

    /// Queues messages, reliable and ordered, even when the queue is full. They leave as much room
    /// for others. For messages at the beginning and end of a session, whose amount is bounded
    /// elsewhere.
    pub(crate) fn send_regardless(&mut self, batch: Batch) {
        self.stats.sent_message_bytes += batch.bytes() as u64;
        self.outbox.push_regardless(batch);
    }

    fn queue(&mut self, batch: Batch, delivery: Delivery, class: Class, tag: Option<u64>) {
        self.stats.sent_message_bytes += batch.bytes() as u64;
        match delivery {
            Delivery::Unreliable => self.outbox.push_once(batch, tag, class),
            Delivery::ReliableUnordered | Delivery::ReliableOrdered => {
                let ordered = delivery == Delivery::ReliableOrdered;
                self.outbox.push_reliable(batch, ordered, class);
            }
        }
    }

    /// Whether the queue has no room for another message.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// Whether `poll_received` has a message.
    #[must_use]
    pub fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// The next message from the other end. Until it is taken it counts against the receive window.
    pub fn poll_received(&mut self) -> Option<Received> {
        self.received.pop_front()
    }

    /// The next fate of a message that was sent once with a tag.
    pub fn poll_fate(&mut self) -> Option<Fate> {
        self.fates.pop_front()
    }

    /// Does what is due by `now`.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let mut outcome = Outcome::default();
        let copies = self.copies();
        if let Some(datagrams) = self.recovery.on_timeout(now, copies, &mut outcome) {
            self.probes = datagrams;
        }
        self.apply(outcome, now);
        while let Some((_, tag)) = self.doubtful.pop_front_if(|(at, _)| *at <= now) {
            self.parted.remove(&tag);
            self.fates.push_back(Fate::Lost(tag));
        }
        self.failed |= self.waiting_since().is_some_and(|since| since + self.give_up() <= now);
    }

    /// When to call `handle_timeout` (or `poll_transmit`) next, and what for.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Timestamp, Timer)> {
        if self.probes > 0 || self.path_response.is_some() || self.can_send_messages(false) {
            return Some((Timestamp::ZERO, Timer::Transmit));
        }
        // A wait that can end the session has led to a probe before: only then is its end a timer.
        let probing = self.recovery.probes_in_a_row() > 0 && !self.failed;
        let waiting_since = if probing { self.waiting_since() } else { None };
        let mut first = None;
        let mut consider = |at: Option<Timestamp>, timer| {
            if let Some(at) = at.filter(|at| first.is_none_or(|(first, _)| *at < first)) {
                first = Some((at, timer));
            }
        };
        consider(self.arrivals.due(), Timer::AckDelay);
        consider(self.copy_due(), Timer::Redundancy);
        consider(self.recovery.timeout(), Timer::LossDetection);
        consider(self.path_probe_due(), Timer::PathSize);
        consider(self.heartbeat_due(), Timer::Heartbeat);
        consider(self.doubtful.front().map(|(at, _)| *at), Timer::Verdict);
        consider(waiting_since.map(|since| since + self.give_up()), Timer::GiveUp);
        first
    }

    /// Whether a message has been unacknowledged for [`Self::give_up`]: the session is over.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether every reliable message was acknowledged and nothing waits. Copies and messages sent
    /// once may still be in flight.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        !self.outbox.has_reliable() && self.outbox.next_once().is_none()
    }

    /// Bytes of messages queued or unacknowledged.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// This end was suspended until now: the time before counts against no deadline.
    pub fn resume(&mut self, now: Timestamp) {
        self.resumed = now;
    }

    /// Since when the other end has acknowledged nothing while something waits for an
    /// acknowledgment.
    #[must_use]
    pub fn stalled_since(&self) -> Option<Timestamp> {
        Some(self.waiting_since()?.max(self.recovery.last_progress()))
    }

    /// Prefetches what `poll_transmit` writes to.
    pub(super) fn prefetch_queue(&self) {
        self.recovery.prefetch_queue();
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let rtt = &self.recovery.rtt;
        Stats {
            received_missing: self.arrivals.missing(),
            received_loss_per_mille: self.arrivals.loss_per_mille(),
            rtt_min: rtt.min,
            rtt_smoothed: rtt.min.map(|_| rtt.smoothed),
            rtt_p99: self.rtts.p99(),
            jitter: self.jitter.estimate(),
            loss_per_mille: self.recovery.loss.per_mille(),
            redundancy: self.copies() - 1,
            congestion_window: self.recovery.congestion.window(),
            datagram_size: self.path_size.usable(),
            ..self.stats
        }
    }

    /// Frees memory that bursts have left unused. A heartbeat marks an idle moment.
    fn tidy(&mut self, now: Timestamp) {
        self.assemblies.forget_old(now);
        self.outbox.tidy();
        self.recovery.tidy();
        self.received.shrink_to_fit();
        self.fates.shrink_to_fit();
    }

    /// Departure of the oldest datagram or message without an acknowledgment.
    fn waiting_since(&self) -> Option<Timestamp> {
        let oldest = [self.outbox.oldest(), self.recovery.oldest()].into_iter().flatten().min();
        oldest.map(|oldest| oldest.max(self.resumed))
    }

    /// When a client sends a heartbeat. The first one leaves at once: it samples the round-trip
    /// time, without which loss recovery is slow.
    fn heartbeat_due(&self) -> Option<Timestamp> {
        match self.role {
            Role::Client { .. } if self.recovery.has_sent_nothing() => {
                Some(self.recovery.last_eliciting())
            }
            Role::Client { heartbeat } => Some(self.recovery.last_eliciting() + heartbeat),
            Role::Server => None,
        }
    }
}
