//! Joining: the client's side of the three-way handshake, repeated until somebody answers.

use super::Config;
use crate::protocol::limits::{COOKIE_LIFE, JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE, JOIN_TIMEOUT};
use crate::protocol::{
    Cookie, Datagram, DatagramWriter, Frame, Header, Mark, ServerMessage, decode_message,
};
use crate::time::{Now, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// No server can make a client send more often than this.
pub(super) const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

/// A TCP connection that is not there after this long is tried at the next address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One try to get in.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) nonce: u64,
    /// The first join of this client, not a return.
    pub(super) first: bool,
    /// What the server gave, who gave it, and when.
    cookie: Option<(Cookie, SocketAddr, Timestamp)>,
    /// A cookie has drawn a join at once. Another one waits for the next try, however many come.
    hurried: bool,
    since: Timestamp,
    /// How long a first join may take.
    pub(super) patience: Duration,
    tries: u32,
    send_at: Timestamp,
    resolve_at: Timestamp,
    last_refusal: String,
}

impl Attempt {
    pub(super) fn first(rng: &mut ChaCha20Rng, now: Timestamp) -> Self {
        Self::new(rng, true, now)
    }

    pub(super) fn again(rng: &mut ChaCha20Rng, now: Timestamp) -> Self {
        Self::new(rng, false, now)
    }

    fn new(rng: &mut ChaCha20Rng, first: bool, now: Timestamp) -> Self {
        Self {
            nonce: rng.next_u64(),
            first,
            cookie: None,
            hurried: false,
            since: now,
            patience: JOIN_TIMEOUT,
            tries: 0,
            send_at: now,
            resolve_at: now + JOIN_TIMEOUT,
            last_refusal: String::new(),
        }
    }

    /// Somebody lives at `from` and wants the cookie back.
    pub(super) fn challenged(
        &mut self,
        nonce: u64,
        cookie: Cookie,
        from: SocketAddr,
        now: Timestamp,
    ) {
        if nonce == self.nonce && self.cookie.is_none_or(|(known, ..)| known != cookie) {
            self.cookie = Some((cookie, from, now));
            if !std::mem::replace(&mut self.hurried, true) {
                self.tries = 0;
                self.send_at = now;
            }
        }
    }

    /// The server refused a return for a reason that may pass. True when that is news.
    pub(super) fn refused_again(&mut self, why: &str) -> bool {
        why != std::mem::replace(&mut self.last_refusal, why.to_owned())
    }

    /// If the datagram begins a session for this attempt: its heartbeat interval, and where the log stands.
    pub(super) fn welcomed_by(&self, datagram: &Datagram<'_>) -> Option<(Duration, Mark)> {
        datagram.frames().find_map(|frame| {
            let Frame::Ordered { id: 0, payload } = frame else { return None };
            match decode_message(payload) {
                Ok(ServerMessage::Welcome { nonce, heartbeat_ms, epoch, latest, .. })
                    if nonce == self.nonce =>
                {
                    let heartbeat = Duration::from_millis(u64::from(heartbeat_ms));
                    let latest = Mark { epoch, position: latest };
                    Some((heartbeat.max(SHORTEST_HEARTBEAT), latest))
                }
                _ => None,
            }
        })
    }

    /// Whether it is no use to go on.
    pub(super) fn is_over(&self, give_up: Duration, now: Timestamp) -> bool {
        self.deadline(give_up) <= now
    }

    /// Begins anew every five seconds, for the server may have moved, or have ended the session of
    /// this join before its `Welcome` came through. True when it did.
    pub(super) fn starts_over(&mut self, rng: &mut ChaCha20Rng, now: Timestamp) -> bool {
        let due = !self.first && self.resolve_at <= now;
        if due {
            self.resolve_at = now + JOIN_TIMEOUT;
            self.nonce = rng.next_u64();
            self.cookie = None;
            self.hurried = false;
        }
        due
    }

    /// When something is due next.
    pub(super) fn timeout(&self, give_up: Duration) -> Timestamp {
        self.send_at.min(self.deadline(give_up))
    }

