//! The sending half of a link: builds datagrams, the most urgent contents first, up to the
//! size of the path.

use super::contents::{Content, Contents};
use super::observed::Step;
use super::outbox::OncePart;
use super::parts::Parts;
use super::recovery::Asks;
use super::{ACK_DELAY_UNIT, Copies, Link, PATH_CHALLENGE_LEN, Role, redundancy};
use crate::protocol::limits::{MAX_COPIED, MAX_DATAGRAM, SAMPLE_INTERVAL};
use crate::protocol::{DatagramWriter, Flags, Frame, HEADER_LEN, Header};
use crate::time::{Timestamp, micros};
use std::time::Duration;

/// Datagrams per `poll_transmit`. More gain little in the kernel and delay other peers.
const MAX_RUN: usize = 32;

impl Link {
    /// Builds the next datagrams in `buffer`, if any are due: each has [`MAX_DATAGRAM`] bytes
    /// except the last, so one system call sends all (segmentation offload).
    ///
    /// On a path that carries less, or is not proven, it builds one at a time.
    pub fn poll_transmit(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> bool {
        buffer.clear();
        if self.path_probe_due().is_some_and(|due| due <= now) {
            self.write_path_probe(buffer, now);
            return true;
        }
        let mut datagrams = 0;
        while datagrams < MAX_RUN
            && buffer.len() == datagrams * MAX_DATAGRAM
            && self.write_datagram(buffer, now)
        {
            datagrams += 1;
        }
        datagrams > 0
    }

    /// Appends the next datagram to `buffer`, if one is due.
    fn write_datagram(&mut self, buffer: &mut Vec<u8>, now: Timestamp) -> bool {
        let heartbeat = self.heartbeat_due().is_some_and(|due| due <= now);
        let acknowledge = self.arrivals.due().is_some_and(|due| due <= now);
        let probe = self.probes > 0;
        self.probes = self.probes.saturating_sub(1);
        let copy = self.copy_due().is_some_and(|due| due <= now);
        let answer = self.path_response.is_some();
        let company = heartbeat || acknowledge || probe || answer;
        let messages = self.can_send_messages(company || copy);
        if !(company || copy || messages) {
            return false;
        }
        // Bounds the datagrams that recovery remembers.
        if let Some(outcome) = self.recovery.make_room(now) {
            self.apply(outcome, now);
        }
        // A probe for an acknowledgment has the size that every path carries.
        let limit = if probe { self.path_size.base() } else { self.datagram_limit() };
        let mut writer = DatagramWriter::limited(buffer, limit);
        let mut contents = Contents::default();
        if let Some(cookie) = self.path_response.take() {
            writer.push(&Frame::PathResponse(cookie));
        }
        if messages || probe {
            self.write_messages(&mut writer, &mut contents, now);
        }
        if probe && contents.is_empty() {
            self.write_unacknowledged(&mut writer, &mut contents, now);
        }
        self.write_copies(&mut writer, &mut contents, now);
        let more = messages && self.outbox.has_waiting();
        let more_fits = more && self.can_send_messages_after(writer.len());
        // A sender that waits for window room needs the acknowledgment at once (QUIC's
        // IMMEDIATE_ACK, draft-ietf-quic-ack-frequency §5).
        let reliable = contents.has_reliable();
        // A sender of messages sent once needs it soon when half of the window is used, one of
        // copies when four fifths are: copies need room too.
        let lazy = !writer.is_empty() && !reliable && !answer;
        let copying = reliable && !more && self.copies() > 1;
        let congestion = &self.recovery.congestion;
        let crowded = (lazy && congestion.leaves_less_than(2, writer.len()))
            || (copying && congestion.leaves_less_than(5, writer.len()));
        // Lazy acknowledgments give no round-trip sample: asks for the first one, and later ones.
        let stale = lazy && self.recovery.sample_age(now).is_none_or(|age| age > SAMPLE_INTERVAL);
        // A watcher is told when messages arrive, and a lazy acknowledgment says that late.
        let watched = lazy && self.steps.are_wanted();
        let ask = crowded
            || stale
            || watched
            || (writer.is_empty() && (heartbeat || probe))
            || (more && !more_fits);
        if ask {
            writer.push(&Frame::Heartbeat);
        }
        let eliciting = !writer.is_empty();
        if more_fits && limit == MAX_DATAGRAM {
            writer.pad_to(MAX_DATAGRAM);
        } else if eliciting {
            writer.pad_to(PATH_CHALLENGE_LEN);
        }
        let asks = match eliciting {
            true if ask || answer || reliable => Asks::Soon,
            true => Asks::Lazily,
            false => Asks::No,
        };
        let bytes = writer.len();
        let acknowledgment = self.arrivals.acknowledge(now);
        let header = self.header(acknowledgment, now);
        writer.finish(&header);
        self.recovery.on_sent(now, bytes, asks, contents);
        self.stats.sent += 1;
        self.stats.sent_eliciting += u64::from(eliciting);
        self.stats.sent_bytes += bytes as u64;
        true
    }

    /// Whether messages may leave now. Receipts wait for a due acknowledgment, unless a datagram
    /// `leaves` anyway.
    pub(super) fn can_send_messages(&self, leaves: bool) -> bool {
        let waits = self.outbox.has_only_receipts() && self.arrivals.due().is_some();
        (leaves || !waits) && self.can_send_messages_after(0)
    }

    /// Whether more messages may leave after `bytes` bytes.
    fn can_send_messages_after(&self, bytes: usize) -> bool {
        if self.outbox.next_once().is_none() && !self.outbox.has_sendable() {
            return false;
        }
        let congestion = &self.recovery.congestion;
        let full = self.datagram_limit();
        congestion.has_room_for(bytes, full)
            || congestion.has_room_for(bytes, self.outbox.waiting_bytes(full))
    }

    /// Largest datagram now. While nothing is acknowledged, a size proven before is in doubt.
    fn datagram_limit(&self) -> usize {
        match self.recovery.probes_in_a_row() {
            0 => self.path_size.usable(),
            _ => self.path_size.base(),
        }
    }

    /// When to send a probe of the path's datagram size: only while acknowledgments arrive.
    pub(super) fn path_probe_due(&self) -> Option<Timestamp> {
        let heard = self.recovery.rtt.min.is_some() && self.recovery.probes_in_a_row() == 0;
        self.path_size.due().filter(|_| heard && self.path_response.is_none())
    }

    /// Writes a probe of the path's datagram size. It has no content; the acknowledgment in its
    /// header is repeated later, since the probe may be lost.
    fn write_path_probe(&mut self, buffer: &mut Vec<u8>, now: Timestamp) {
        if let Some(outcome) = self.recovery.make_room(now) {
            self.apply(outcome, now);
        }
        let (number, size) = self.path_size.probe();
        let mut writer = DatagramWriter::new(buffer);
        writer.push(&Frame::Heartbeat);
        writer.pad_to(size);
        let bytes = writer.len();
        let header = self.header(self.arrivals.newest(now), now);
        writer.finish(&header);
        self.recovery.on_path_probe_sent(now, number);
        self.stats.sent += 1;
        self.stats.sent_bytes += bytes as u64;
    }

    /// Writes lost messages first, then new ones, as many as fit.
    fn write_messages(
        &mut self,
        writer: &mut DatagramWriter<'_>,
        contents: &mut Contents,
        now: Timestamp,
    ) {
        let mut full = false;
        if self.outbox.has_sendable() {
            for message in self.outbox.sendable() {
                let written = message.write(writer);
                contents.push_parts(message.id, written);
                if !message.is_all(written) {
                    full = true;
                    break;
                }
            }
            self.reliable_sent(contents, now);
        }
        while !full && let Some(batch) = self.outbox.next_once() {
            if let Some(part) = self.outbox.next_once_part(writer.limit()) {
                full = !writer.push(&part);
                let sent = if full { None } else { self.outbox.once_part_sent() };
                if let Some(OncePart { tag, count, is_first }) = sent {
                    if is_first {
                        self.parted.insert(tag, count);
                    }
                    contents.push(Content::OncePart(tag));
                }
                continue;
            }
            let fitting = writer.push_frames(batch.frames());
            let count = fitting.err().unwrap_or(batch.len());
            full = fitting.is_err();
            if count > 0 {
                let tag = self.outbox.once_sent(count);
                tag.into_iter().for_each(|tag| contents.push(Content::Once(tag)));
            }
        }
    }

    /// Writes the oldest unacknowledged messages, the content of a probe (RFC 9002 §6.2.4).
    fn write_unacknowledged(
        &mut self,
        writer: &mut DatagramWriter<'_>,
        contents: &mut Contents,
        now: Timestamp,
    ) {
        for message in self.outbox.unacknowledged() {
            let written = message.write(writer);
            contents.push_parts(message.id, written);
            if !message.is_all(written) {
                break;
            }
        }
        self.reliable_sent(contents, now);
    }

    /// Counts departing messages that are no copies.
    fn reliable_sent(&mut self, contents: &Contents, now: Timestamp) {
        for content in contents.as_slice() {
            let unsent = self.outbox.unsent();
            let sent = match *content {
                Content::Reliable { first, count } => {
                    self.outbox.reliable_sent(first..first + u64::from(count), now)
                }
                Content::Parts(id, parts) => self.outbox.parts_sent(id, parts, now),
                _ => continue,
            };
            if sent.content > 0 && sent.again == 0 {
                self.redundancy.on_departure(sent.content as u32, now);
            }
            self.note_left(*content, unsent, sent.again > 0);
            self.redundancy.on_sent(sent.copyable, self.copies());
            self.stats.retransmitted += sent.again as u64;
        }
    }

    /// Writes copies of messages within the policy's budget.
    fn write_copies(
        &mut self,
        writer: &mut DatagramWriter<'_>,
        contents: &mut Contents,
        now: Timestamp,
    ) {
        if self.copies() == 1 {
            return;
        }
        let pause = redundancy::spacing(&self.recovery.rtt, self.copies()) / 2;
        let mut copied = Vec::new();
        for (message, last_sent, sent) in self.outbox.wanting_copies(self.copies(), MAX_COPIED) {
            let bytes = message.payload.len();
            let due = self.copy_leaves(last_sent, sent).min(last_sent + pause);
            if due <= now
                && self.redundancy.allows(bytes, writer.len(), &self.recovery.congestion)
                && message.write(writer) == Parts::WHOLE
            {
                self.redundancy.on_copied(bytes);
                copied.push(message.id);
            }
        }
        for id in copied {
            let copy = self.outbox.reliable_sent(id..id + 1, now);
            self.stats.redundant += 1;
            self.stats.redundant_bytes += copy.bytes as u64;
            self.steps.note(Step::Left { id, again: false });
            contents.push_reliable(id);
        }
    }

    /// Datagrams that should carry each message.
    pub(super) fn copies(&self) -> u32 {
        match self.setting {
            Copies::Auto => redundancy::copies(self.recovery.loss),
            Copies::Fixed(copies) => 1 + u32::from(copies),
        }
    }

    /// When the next copy of a message, sent `sent` times, leaves in a datagram of its own.
    fn copy_leaves(&self, last_sent: Timestamp, sent: u32) -> Timestamp {
        self.redundancy.copy_leaves(last_sent, sent, &self.recovery.rtt, self.copies())
    }

    /// When the first copy leaves in a datagram of its own.
    pub(super) fn copy_due(&self) -> Option<Timestamp> {
        if self.copies() == 1 {
            return None;
        }
        let congestion = &self.recovery.congestion;
        self.outbox
            .wanting_copies(self.copies(), MAX_COPIED)
            .filter(|(message, ..)| {
                self.redundancy.allows(message.payload.len(), HEADER_LEN, congestion)
            })
            .map(|(_, last_sent, sent)| self.copy_leaves(last_sent, sent))
            .min()
    }

    fn header(&mut self, acknowledgment: Option<(u32, u64, Duration)>, now: Timestamp) -> Header {
        let mut flags = match self.role {
            Role::Server => Flags::FROM_SERVER,
            Role::Client { .. } => Flags::default(),
        };
        let mut header = Header {
            session: self.session,
            sequence: self.recovery.next_sequence() as u32,
            timestamp: now.low_bits(),
            window: self.inbox.announce(self.received.len()),
            ..Header::default()
        };
        if let Some((ack, bitmap, delay)) = acknowledgment {
            flags = flags.with(Flags::ACK);
            header.acknowledgment = ack;
            header.ack_bitmap = bitmap;
            header.ack_delay = u16::try_from(micros(delay) / ACK_DELAY_UNIT).unwrap_or(u16::MAX);
        }
        Header { flags, ..header }
    }
}
