//! The events of a scenario, in order. The judges see nothing else.

use super::scenario::STRANGER;
use super::waits::Waits;
use crate::client::session;
use crate::protocol::{
    ClientMessage, Datagram, DecodeError, Flags, Frame, Header, ServerMessage, decode_message,
};
use std::time::Duration;

/// Bytes of a TCP connection that a report shows.
const MAX_STREAM: usize = 1_024;

/// An event of a scenario.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A datagram of the client, at the time of its arrival. `passed`: the hub received it.
    Up { bytes: Vec<u8>, passed: bool },
    /// A datagram to the client that the hub made, as it left.
    Down { bytes: Vec<u8> },
    /// A datagram to the client that the referee made.
    Forged { bytes: Vec<u8> },
    /// Bytes of the client on its first TCP connection.
    Stream { bytes: Vec<u8> },
    /// A line of the client's output.
    Printed(String),
    /// A line of the client's standard error.
    Complained(String),
    /// An event of the teacher's session.
    Teacher(Box<session::Event>),
    /// The script reached this point.
    Mark(&'static str),
    /// A step of a plan's scenario failed; `late`: it waited in vain.
    Missed { what: String, late: bool },
    /// The client's process ended, and how.
    Ended { code: Option<i32>, how: String },
}

/// An event and its time since the start.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) at: Duration,
    pub(super) event: Event,
}

/// All events of a scenario.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    pub(super) entries: Vec<Entry>,
    /// How long the client waited for a processor.
    pub(super) waits: Waits,
    /// A wait for something ended because the client could hardly run.
    pub(super) starved: bool,
}

/// A datagram of the client, decoded.
pub(super) struct Up<'a> {
    /// Its place in the trace.
    pub(super) index: usize,
    pub(super) at: Duration,
    pub(super) bytes: &'a [u8],
    pub(super) passed: bool,
    pub(super) datagram: Result<Datagram<'a>, DecodeError>,
}

/// A valid datagram of a session to or from the client.
pub(super) struct Seen<'a> {
    pub(super) index: usize,
    pub(super) at: Duration,
    pub(super) bytes: usize,
    pub(super) header: Header,
    pub(super) frames: Vec<Frame<'a>>,
}

impl Seen<'_> {
    /// Whether the receiver has to acknowledge it.
    pub(super) fn is_eliciting(&self) -> bool {
        self.frames.iter().any(|frame| !matches!(frame, Frame::Padding(_)))
    }
}

/// Whether a datagram of the server takes no part in a session's numbers (§3.1).
fn is_stateless(datagram: &Datagram<'_>) -> bool {
    let first = datagram.frames().next();
    let server = datagram.header.flags.contains(Flags::FROM_SERVER);
    datagram.header.session == 0
        || match first {
            Some(Frame::PathChallenge(_)) => true,
            Some(Frame::Reset | Frame::PathResponse(_)) => server,
            _ => false,
        }
}

fn seen(index: usize, at: Duration, bytes: &[u8]) -> Option<Seen<'_>> {
    let datagram = Datagram::decode(bytes).ok().filter(|it| !is_stateless(it))?;
    let frames = datagram.frames().collect();
    Some(Seen { index, at, bytes: bytes.len(), header: datagram.header, frames })
}