    /// The address to connect to now, if it is time to; the next one when that leads nowhere.
    pub(super) fn connect_if_due(
        &mut self,
        addresses: &[SocketAddr],
        now: Timestamp,
    ) -> Option<SocketAddr> {
        if self.send_at > now {
            return None;
        }
        let turn = addresses.get(self.tries as usize % addresses.len().max(1)).copied();
        self.tries += 1;
        self.send_at = now + CONNECT_TIMEOUT;
        turn
    }

    /// The connection is there: the server has some time to answer. It hangs up on a nonce that it has
    /// let in, and a connection that broke may have brought it the last one.
    pub(super) fn connected(&mut self, rng: &mut ChaCha20Rng, now: Timestamp) {
        self.nonce = rng.next_u64();
        self.send_at = now + self.patience;
    }

    /// The connection came to nothing: the next one may be tried after a pause.
    pub(super) fn failed(&mut self, now: Timestamp) {
        self.send_at = now + self.pause();
    }

    /// The join as a frame.
    pub(super) fn join<'a>(
        &self,
        config: &'a Config,
        cookie: &'a [u8],
        resume: &'a [u8],
        seen: Mark,
        next: u16,
    ) -> Frame<'a> {
        Frame::Join {
            nonce: self.nonce,
            cookie,
            nickname: &config.nickname,
            delivery: config.delivery,
            resume,
            epoch: seen.epoch,
            seen: seen.position,
            next,
        }
    }

    /// Writes the join that is due, if one is, and says where it goes.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn poll_transmit(
        &mut self,
        buffer: &mut Vec<u8>,
        config: &Config,
        addresses: &[SocketAddr],
        resume: &[u8],
        seen: Mark,
        next: u16,
        now: Now,
    ) -> Option<SocketAddr> {
        if self.send_at > now.mono {
            return None;
        }
        self.cookie = self.cookie.filter(|(.., at)| *at + COOKIE_LIFE > now.mono);
        // A name can have several addresses, and the server may listen on one of them only.
        let turn = addresses.get(self.tries as usize % addresses.len().max(1)).copied();
        let (cookie, to) = match &self.cookie {
            Some((cookie, from, _)) => (&cookie[..], *from),
            None => (&[][..], turn?),
        };
        let mut writer = DatagramWriter::new(buffer);
        writer.push(&self.join(config, cookie, resume, seen, next));
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header { timestamp: now.mono.low_bits(), ..Header::default() });
        self.send_at = now.mono + self.pause();
        self.tries += 1;
        Some(to)
    }

    fn pause(&self) -> Duration {
        (JOIN_RETRY * (1 << self.tries.min(8))).min(JOIN_RETRY_MAX)
    }

    fn deadline(&self, give_up: Duration) -> Timestamp {
        self.since + if self.first { self.patience } else { give_up }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Transport;
    use crate::protocol::Delivery;
    use rand_chacha::rand_core::SeedableRng;

    /// How many joins a server draws in three seconds that answers each one, and more, with a new cookie.
    #[test]
    fn a_server_draws_one_join_at_once_from_an_attempt() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let start = Timestamp::from_micros(1_000_000);
        let mut attempt = Attempt::first(&mut rng, start);
        let config = Config {
            nickname: "alice".to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::from_secs(60),
            shown: vec![],
        };
        let server: SocketAddr = ([10, 0, 0, 1], 2428).into();
        let (mut joins, mut bytes) = (vec![], vec![]);
        for millis in 0..3_000_u64 {
            let mono = start + Duration::from_millis(millis);
            let now = Now { mono, wall: crate::time::WallTime(0) };
            let seen = Mark::default();
            if attempt.poll_transmit(&mut bytes, &config, &[server], &[], seen, 0, now).is_some() {
                joins.push(millis);
            }
            let cookie = std::array::from_fn(|i| millis.to_be_bytes()[i % 8]);
            attempt.challenged(attempt.nonce, cookie, server, mono);
        }
        assert_eq!(joins, [0, 1, 251, 751, 1_751]);
    }
}
