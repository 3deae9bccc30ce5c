//! Joining: the client's side of the three-way handshake, repeated until a server answers.

#[cfg(test)]
mod tests;

use super::obstacle::{Obstacle, Obstacles};
use super::targets::Targets;
use super::{Config, Denied};
use crate::protocol::limits::{
    CONNECT_TIMEOUT, COOKIE_LIFE, JOIN_DEADLINE, JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE,
    JOIN_TIMEOUT, LISTED_PAUSE, LOOKUP_INTERVAL, LOOKUP_PAUSE_MAX, MIN_HEARTBEAT, REJOIN_PAUSE_MAX,
    RESTART_WAIT, STAGGER, STREAM_ANSWER,
};
use crate::protocol::{
    Cookie, Datagram, DatagramWriter, Frame, Header, Join, Mark, Refusal, ServerMessage, Token,
    Welcome, decode_message,
};
use crate::time::{Now, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// One attempt to join.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) nonce: u64,
    /// Whether it is a first join, not a rejoin.
    pub(super) first: bool,
    /// The server's cookie, with its address and time.
    cookie: Option<(Cookie, SocketAddr, Timestamp)>,
    /// A cookie was answered at once. Further ones wait for the next join that is due.
    hurried: bool,
    /// Where there are other servers: until when this one may answer the cookie.
    answer_by: Option<Timestamp>,
    /// This nonce has had no cookie: the first one makes the pauses short again.
    fresh: bool,
    since: Timestamp,
    /// A server of this protocol has answered.
    answered: bool,
    /// Timeout of a first join, if not the default.
    pub(super) join_timeout: Option<Duration>,
    /// When the server announced a restart.
    restart: Option<Timestamp>,
    /// Addresses tried so far, which gives the next one.
    turn: usize,
    /// Rounds through all addresses, or joins with the cookie.
    tries: u32,
    /// Addresses with a TCP connection attempt under way.
    connecting: Vec<SocketAddr>,
    pub(super) obstacles: Obstacles,
    send_at: Timestamp,
    /// Nothing is sent before this time.
    not_before: Timestamp,
    /// When the attempt draws a new nonce.
    renew_at: Timestamp,
    /// Next look-up of the server's addresses, and the interval before it.
    look_up: (Timestamp, Duration),
    /// Random reduction of the pauses of a rejoin, in 65,536ths of their halves, so that the
    /// clients of a lost server do not return at the same moments.
    early: u16,
    /// The last refusal of each server.
    refusals: Vec<(SocketAddr, Denied)>,
    /// Servers that may have admitted this client: each got a join that it can admit, and has not
    /// refused it.
    asked: Vec<SocketAddr>,
}

impl Attempt {
    pub(super) fn first(rng: &mut ChaCha20Rng, now: Timestamp) -> Self {
        Self::new(rng, true, now)
    }

    /// An attempt to rejoin, from the address number `turn` on; the last session that lasted ended
    /// at `since`.
    pub(super) fn again(
        rng: &mut ChaCha20Rng,
        since: Timestamp,
        pause: Duration,
        turn: usize,
        now: Timestamp,
    ) -> Self {
        let early = rng.next_u32() as u16;
        Self { since, early, turn, not_before: now + pause, ..Self::new(rng, false, now) }
    }