impl Trace {
    /// All datagrams of the client.
    pub(super) fn ups(&self) -> impl Iterator<Item = Up<'_>> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.event {
            Event::Up { bytes, passed } => Some(Up {
                index,
                at: entry.at,
                bytes,
                passed: *passed,
                datagram: Datagram::decode(bytes),
            }),
            _ => None,
        })
    }

    /// The client's valid datagrams of a session.
    pub(super) fn sent(&self) -> impl Iterator<Item = Seen<'_>> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.event {
            Event::Up { bytes, .. } => seen(index, entry.at, bytes),
            _ => None,
        })
    }

    /// The hub's datagrams of a session that left for the client.
    pub(super) fn received(&self) -> impl Iterator<Item = Seen<'_>> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.event {
            Event::Down { bytes } => seen(index, entry.at, bytes),
            _ => None,
        })
    }

    /// The client's `Join`s, with their places.
    pub(super) fn joins(
        &self,
    ) -> impl Iterator<Item = (usize, Duration, crate::protocol::Join<'_>)> {
        self.ups().filter_map(|up| match up.datagram.ok()?.frames().next()? {
            Frame::Join(join) => Some((up.index, up.at, join)),
            _ => None,
        })
    }

    /// The client's messages in the order of their transmissions, repeats included: with the
    /// datagram, and the id if they are reliable.
    pub(super) fn said(&self) -> impl Iterator<Item = (Seen<'_>, Option<u16>, ClientMessage<'_>)> {
        self.sent().flat_map(|seen| {
            let messages: Vec<_> = seen.frames.iter().filter_map(message_of).collect();
            let place = move || Seen { frames: Vec::new(), ..copy(&seen) };
            messages
                .into_iter()
                .filter_map(move |(id, payload)| Some((place(), id, decode_message(payload).ok()?)))
        })
    }

    /// The first bytes of the client's first TCP connection.
    pub(super) fn stream(&self) -> Vec<u8> {
        let bytes = self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Stream { bytes } => Some(bytes),
            _ => None,
        });
        bytes.flatten().copied().take(MAX_STREAM).collect()
    }

    /// The lines that the client printed.
    pub(super) fn printed(&self) -> impl Iterator<Item = (usize, &str)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| match &entry.event {
            Event::Printed(line) => Some((index, line.as_str())),
            _ => None,
        })
    }

    /// The lines for the room that the teacher heard, with their authors.
    pub(super) fn heard(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Teacher(event) => match &**event {
                session::Event::Message { from, text, .. }
                | session::Event::History { from, text, .. } => Some((&**from, &**text)),
                _ => None,
            },
            _ => None,
        })
    }

    /// Whether the teacher noticed such an event.
    pub(super) fn noticed(&self, wanted: impl Fn(&session::Event) -> bool) -> bool {
        self.entries.iter().any(|entry| match &entry.event {
            Event::Teacher(event) => wanted(event),
            _ => false,
        })
    }

    /// The place and time of a mark.
    pub(super) fn mark(&self, name: &str) -> Option<(usize, Duration)> {
        let found = |entry: &Entry| matches!(entry.event, Event::Mark(it) if it == name);
        let index = self.entries.iter().position(found)?;
        Some((index, self.entries[index].at))
    }

    /// Notes, at the end, what is wrong with a step; `late`: time may be the reason.
    pub(super) fn miss(&mut self, what: String, late: bool) {
        let at = self.entries.last().map_or(Duration::ZERO, |entry| entry.at);
        self.entries.push(Entry { at, event: Event::Missed { what, late } });
    }

    /// How long the client was watched.
    pub(super) fn until(&self) -> Duration {
        let last = self.entries.last().map_or(Duration::ZERO, |entry| entry.at);
        last.max(self.waits.end())
    }

    /// How the client ended: place, time, code.
    pub(super) fn end(&self) -> Option<(usize, Duration, Option<i32>)> {
        self.entries.iter().enumerate().find_map(|(index, entry)| match &entry.event {
            Event::Ended { code, .. } => Some((index, entry.at, *code)),
            _ => None,
        })
    }

    /// The client's session: that of the hub's first `Welcome` that left for it, and its place.
    pub(super) fn welcome(&self) -> Option<(usize, u64)> {
        self.received().filter(|seen| seen.header.session != STRANGER).find_map(|seen| {
            let is_welcome = seen.frames.iter().filter_map(message_of).any(|(_, payload)| {
                matches!(decode_message(payload), Ok(ServerMessage::Welcome(_)))
            });
            is_welcome.then_some((seen.index, seen.header.session))
        })
    }

    /// The last line of the client's standard error, or how it ended.
    pub(super) fn last_words(&self) -> Option<String> {
        let words = |entry: &Entry| match &entry.event {
            Event::Complained(line) if !line.trim().is_empty() => Some(line.clone()),
            Event::Ended { how, .. } => Some(how.clone()),
            _ => None,
        };
        let complaint = |entry: &&Entry| matches!(entry.event, Event::Complained(_));
        self.entries.iter().rev().find(complaint).or(self.entries.last()).and_then(words)
    }
}

fn copy<'a>(seen: &Seen<'_>) -> Seen<'a> {
    let Seen { index, at, bytes, header, .. } = *seen;
    Seen { index, at, bytes, header, frames: Vec::new() }
}

/// The id and the payload of a frame with a whole message.
pub(super) fn message_of<'a>(frame: &Frame<'a>) -> Option<(Option<u16>, &'a [u8])> {
    match *frame {
        Frame::Once { payload } => Some((None, payload)),
        Frame::Unordered { id, payload } | Frame::Ordered { id, payload } => {
            Some((Some(id), payload))
        }
        _ => None,
    }
}
