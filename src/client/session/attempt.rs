//! Joining: the client's side of the three-way handshake, repeated until somebody answers.

#[cfg(test)]
mod tests;

use super::Config;
use super::obstacle::{Obstacle, Obstacles};
use crate::protocol::limits::{
    CONNECT_TIMEOUT, COOKIE_LIFE, JOIN_DEADLINE, JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE,
    JOIN_TIMEOUT, LOOKUP_INTERVAL, LOOKUP_PAUSE_MAX, MIN_HEARTBEAT, REJOIN_PAUSE_MAX, RESTART_WAIT,
    STAGGER, STREAM_ANSWER,
};
use crate::protocol::{
    Cookie, Datagram, DatagramWriter, Frame, Header, Mark, Refusal, ServerMessage, decode_message,
};
use crate::time::{Now, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

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
    /// Somebody has answered who speaks this protocol.
    answered: bool,
    /// How long a first join may take, where it is not as long as a person is kept waiting.
    pub(super) patience: Option<Duration>,
    /// When the server said that it restarts.
    restart: Option<Timestamp>,
    /// Addresses tried so far: whose turn it is.
    turn: usize,
    /// Rounds through all addresses, or joins with the cookie.
    tries: u32,
    /// Where a TCP connection is being made.
    connecting: Vec<SocketAddr>,
    pub(super) obstacles: Obstacles,
    send_at: Timestamp,
    /// Nothing is sent before, whoever would have it sent at once.
    not_before: Timestamp,
    /// When the attempt goes on with another nonce.
    renew_at: Timestamp,
    /// When to look the server's addresses up again, and how long after the time before.
    look_up: (Timestamp, Duration),
    /// What chance takes off the pauses of a return, in 65,536ths of their halves: the others that lost
    /// the same server do not come back at the same moments.
    early: u16,
    last_refusal: String,
}

impl Attempt {
    pub(super) fn first(rng: &mut ChaCha20Rng, now: Timestamp) -> Self {
        Self::new(rng, true, now)
    }

    /// An attempt to come back: the last session that lasted ended at `since`.
    pub(super) fn again(
        rng: &mut ChaCha20Rng,
        since: Timestamp,
        pause: Duration,
        now: Timestamp,
    ) -> Self {
        let early = rng.next_u32() as u16;
        Self { since, early, not_before: now + pause, ..Self::new(rng, false, now) }
    }

    fn new(rng: &mut ChaCha20Rng, first: bool, now: Timestamp) -> Self {
        Self {
            nonce: rng.next_u64().max(1),
            first,
            cookie: None,
            hurried: false,
            since: now,
            answered: false,
            patience: None,
            restart: None,
            turn: 0,
            tries: 0,
            connecting: Vec::new(),
            obstacles: Obstacles::default(),
            send_at: now,
            not_before: now,
            renew_at: now + LOOKUP_INTERVAL,
            look_up: (now + LOOKUP_INTERVAL, LOOKUP_INTERVAL),
            early: 0,
            last_refusal: String::new(),
        }
    }

    /// The server restarts: it is not asked at once, and not waited for longer than it should need. How
    /// long that is.
    pub(super) fn await_restart(&mut self, give_up: Duration, now: Timestamp) -> Duration {
        self.restart = Some(now);
        self.send_at = now + JOIN_RETRY;
        self.deadline(give_up).since(now)
    }

    /// Whether the server said before that it would refuse for this reason.
    pub(super) fn expects(&self, reason: Refusal) -> bool {
        self.restart.is_some() && reason == Refusal::ShuttingDown
    }

    /// Somebody lives at `from` and wants the cookie back. The first who says so is the one to join: an
    /// address that answers later is as good, but not better.
    pub(super) fn challenged(
        &mut self,
        nonce: u64,
        cookie: Cookie,
        from: SocketAddr,
        now: Timestamp,
    ) {
        let first = |(known, by, _)| by == from && known != cookie;
        if nonce == self.nonce && self.cookie.is_none_or(first) {
            self.answered = true;
            self.cookie = Some((cookie, from, now));
            if !std::mem::replace(&mut self.hurried, true) {
                self.tries = 0;
                self.send_at = now;
            }
        }
    }

