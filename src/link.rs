//! One peer's side of one conversation: sequence numbers, acknowledgments, retransmission, order,
//! and the counts of what the network did. It knows no addresses, no rooms and no clocks; both
//! the server's hub and the client's session own links, one for each other end.
//!
//! A datagram comes in through [`Link::receive`] and its messages go out through
//! [`Link::poll_received`]; a message comes in through [`Link::send`] and leaves in a datagram that
//! [`Link::poll_transmit`] builds. The contract of all sans-IO parts holds: after any call that
//! changes something, drain `poll_transmit` and `poll_received`, then read `poll_timeout`.
//!
//! ```text
//! receive ─► arrivals (which datagrams) ─► inbox (which messages, in what order) ─► poll_received
//!        └─► recovery (what did the other end get?) ─► outbox (send again?)
//! send ────► outbox ─► poll_transmit ─► recovery (remember what left, and when)
//! ```
//!
//! How large a datagram may be, `path_size` finds out; a message that does not fit is cut and joined as `parts` says.

mod arrivals;
mod channel;
mod congestion;
mod contents;
mod fifo;
mod inbox;
mod outbox;
mod outcome;
mod parts;
mod path_size;
mod receive;
mod recovery;
mod redundancy;
mod rtt;
mod stats;
mod stream;
#[cfg(test)]
mod tests;
mod transmit;

pub use channel::Channel;
pub use outbox::Class;
pub use stats::Stats;
pub use stream::StreamLink;

use crate::protocol::limits::{BASE_DATAGRAM, GIVE_UP, MAX_MESSAGE};
use crate::protocol::{Batch, Delivery, HEADER_LEN, PathCookie};
use crate::time::Timestamp;
use arrivals::Arrivals;
use inbox::Inbox;
use outbox::Outbox;
use parts::Assemblies;
use path_size::PathSize;
use recovery::{Outcome, Recovery};
use redundancy::Redundancy;
use stats::{Jitter, RecentRtts};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Either end may answer a datagram from a new address with a path challenge, but only if that is no
/// larger than what came (RFC 9000 §8.2.1): what asks for an acknowledgment is padded to its size.
pub const PATH_CHALLENGE_LEN: usize = HEADER_LEN + 1 + size_of::<PathCookie>();
/// Units of the header's ack delay.
const ACK_DELAY_UNIT: u64 = 100;

/// Which end of a conversation a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Marks its datagrams [`Flags::FROM_SERVER`].
    Server,
    /// Sends a heartbeat when it was silent for the interval.
    Client {
        /// The interval.
        heartbeat: Duration,
    },
}

/// A message the other end sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The message, encoded.
    pub payload: Box<[u8]>,
    /// How long it waited here for one that was sent before it.
    pub held: Duration,
}

/// What became of a message that was sent once, with a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The datagram with it was acknowledged.
    Arrived(u64),
    /// It was not, later ones were, and it is too late for it to have been overtaken only. If it turns
    /// up even later, `Arrived` follows.
    Lost(u64),
}

/// What a timeout is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// There is something to send right now.
    Transmit,
    /// An acknowledgment has waited for company long enough.
    AckDelay,
    /// A message was sent too rarely for the loss on the way, and nothing took a copy along.
    Redundancy,
    /// Something sent is to be declared lost, or probed for.
    LossDetection,
    /// A larger datagram than those in use may pass, or one of their size not any more.
    PathSize,
    /// Nothing was sent for the heartbeat interval.
    Heartbeat,
    /// A message sent once was overtaken long enough ago to be called lost.
    Verdict,
    /// A message has been unacknowledged for too long.
    GiveUp,
}

/// A message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other end has not taken what is queued already.
    #[error("the queue to this peer is full: it does not keep up")]
    QueueFull,
    /// No datagram can carry it.
    #[error("a message of {0} bytes does not fit a datagram: {MAX_MESSAGE} at most")]
    TooLong(usize),
}

/// See the module.
///
/// A server with a thousand peers has all of this in no cache when a line comes, and reads it for each of them. So
/// here and in the parts the fields lie as written (`repr(C)`): together what each datagram needs that leaves, apart
/// from what it does not.
#[derive(Debug)]
#[repr(C)]
pub struct Link {
    jitter: Jitter,
    rtts: RecentRtts,
    fates: VecDeque<Fate>,
    /// Messages sent once whose datagram was declared lost, and when that is certain.
    doubtful: VecDeque<(Timestamp, u64)>,
    /// Nothing could be acknowledged before, for this end stood still.
    resumed: Timestamp,
    redundancy: Redundancy,
    role: Role,
    session: u64,
    /// Probes that are to leave now.
    probes: u32,
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
    /// Of messages sent once in parts, by tag: how many parts are not known to have arrived.
    parted: BTreeMap<u64, u16>,
}

impl Link {
    /// A link for `session` whose first datagram will carry `sequence`.
    pub fn new(session: u64, role: Role, sequence: u32, now: Timestamp) -> Self {
        Self {
            jitter: Jitter::default(),
            rtts: RecentRtts::default(),
            fates: VecDeque::new(),
            doubtful: VecDeque::new(),
            resumed: now,
            redundancy: Redundancy::default(),
            role,
            session,
            probes: 0,
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
        }
    }

