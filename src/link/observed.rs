//! What happens to the messages of a link, step by step, while somebody watches.

use super::contents::Content;
use super::{Channel, Link};
use crate::protocol::Delivery;
use std::time::Duration;

/// Steps that wait to be taken. They are taken after each call that makes some.
const MAX_STEPS: usize = 4_096;

/// A step of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It left in a datagram; `again` after a loss, or to ask for an acknowledgment.
    Left {
        /// The message.
        id: u64,
        /// It had left before.
        again: bool,
    },
    /// It was acknowledged, after this delay at the other end.
    Acked {
        /// The message.
        trail: Trail,
        /// The delay.
        delay: Duration,
    },
}

/// How a watcher finds a message in the steps of its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trail {
    /// The id of a reliable message: its [`Step`]s have it.
    Reliable(u64),
    /// Sent once: [`Fate`](super::Fate)s have its tag.
    Once(u64),
    /// It ends at this byte of all that the stream has sent.
    Stream(u64),
}

/// The steps of a link that is watched: one word in those that are not.
#[derive(Debug, Default)]
#[allow(clippy::box_collection)]
pub(super) struct Steps(Option<Box<Vec<Step>>>);

impl Steps {
    pub(super) fn note(&mut self, step: Step) {
        if let Some(steps) = self.0.as_mut().filter(|steps| steps.len() < MAX_STEPS) {
            steps.push(step);
        }
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.0.is_some()
    }
}

impl Link {
    fn set_observed(&mut self, on: bool) {
        self.steps = Steps(on.then(Box::default));
    }

    /// Notes the departure of messages. Those before `unsent` had left already, parts if `again`.
    pub(super) fn note_left(&mut self, content: Content, unsent: u64, again: bool) {
        match content {
            _ if !self.steps.are_wanted() => {}
            Content::Reliable { first, count } => {
                for id in first..first + u64::from(count) {
                    self.steps.note(Step::Left { id, again: id < unsent });
                }
            }
            Content::Parts(id, _) if again || id == unsent => {
                self.steps.note(Step::Left { id, again });
            }
            _ => {}
        }
    }

    /// Notes what is about to be acknowledged.
    pub(super) fn note_acked(&mut self, contents: &[Content], delay: Duration) {
        let watched = if self.steps.are_wanted() { contents } else { &[] };
        for content in watched {
            match *content {
                Content::Reliable { first, count } => {
                    for id in first..first + u64::from(count) {
                        self.steps.note(Step::Acked { trail: Trail::Reliable(id), delay });
                    }
                }
                Content::Parts(id, parts) if self.outbox.lacks_only(id, parts) => {
                    self.steps.note(Step::Acked { trail: Trail::Reliable(id), delay });
                }
                Content::Once(tag) => {
                    self.steps.note(Step::Acked { trail: Trail::Once(tag), delay })
                }
                _ => {}
            }
        }
    }

    fn take_steps(&mut self) -> Vec<Step> {
        self.steps.0.as_mut().map(|steps| std::mem::take(&mut **steps)).unwrap_or_default()
    }
}

impl Channel {
    /// Begins, or ends, to record the steps of messages.
    pub(crate) fn set_observed(&mut self, on: bool) {
        if let Self::Datagrams(link) = self {
            link.set_observed(on);
        }
    }

    /// The steps since the last call.
    pub(crate) fn take_steps(&mut self) -> Vec<Step> {
        match self {
            Self::Datagrams(link) => link.take_steps(),
            Self::Stream(_) => Vec::new(),
        }
    }

    /// Bytes of the stream that its transport has taken; `None` while it has not taken all that was
    /// handed out.
    #[must_use]
    pub(crate) fn handed_over(&self) -> Option<u64> {
        match self {
            Self::Datagrams(_) => None,
            Self::Stream(link) => link.stalled_since().is_none().then(|| link.stats().sent_bytes),
        }
    }

    /// Queues a line, until the queue is full. Returns where to look for it, or `None` if it was
    /// refused. `tag` identifies the line.
    pub(crate) fn send_observed(
        &mut self,
        text: &[u8],
        delivery: Delivery,
        tag: u64,
    ) -> Option<Trail> {
        let next = match self {
            Self::Datagrams(link) => link.outbox.next_id(),
            Self::Stream(_) => 0,
        };
        // No end of QUIC learns from its transport what became of a message.
        let tag_of = matches!(self, Self::Datagrams(_)).then_some(tag);
        self.send(text, delivery, tag_of).ok()?;
        Some(match self {
            Self::Datagrams(_) if delivery == Delivery::Unreliable => Trail::Once(tag),
            Self::Datagrams(_) => Trail::Reliable(next),
            Self::Stream(link) => {
                Trail::Stream(link.stats().sent_bytes + link.queued_bytes() as u64)
            }
        })
    }
}