    /// A server has taken the connection. It still has to let this client in.
    pub(super) fn greeted(&mut self) {
        self.answered = true;
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
                    Some((heartbeat.max(MIN_HEARTBEAT), latest))
                }
                _ => None,
            }
        })
    }

    /// Whether somebody waits for it to end.
    pub(super) fn keeps_somebody_waiting(&self) -> bool {
        self.patience.is_none()
    }

    /// Whether it is no use to go on.
    pub(super) fn is_over(&self, give_up: Duration, now: Timestamp) -> bool {
        self.deadline(give_up) <= now
    }

    /// Begins anew now and then, for the server may have ended the session of this join before its
    /// `Welcome` came through.
    pub(super) fn renew(&mut self, rng: &mut ChaCha20Rng, now: Timestamp) {
        if !self.first && self.renew_at <= now {
            self.renew_at = now + LOOKUP_INTERVAL;
            self.nonce = rng.next_u64().max(1);
            self.cookie = None;
            self.hurried = false;
        }
    }

    /// Whether to look the server's addresses up again, for it may have moved: more and more rarely, as a
    /// search is a broadcast.
    pub(super) fn looks_up(&mut self, now: Timestamp) -> bool {
        let (at, pause) = self.look_up;
        let due = !self.first && at <= now;
        if due {
            let pause = (2 * pause).min(LOOKUP_PAUSE_MAX);
            self.look_up = (now + pause, pause);
        }
        due
    }

    /// When to look the server's addresses up next.
    pub(super) fn next_look_up(&self) -> Option<Timestamp> {
        (!self.first).then_some(self.look_up.0)
    }

    /// When something is due next.
    pub(super) fn timeout(&self, give_up: Duration) -> Timestamp {
        self.due().min(self.deadline(give_up))
    }

    fn due(&self) -> Timestamp {
        self.send_at.max(self.not_before)
    }

    /// No address is tried before `until`, or before [`Self::release`].
    pub(super) fn hold(&mut self, until: Timestamp) {
        (self.turn, self.send_at) = (0, until);
    }

    /// The addresses are good: those that were held back are tried.
    pub(super) fn release(&mut self, now: Timestamp) {
        if self.turn == 0 {
            self.send_at = self.send_at.min(now);
        }
    }

    /// The server may be elsewhere now: all its addresses are tried from the first on.
    pub(super) fn try_anew(&mut self, addresses: &[SocketAddr], now: Timestamp) {
        (self.turn, self.tries, self.send_at) = (0, 0, now);
        self.cookie = self.cookie.filter(|(_, from, _)| addresses.contains(from));
        self.obstacles = Obstacles::default();
    }

    /// Whether it is time to connect.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due() <= now
    }

    /// Whether connections of an earlier round are still being made as the next round begins.
    pub(super) fn has_stale_connections(&self, addresses: &[SocketAddr]) -> bool {
        !self.connecting.is_empty() && self.ends_round(addresses)
    }

    /// The address to connect to next, beside those where that is under way (RFC 8305 §5).
    pub(super) fn connect(
        &mut self,
        addresses: &[SocketAddr],
        now: Timestamp,
    ) -> Option<SocketAddr> {
        if self.ends_round(addresses) {
            self.connecting.clear();
        }
        let address = self.next_address(addresses, CONNECT_TIMEOUT.max(self.pause()), now)?;
        self.connecting.push(address);
        Some(address)
    }

    /// The connection is there: the server has some time to answer. It hangs up on a nonce that it has
    /// let in, and a connection that broke may have brought it the last one.
    pub(super) fn connected(&mut self, rng: &mut ChaCha20Rng, others: bool, now: Timestamp) {
        self.nonce = rng.next_u64().max(1);
        self.connecting.clear();
        let usual = if self.first { JOIN_DEADLINE } else { JOIN_TIMEOUT };
        let patience = self.patience.unwrap_or(usual);
        self.send_at = now + if others { patience.min(STREAM_ANSWER) } else { patience };
    }

    /// The connection came to nothing: the next address is tried at once, the first one again after a
    /// pause.
    pub(super) fn failed(&mut self, addresses: &[SocketAddr], now: Timestamp) {
        self.connecting.clear();
        let pause = if self.ends_round(addresses) { self.pause() } else { Duration::ZERO };
        self.send_at = now + pause;
    }

    /// There is an obstacle before one of the addresses: the next one need not wait for its turn.
    pub(super) fn obstructed(
        &mut self,
        address: SocketAddr,
        obstacle: Obstacle,
        addresses: &[SocketAddr],
        now: Timestamp,
    ) {
        if !addresses.contains(&address) {
            return;
        }
        let connecting = self.connecting.len();
        self.connecting.retain(|it| *it != address);
        let failed = self.connecting.len() < connecting;
        let news = self.obstacles.note(address, obstacle);
        if self.cookie.is_some() || !(failed || news) {
            return;
        }
        if !self.ends_round(addresses) {
            self.send_at = now;
        } else if failed && self.connecting.is_empty() {
            self.send_at = now + self.pause();
        }
    }

    /// Whether all addresses have had their turn equally often.
    fn ends_round(&self, addresses: &[SocketAddr]) -> bool {
        self.turn.is_multiple_of(addresses.len().max(1))
    }

    /// Whose turn it is. The one after it follows soon, the first one again after `pause`.
    fn next_address(
        &mut self,
        addresses: &[SocketAddr],
        pause: Duration,
        now: Timestamp,
    ) -> Option<SocketAddr> {
        let address = addresses.get(self.turn % addresses.len().max(1)).copied();
        self.turn += 1;
        if self.ends_round(addresses) {
            self.tries += 1;
            self.send_at = now + pause;
        } else {
            self.send_at = now + STAGGER;
        }
        address
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
        if !self.is_due(now.mono) {
            return None;
        }
        self.cookie = self.cookie.filter(|(.., at)| *at + COOKIE_LIFE > now.mono);
        // A name can have several addresses, and the server may listen on one of them only.
        let to = match self.cookie {
            Some((_, from, _)) => {
                self.send_at = now.mono + self.pause();
                self.tries += 1;
                from
            }
            None => self.next_address(addresses, self.pause(), now.mono)?,
        };
        let cookie = self.cookie.as_ref().map_or(&[][..], |(cookie, ..)| &cookie[..]);
        let mut writer = DatagramWriter::new(buffer);
        writer.push(&self.join(config, cookie, resume, seen, next));
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header { timestamp: now.mono.low_bits(), ..Header::default() });
        Some(to)
    }

    fn pause(&self) -> Duration {
        let pause = JOIN_RETRY * (1 << self.tries.min(8));
        if self.first || self.restart.is_some() {
            return pause.min(JOIN_RETRY_MAX);
        }
        let pause = pause.min(REJOIN_PAUSE_MAX);
        pause - pause / 2 * u32::from(self.early) / (1 << 16)
    }

    fn deadline(&self, give_up: Duration) -> Timestamp {
        if self.first {
            let usual = if self.answered { JOIN_DEADLINE } else { JOIN_TIMEOUT };
            return self.since + self.patience.unwrap_or(usual);
        }
        let restarted = self.restart.map(|at| at + RESTART_WAIT);
        restarted.into_iter().fold(self.since + give_up, Timestamp::min)
    }
}
