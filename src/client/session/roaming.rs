//! Follows a server whose address changes, once the new address has answered a challenge
//! (`proto.md` §7.7). The server does the same for its clients, with one difference: a client has
//! one server, so it can store its question.

use super::{Notice, Session};
use crate::link::PATH_CHALLENGE_LEN;
use crate::protocol::limits::base_datagram;
use crate::protocol::limits::{DWELL, JOIN_RETRY};
use crate::protocol::{Datagram, DatagramWriter, Frame, Header, PathCookie};
use crate::time::{Now, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;

/// The address under challenge.
#[derive(Debug)]
struct Asked {
    address: SocketAddr,
    cookie: PathCookie,
    at: Timestamp,
}

/// The challenge under way, and the last move.
#[derive(Debug, Default)]
pub(super) struct Roaming {
    asked: Option<Asked>,
    /// The challenge has not left.
    unsent: bool,
    /// When the client last followed the server.
    followed: Option<Timestamp>,
}

impl Roaming {
    /// Challenges `address`, unless another challenge is recent: copies of a datagram with many
    /// forged sources draw no more than that.
    fn challenge(&mut self, address: SocketAddr, rng: &mut ChaCha20Rng, now: Timestamp) {
        let asked_lately = self.asked.as_ref().is_some_and(|asked| asked.at + JOIN_RETRY > now);
        if asked_lately || self.followed.is_some_and(|at| at + DWELL > now) {
            return;
        }
        // The answer to an earlier challenge may be late.
        let again = self.asked.take().filter(|asked| asked.address == address);
        let cookie = again.map_or_else(|| rng.next_u64().to_be_bytes(), |asked| asked.cookie);
        self.asked = Some(Asked { address, cookie, at: now });
        self.unsent = true;
    }

    /// Whether this answers the challenge. It counts once: the client follows.
    fn is_answered(&mut self, from: SocketAddr, cookie: PathCookie, now: Timestamp) -> bool {
        let answer = |asked: &mut Asked| asked.address == from && asked.cookie == cookie;
        let answered = self.asked.take_if(answer).is_some();
        if answered {
            self.followed = Some(now);
        }
        answered
    }

    /// Writes the pending challenge, if any; returns its destination.
    pub(super) fn poll_transmit(
        &mut self,
        session: u64,
        buffer: &mut Vec<u8>,
        now: Timestamp,
    ) -> Option<SocketAddr> {
        let asked = self.asked.as_ref().filter(|_| std::mem::take(&mut self.unsent))?;
        let mut writer = DatagramWriter::new(buffer);
        writer.push(&Frame::PathChallenge(asked.cookie));
        writer.finish(&Header { session, timestamp: now.low_bits(), ..Header::default() });
        Some(asked.address)
    }

    /// Whether there is something to transmit.
    pub(super) fn is_due(&self) -> bool {
        self.unsent
    }
}

impl Session {
    /// Whether a datagram of this session comes from the server's address. If not, it is dropped,
    /// and the address is challenged.
    pub(super) fn is_at_server(
        &mut self,
        from: SocketAddr,
        datagram: &Datagram<'_>,
        bytes: usize,
        now: Now,
    ) -> bool {
        let Some(established) = &mut self.established else { return false };
        if established.server == from {
            return true;
        }
        let Some(link) = established.link.as_datagrams() else { return false };
        match datagram.frames().next() {
            Some(Frame::PathResponse(cookie))
                if established.roaming.is_answered(from, cookie, now.mono) =>
            {
                established.server = from;
                link.set_path(base_datagram(from.is_ipv6()), now.mono);
                // The server learns the path from a datagram that it receives on it, and challenges
                // in turn.
                link.probe();
                self.tell(Notice::Moved { server: from });
            }
            // Without a sequence number, an old datagram cannot be recognised.
            Some(Frame::PathResponse(_) | Frame::Reset) => {}
            Some(Frame::PathChallenge(_)) => {
                established.roaming.challenge(from, &mut self.rng, now.mono);
            }
            // Only the newest datagram moves a session, because a copy of an old one can have any
            // source (RFC 9000 §9.3); and a challenge is never larger than that datagram.
            _ if bytes >= PATH_CHALLENGE_LEN && link.is_newest(&datagram.header) => {
                established.roaming.challenge(from, &mut self.rng, now.mono);
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn one_address_is_challenged_at_a_time_and_its_answer_counts_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut roaming = Roaming::default();
        let at = |ms: u64| Timestamp::from_micros(ms * 1_000);
        let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 2428));
        let mut ask = |roaming: &mut Roaming, n, now| {
            let mut bytes = Vec::new();
            roaming.challenge(address(n), &mut rng, now);
            let to = roaming.poll_transmit(7, &mut bytes, now)?;
            assert_eq!(
                (to, bytes.len(), roaming.is_due()),
                (address(n), PATH_CHALLENGE_LEN, false)
            );
            bytes.last_chunk::<8>().copied()
        };
        let first = ask(&mut roaming, 2, at(0)).unwrap_or_default();
        assert_eq!(ask(&mut roaming, 3, at(249)), None, "one was asked a moment ago");
        let again = ask(&mut roaming, 2, at(250)).unwrap_or_default();
        assert_eq!(first, again, "the answer to the first question is still good");
        assert!(!roaming.is_answered(address(3), first, at(251)));
        assert!(!roaming.is_answered(address(2), [0; 8], at(251)));
        assert!(roaming.is_answered(address(2), first, at(251)));
        assert!(!roaming.is_answered(address(2), first, at(251)));
        assert_eq!(ask(&mut roaming, 3, at(2_250)), None, "it followed a moment ago");
        let other = ask(&mut roaming, 3, at(2_251)).unwrap_or_default();
        assert!(other != first && other != [0; 8]);
        let instead = ask(&mut roaming, 4, at(2_501)).unwrap_or_default();
        assert!(!roaming.is_answered(address(3), other, at(2_502)));
        assert!(roaming.is_answered(address(4), instead, at(2_502)));
    }
}