    /// The session is on this path now, which carries datagrams of `base` bytes; how much more is to be found out.
    pub fn set_path(&mut self, base: usize, now: Timestamp) {
        self.path_size.start_over(base, now);
    }

    /// This end's kernel refuses to send a datagram of this size.
    pub fn refuse_size(&mut self, bytes: usize, now: Timestamp) {
        self.path_size.refused(bytes, now);
    }

    /// The session this link belongs to.
    pub fn session(&self) -> u64 {
        self.session
    }

    /// Queues a message. In an unreliable direction its fate is reported under `tag`, if any.
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

    /// Queues messages that others get as well, until the queue is full. How many it took.
    pub fn send_batch(&mut self, mut batch: Batch, delivery: Delivery, class: Class) -> usize {
        let taken = self.outbox.room_for(&batch);
        if taken > 0 {
            let taken = if taken < batch.len() { batch.split_to(taken) } else { batch };
            self.queue(taken, delivery, class, None);
        }
        taken
    }

    /// Queues messages even when the queue is full, reliable and in order, and leaves as much room for others: for what
    /// a session begins and ends with, in amounts that are bounded otherwise.
    pub fn send_regardless(&mut self, batch: Batch) {
        self.stats.sent_message_bytes += batch.bytes() as u64;
        self.outbox.push_regardless(batch);
    }

    fn queue(&mut self, batch: Batch, delivery: Delivery, class: Class, tag: Option<u64>) {
        self.stats.sent_message_bytes += batch.bytes() as u64;
        match delivery {
            Delivery::Unreliable => self.outbox.push_once(batch, tag, class),
            Delivery::ReliableUnordered => self.outbox.push_reliable(batch, false, class),
            Delivery::ReliableOrdered => self.outbox.push_reliable(batch, true, class),
        }
    }

    /// Whether the queue has no room for another message.
    pub fn is_full(&self) -> bool {
        self.outbox.is_full()
    }

    /// Whether there is a message from the other end.
    pub fn has_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// The next message from the other end. Until it is taken it counts against the window.
    pub fn poll_received(&mut self) -> Option<Received> {
        self.received.pop_front()
    }

    /// The fate of a message that was sent once with a tag.
    pub fn poll_fate(&mut self) -> Option<Fate> {
        self.fates.pop_front()
    }

    /// The time has come that `poll_timeout` named.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        let mut outcome = Outcome::default();
        if self.recovery.on_timeout(now, &mut outcome) {
            self.probes = redundancy::probes(self.recovery.loss, self.recovery.probes_in_a_row());
        }
        self.apply(outcome, now);
        while let Some((_, tag)) = self.doubtful.pop_front_if(|(at, _)| *at <= now) {
            self.parted.remove(&tag);
            self.fates.push_back(Fate::Lost(tag));
        }
        self.failed |= self.waiting_since().is_some_and(|since| since + GIVE_UP <= now);
    }

    /// When to call `handle_timeout` (or `poll_transmit`) next, and what for.
    pub fn poll_timeout(&self) -> Option<(Timestamp, Timer)> {
        if self.probes > 0 || self.path_response.is_some() || self.can_send_messages(false) {
            return Some((Timestamp::ZERO, Timer::Transmit));
        }
        // Nobody waits for long without probing.
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
        consider(waiting_since.map(|since| since + GIVE_UP), Timer::GiveUp);
        first
    }

    /// Whether a message went unacknowledged for so long that the session is over.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether there is nothing to be sent, or sent again: every reliable message was acknowledged. A
    /// copy of one, or a line sent once, may be on its way still.
    pub fn is_idle(&self) -> bool {
        !self.outbox.has_reliable() && self.outbox.next_once().is_none()
    }

    /// Bytes of messages queued or unacknowledged.
    pub fn queued_bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// This end stood still until now: the other end may have been there all the time.
    pub fn resume(&mut self, now: Timestamp) {
        self.resumed = now;
    }

    /// Since when something has waited for an acknowledgment, and nothing was acknowledged.
    pub fn stalled_since(&self) -> Option<Timestamp> {
        Some(self.waiting_since()?.max(self.recovery.last_progress()))
    }

    /// See [`Recovery::prefetch_queue`].
    pub(super) fn prefetch_queue(&self) {
        self.recovery.prefetch_queue();
    }

    /// The counters so far.
    pub fn stats(&self) -> Stats {
        let rtt = &self.recovery.rtt;
        Stats {
            received_missing: self.arrivals.missing(),
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

    /// Heartbeats come when there was nothing else to say: time to give back what bursts have taken.
    fn tidy(&mut self, now: Timestamp) {
        self.assemblies.forget_old(now);
        self.outbox.tidy();
        self.recovery.tidy();
        self.received.shrink_to_fit();
        self.fates.shrink_to_fit();
    }

    /// Since when something waits for an acknowledgment.
    fn waiting_since(&self) -> Option<Timestamp> {
        let oldest = [self.outbox.oldest(), self.recovery.oldest()].into_iter().flatten().min();
        oldest.map(|oldest| oldest.max(self.resumed))
    }

    /// A client's first datagram is a heartbeat: without a round-trip time nothing is recovered
    /// quickly.
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
