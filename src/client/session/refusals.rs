//! Servers that do not admit this client.

use super::{CloseReason, Denied, Event, Notice, Session};
use crate::protocol::limits::MAX_NAME;
use crate::protocol::{Refusal, clean, clip};
use crate::time::Now;
use std::net::SocketAddr;

/// Bytes of a server's refusal that are shown: one sentence with a nickname in it.
pub(super) const MAX_DETAIL: usize = 2 * MAX_NAME;

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
            self.complain(Notice::OtherVersion { server: from, version });
            self.close(CloseReason::Refused);
        }
    }

    /// Takes a refusal. It ends a first join, unless another server may admit this client.
    pub(super) fn refused(
        &mut self,
        from: SocketAddr,
        nonce: u64,
        reason: Refusal,
        detail: &str,
        now: Now,
    ) {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.nonce == nonce) else {
            return;
        };
        let nickname = clean(clip(&self.config.nickname, MAX_NAME)).into_owned();
        let detail = clean(clip(detail, MAX_DETAIL)).into_owned();
        let denied = Denied { reason, detail, nickname };
        let others = self.targets.has_others();
        // A server may answer from another of its addresses.
        let server = if self.targets.contains(&from) { Some(&from) } else { self.targets.first() };
        let news = server.is_some_and(|it| attempt.refused_by(*it, &denied));
        let passing = match reason {
            Refusal::NameNotAllowed | Refusal::Kicked => false,
            // By this client, if a server was slow and another one of the room was asked.
            Refusal::NameTaken => !attempt.first || (others && attempt.may_be_admitted()),
            _ => !attempt.first || (others && !attempt.is_refused_by(&self.targets)),
        };
        if !passing {
            self.refusal = Some(reason);
            self.complain(Notice::Refused(denied));
            return self.close(CloseReason::Refused);
        }
        if news && !attempt.expects(reason) {
            let server = server.copied().filter(|_| others);
            self.events.push_back(Event::Status { notice: Notice::NotYet { server, denied } });
        }
        if others {
            attempt.turned_away(&self.targets, now.mono);
        }
    }
}
