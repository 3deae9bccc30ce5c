//! The receiving half of a link: registers a datagram, takes its acknowledgment, places its frames.

use super::arrivals::{Arrival, Urgency};
use super::inbox::Placed;
use super::{Link, Received};
use crate::protocol::{Datagram, Flags, Frame, Header, Part, PathCookie};
use crate::time::Timestamp;
use std::time::Duration;

impl Link {
    /// Sends an acknowledgment at once.
    pub fn acknowledge_now(&mut self, now: Timestamp) {
        self.arrivals.elicit(Urgency::AtOnce, 0, now);
    }

    /// Answers a path challenge in the next datagram, and starts over the search for the path's
    /// datagram size. `sent` is the challenge's timestamp: a replayed challenge is answered but
    /// starts no search.
    pub fn answer_path(&mut self, cookie: PathCookie, sent: u32, now: Timestamp) {
        self.path_response = Some(cookie);
        if self.challenged.is_none_or(|last| sent.wrapping_sub(last) as i32 > 0) {
            self.challenged = Some(sent);
            self.path_size.start_over(self.path_size.base(), now);
        }
    }

    /// Sends an ack-eliciting datagram now.
    pub fn probe(&mut self) {
        self.probes = self.probes.max(1);
    }

    /// Whether this sequence number is larger than all received. Only such a datagram may move a
    /// session to another address (RFC 9000 §9.3).
    #[must_use]
    pub fn is_newest(&self, header: &Header) -> bool {
        self.arrivals.is_newer(header.sequence)
    }

    /// Takes in a datagram of this session. Returns whether it was new: only then is it a sign of
    /// life, because an attacker can replay a datagram.
    pub fn receive(&mut self, datagram: &Datagram<'_>, bytes: usize, now: Timestamp) -> bool {
        let header = &datagram.header;
        let reorders = self.arrivals.reorders();
        let out_of_order = match self.arrivals.register(header.sequence, now) {
            Arrival::New { early, late } => {
                self.stats.reordered += u64::from(late);
                (early || late) && !reorders
            }
            Arrival::Duplicate | Arrival::TooOld => {
                self.stats.duplicated += 1;
                if let Some(urgency) = urgency(datagram) {
                    // The first acknowledgment may have been lost.
                    self.arrivals.elicit(urgency, bytes, now);
                }
                return false;
            }
        };
        self.stats.received += 1;
        self.stats.received_bytes += bytes as u64;
        self.jitter.arrived(header.timestamp, now);
        self.outbox.raise_limit(header.window);
        if header.flags.contains(Flags::ACK) {
            self.take_acknowledgment(header, now);
        }
        for frame in datagram.frames() {
            let placed = match frame {
                Frame::Once { payload } => {
                    let payload = payload.into();
                    self.received.push_back(Received { payload, held: Duration::ZERO });
                    Placed::New
                }
                Frame::Unordered { id, payload } | Frame::Ordered { id, payload } => {
                    let ordered = matches!(frame, Frame::Ordered { .. });
                    self.inbox.receive(id, payload, ordered, now, &mut self.received)
                }
                Frame::Part { id, ordered, part } => {
                    self.inbox.receive_part(id, &part, ordered, now, &mut self.received)
                }
                Frame::OncePart { number, part } => self.receive_once_part(number, &part, now),
                _ => Placed::New,
            };
            self.stats.malformed += u64::from(placed == Placed::AgainstRules);
        }
        if datagram.frames().next() == Some(Frame::Heartbeat) {
            self.tidy(now);
        }
        if let Some(asked) = urgency(datagram) {
            // An out-of-order datagram is acknowledged at once (RFC 9000 §13.2.1), unless the
            // sender knows that this path reorders, or copies brought what the lost ones carried.
            let repaired = asked == Urgency::Soon && self.inbox.is_whole();
            let urgency = if out_of_order && !repaired { Urgency::Missing } else { asked };
            self.arrivals.elicit(urgency, bytes, now);
        }
        true
    }

    fn receive_once_part(&mut self, number: u16, part: &Part<'_>, now: Timestamp) -> Placed {
        if !part.is_sound() {
            return Placed::AgainstRules;
        }
        if let Some(message) = self.assemblies.receive(number, part, now) {
            let payload = message.into();
            self.received.push_back(Received { payload, held: Duration::ZERO });
        }
        Placed::New
    }
}

/// How soon to acknowledge a datagram. Every frame but padding is ack-eliciting.
fn urgency(datagram: &Datagram<'_>) -> Option<Urgency> {
    let urgencies = datagram.frames().filter_map(|frame| match frame {
        Frame::Padding(_) => None,
        Frame::Once { .. } | Frame::OncePart { .. } => Some(Urgency::Lazy),
        Frame::Heartbeat => Some(Urgency::AtOnce),
        _ => Some(Urgency::Soon),
    });
    urgencies.max()
}
