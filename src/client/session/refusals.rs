//! Refused joins.

use super::{CloseReason, Event, Session};
use crate::protocol::limits::MAX_NAME;
use crate::protocol::{Refusal, clean, clip};
use std::net::SocketAddr;

/// Bytes of a server's refusal that are shown: one sentence with a nickname in it.
const MAX_DETAIL: usize = 2 * MAX_NAME;

impl Session {
    /// Why the server refused a join, if that ended the session.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        self.refusal
    }

    /// Whether the session is over because its nickname was refused.
    #[must_use]
    pub fn is_name_refused(&self) -> bool {
        matches!(self.refusal, Some(Refusal::NameTaken | Refusal::NameNotAllowed))
    }

    /// Another version ends a first join; a rejoin waits, since the server may be updated.
    pub(super) fn refused_version(&mut self, from: SocketAddr, version: u8) {
        if self.attempt.as_ref().is_some_and(|attempt| attempt.first) {
            let message = format!(
                "the server at {from} speaks version {version} of the protocol, this program {}: \
                 use the same release on both sides",
                crate::protocol::VERSION
            );
            self.events.push_back(Event::Error { message });
            self.close(CloseReason::Refused);
        }
    }

    /// A first join ends; a rejoin goes on, unless the name can never be had.
    pub(super) fn refused(&mut self, nonce: u64, reason: Refusal, detail: &str) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.nonce == nonce) else {
            return;
        };
        let message = clean(clip(detail, MAX_DETAIL)).into_owned();
        let passing = !attempt.first && reason != Refusal::NameNotAllowed;
        if !passing {
            self.refusal = Some(reason);
            self.events.push_back(Event::Error { message });
            self.close(CloseReason::Refused);
        } else if !attempt.expects(reason) && attempt.refused_again(&message) {
            let text = format!("not let in again yet: {message}");
            self.events.push_back(Event::Status { text });
        }
    }
}