    fn new(rng: &mut ChaCha20Rng, first: bool, now: Timestamp) -> Self {
        Self {
            nonce: rng.next_u64().max(1),
            first,
            cookie: None,
            hurried: false,
            answer_by: None,
            fresh: true,
            since: now,
            answered: false,
            join_timeout: None,
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
            refusals: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// The server restarts: waits before the first join, and no longer than a restart takes.
    /// Returns the timeout.
    pub(super) fn await_restart(&mut self, give_up: Duration, now: Timestamp) -> Duration {
        self.restart = Some(now);
        self.send_at = now + JOIN_RETRY;
        self.deadline(give_up).since(now)
    }

    /// Whether the server announced that it would refuse for this reason.
    pub(super) fn expects(&self, reason: Refusal) -> bool {
        let passing = matches!(reason, Refusal::ShuttingDown | Refusal::Unavailable);
        self.restart.is_some() && passing
    }

    /// Takes a `Challenge` from `from`. The first address that answers is joined; later ones are
    /// ignored. In a rejoin where there are `other_servers`, this one has some time to answer.
    pub(super) fn challenged(
        &mut self,
        nonce: u64,
        cookie: Cookie,
        from: SocketAddr,
        other_servers: bool,
        now: Timestamp,
    ) {
        let first = |(known, by, _)| by == from && known != cookie;
        if nonce == self.nonce && self.cookie.is_none_or(first) {
            self.answered = true;
            self.cookie = Some((cookie, from, now));
            if !std::mem::replace(&mut self.hurried, true) {
                if std::mem::take(&mut self.fresh) {
                    self.tries = 0;
                }
                (self.send_at, self.not_before) = (now, self.not_before.min(now));
                self.answer_by = other_servers.then(|| now + STREAM_ANSWER);
            }
        }
    }

    /// The server that was asked refuses: the next address is asked.
    pub(super) fn turned_away(&mut self, targets: &Targets, now: Timestamp) {
        (self.cookie, self.answer_by) = (None, None);
        self.failed(targets, now);
    }

    /// A server accepted the connection, but has not admitted this client.
    pub(super) fn greeted(&mut self) {
        self.answered = true;
    }

    /// Takes a refusal that may be temporary. True if this server gave another reason before.
    pub(super) fn refused_by(&mut self, server: SocketAddr, why: &Denied) -> bool {
        self.asked.retain(|it| *it != server);
        let known = self.refusals.iter_mut().find(|(by, _)| *by == server);
        match known {
            Some((_, known)) => std::mem::replace(known, why.clone()) != *why,
            None => {
                self.refusals.push((server, why.clone()));
                true
            }
        }
    }

    /// Whether all these addresses have refused.
    pub(super) fn is_refused_by(&self, targets: &Targets) -> bool {
        targets.iter().all(|it| self.refusals.iter().any(|(by, _)| by == it))
    }

    /// Whether another server may have admitted this client.
    pub(super) fn may_be_admitted(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The last refusal, if there was one.
    pub(super) fn refusal(&self) -> Option<&Denied> {
        self.refusals.last().map(|(_, why)| why)
    }

    /// The heartbeat interval and log position, if the datagram begins a session for this attempt.
    pub(super) fn welcomed_by(&self, datagram: &Datagram<'_>) -> Option<(Duration, Mark)> {
        datagram.frames().find_map(|frame| {
            let Frame::Ordered { id: 0, payload } = frame else { return None };
            match decode_message(payload) {
                Ok(ServerMessage::Welcome(Welcome {
                    nonce, heartbeat_ms, epoch, latest, ..
                })) if nonce == self.nonce => {
                    let heartbeat = Duration::from_millis(u64::from(heartbeat_ms));
                    let latest = Mark { epoch, position: latest };
                    Some((heartbeat.max(MIN_HEARTBEAT), latest))
                }
                _ => None,
            }
        })
    }

    /// Whether the attempt has a deadline.
    pub(super) fn keeps_somebody_waiting(&self) -> bool {
        self.join_timeout.is_none()
    }

    /// Whether the attempt has timed out.
    pub(super) fn is_over(&self, give_up: Duration, now: Timestamp) -> bool {
        self.deadline(give_up) <= now
    }

    /// Draws a new nonce at intervals, because the server may have ended the session of this join
    /// before its `Welcome` arrived; and when a server does not answer, before another one is
    /// asked.
    pub(super) fn renew(&mut self, rng: &mut ChaCha20Rng, now: Timestamp) {
        let (old, silent) = (self.renew_at <= now, self.answer_by.is_some_and(|at| at <= now));
        if self.first || !(old || silent) {
            return;
        }
        if old {
            (self.renew_at, self.fresh) = (now + LOOKUP_INTERVAL, true);
        }
        self.nonce = rng.next_u64().max(1);
        (self.cookie, self.hurried, self.answer_by) = (None, false, None);
    }

    /// Whether to look up the server's addresses again, since it may have moved. The interval
    /// grows, because a search is a broadcast.
    pub(super) fn looks_up(&mut self, now: Timestamp) -> bool {
        let (at, pause) = self.look_up;
        let due = !self.first && at <= now;
        if due {
            let pause = (2 * pause).min(LOOKUP_PAUSE_MAX);
            self.look_up = (now + pause, pause);
        }
        due
    }

    /// Time of the next look-up.
    pub(super) fn next_look_up(&self) -> Option<Timestamp> {
        (!self.first).then_some(self.look_up.0)
    }

    /// The next timeout.
    pub(super) fn timeout(&self, give_up: Duration) -> Timestamp {
        self.due().min(self.deadline(give_up))
    }

    fn due(&self) -> Timestamp {
        self.send_at.max(self.not_before)
    }

    /// Holds attempts back until `until` or [`Self::release`].
    pub(super) fn hold(&mut self, until: Timestamp) {
        (self.turn, self.send_at) = (0, until);
    }

    /// Ends a hold.
    pub(super) fn release(&mut self, now: Timestamp) {
        if self.turn == 0 {
            self.send_at = self.send_at.min(now);
        }
    }

    /// Restarts with the first address, since the addresses changed.
    pub(super) fn try_anew(&mut self, targets: &Targets, now: Timestamp) {
        (self.turn, self.tries, self.send_at) = (0, 0, now);
        self.cookie = self.cookie.filter(|(_, from, _)| targets.contains(from));
        self.obstacles = Obstacles::default();
    }

    /// Whether a connection attempt is due.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.due() <= now
    }

    /// Whether connections of the last round are pending as the next begins.
    pub(super) fn has_stale_connections(&self, targets: &Targets) -> bool {
        !self.connecting.is_empty() && self.ends_round(targets)
    }

    /// The address to connect to next, beside pending attempts (RFC 8305 §5).
    pub(super) fn connect(&mut self, targets: &Targets, now: Timestamp) -> Option<SocketAddr> {
        if self.ends_round(targets) {
            self.connecting.clear();
        }
        // A program that waits long may have a long path, on which each new connection is in vain.
        let timeout = self.join_timeout.map_or(CONNECT_TIMEOUT, |all| all / 4);
        let address = self.next_address(targets, timeout.max(self.pause()), now)?;
        self.connecting.push(address);
        Some(address)
    }

    /// The connection is established: the server has some time to answer. The new nonce is needed
    /// because the server closes a connection with an admitted one, and a broken connection may
    /// have used the last.
    pub(super) fn connected(&mut self, rng: &mut ChaCha20Rng, others: bool, now: Timestamp) {
        self.nonce = rng.next_u64().max(1);
        self.connecting.clear();
        let usual = if self.first { JOIN_DEADLINE } else { JOIN_TIMEOUT };
        let join_timeout = self.join_timeout.unwrap_or(usual);
        self.send_at = now + if others { join_timeout.min(STREAM_ANSWER) } else { join_timeout };
    }

    /// The connection failed: the next address is tried at once, the first one after a pause.
    pub(super) fn failed(&mut self, targets: &Targets, now: Timestamp) {
        self.connecting.clear();
        let pause = if self.ends_round(targets) { self.pause() } else { Duration::ZERO };
        self.send_at = now + pause;
    }

    /// Takes an obstacle for an address: the next one is tried at once.
    pub(super) fn obstructed(
        &mut self,
        address: SocketAddr,
        obstacle: Obstacle,
        targets: &Targets,
        now: Timestamp,
    ) {
        if !targets.contains(&address) {
            return;
        }
        let connecting = self.connecting.len();
        self.connecting.retain(|it| *it != address);
        let failed = self.connecting.len() < connecting;
        let news = self.obstacles.note(address, obstacle);
        if self.cookie.is_some() || !(failed || news) {
            return;
        }
        if !self.ends_round(targets) {
            self.send_at = now;
        } else if failed && self.connecting.is_empty() {
            self.send_at = now + self.pause();
        }
    }

    /// Whether a round is complete.
    fn ends_round(&self, targets: &Targets) -> bool {
        self.turn.is_multiple_of(targets.len().max(1))
    }

    /// The next address. The one after it follows soon, the first one after `pause`.
    fn next_address(
        &mut self,
        targets: &Targets,
        pause: Duration,
        now: Timestamp,
    ) -> Option<SocketAddr> {
        let address = targets.get(self.turn % targets.len().max(1)).copied();
        self.turn += 1;
        self.hurried &= !targets.has_others();
        if address.is_some_and(|it| targets.is_listed(it)) {
            self.not_before = now + LISTED_PAUSE;
        }
        if self.ends_round(targets) {
            self.tries += 1;
            self.send_at = now + pause;
        } else {
            self.send_at = now + STAGGER;
        }
        address
    }

    /// Writes the join that is due, if one is; returns its destination. Nonce and cookie of `join`
    /// are those of the attempt.
    pub(super) fn poll_transmit(
        &mut self,
        buffer: &mut Vec<u8>,
        join: Join<'_>,
        targets: &Targets,
        now: Now,
    ) -> Option<SocketAddr> {
        if !self.is_due(now.mono) {
            return None;
        }
        let cookie_life = COOKIE_LIFE.max(4 * self.slow_pause().unwrap_or_default());
        self.cookie = self.cookie.filter(|(.., at)| *at + cookie_life > now.mono);
        // A server may listen on one of its name's addresses only.
        let to = match self.cookie {
            Some((_, from, _)) => {
                self.send_at = now.mono + self.pause();
                self.tries += 1;
                self.ask(from);
                from
            }
            None => self.next_address(targets, self.pause(), now.mono)?,
        };
        let cookie = self.cookie.as_ref().map_or(&[][..], |(cookie, ..)| &cookie[..]);
        let mut writer = DatagramWriter::new(buffer);
        writer.push(&Frame::Join(Join { nonce: self.nonce, cookie, ..join }));
        writer.pad_to(JOIN_SIZE);
        writer.finish(&Header { timestamp: now.mono.low_bits(), ..Header::default() });
        Some(to)
    }

    /// Notes a server that can admit this client from now on.
    pub(super) fn ask(&mut self, server: SocketAddr) {
        if !self.asked.contains(&server) {
            self.asked.push(server);
        }
    }

    fn pause(&self) -> Duration {
        let pause = JOIN_RETRY * (1 << self.tries.min(8));
        if self.first || self.restart.is_some() {
            return self.slow_pause().unwrap_or(pause.min(JOIN_RETRY_MAX));
        }
        let pause = pause.min(REJOIN_PAUSE_MAX);
        pause - pause / 2 * u32::from(self.early) / (1 << 16)
    }

    /// The pause between joins of a caller that waits long: it expects a slow path, which more
    /// joins would fill.
    fn slow_pause(&self) -> Option<Duration> {
        self.join_timeout.map(|timeout| timeout / 32).filter(|pause| *pause > JOIN_RETRY_MAX)
    }

    fn deadline(&self, give_up: Duration) -> Timestamp {
        if self.first {
            let usual = if self.answered { JOIN_DEADLINE } else { JOIN_TIMEOUT };
            return self.since + self.join_timeout.unwrap_or(usual);
        }
        let restarted = self.restart.map(|at| at + RESTART_WAIT);
        restarted.into_iter().fold(self.since + give_up, Timestamp::min)
    }
}

impl Config {
    /// A request to join, without nonce and cookie.
    pub(super) fn join<'a>(&'a self, resume: Option<&'a Token>, seen: Mark, next: u16) -> Join<'a> {
        Join {
            nickname: &self.nickname,
            delivery: self.delivery,
            resume: resume.map_or(&[], |token| &token[..]),
            epoch: seen.epoch,
            seen: seen.position,
            next,
            ..Join::default()
        }
    }
}
