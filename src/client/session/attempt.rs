//! Joining: the client's side of the three-way handshake, repeated until somebody answers.

use super::Config;
use super::obstacle::{Obstacle, Obstacles};
use crate::protocol::limits::{
    COOKIE_LIFE, JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE, JOIN_TIMEOUT, RESTART_WAIT, STAGGER,
};
use crate::protocol::{
    Cookie, Datagram, DatagramWriter, Frame, Header, Mark, Refusal, ServerMessage, decode_message,
};
use crate::time::{Now, Timestamp};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use std::net::SocketAddr;
use std::time::Duration;

/// No server can make a client send more often than this.
pub(super) const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

/// TCP connections that are not there this long after the last of them was begun are begun anew.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Where there are other addresses, a server that took a connection has this long to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

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
    /// The server said that it restarts.
    restart: bool,
    /// Addresses tried so far: whose turn it is.
    turn: usize,
    /// Rounds through all addresses, or joins with the cookie.
    tries: u32,
    /// Where a TCP connection is being made.
    connecting: Vec<SocketAddr>,
    pub(super) obstacles: Obstacles,
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
            restart: false,
            turn: 0,
            tries: 0,
            connecting: Vec::new(),
            obstacles: Obstacles::default(),
            send_at: now,
            resolve_at: now + JOIN_TIMEOUT,
            last_refusal: String::new(),
        }
    }

    /// The server restarts: it is not asked at once, and not waited for longer than it should need. How
    /// long that is.
    pub(super) fn await_restart(&mut self, give_up: Duration, now: Timestamp) -> Duration {
        self.restart = true;
        self.send_at = now + JOIN_RETRY;
        give_up.min(RESTART_WAIT)
    }

    /// Whether the server said before that it would refuse for this reason.
    pub(super) fn expects(&self, reason: Refusal) -> bool {
        self.restart && reason == Refusal::ShuttingDown
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

    /// Whether somebody waits for it to end.
    pub(super) fn keeps_somebody_waiting(&self) -> bool {
        self.patience <= JOIN_TIMEOUT
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
        self.send_at <= now
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
        let address = self.next_address(addresses, CONNECT_TIMEOUT, now)?;
        self.connecting.push(address);
        Some(address)
    }

    /// The connection is there: the server has some time to answer. It hangs up on a nonce that it has
    /// let in, and a connection that broke may have brought it the last one.
    pub(super) fn connected(&mut self, rng: &mut ChaCha20Rng, others: bool, now: Timestamp) {
        self.nonce = rng.next_u64();
        self.connecting.clear();
        let patience = if others { self.patience.min(ANSWER_TIMEOUT) } else { self.patience };
        self.send_at = now + patience;
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
        if self.send_at > now.mono {
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
        (JOIN_RETRY * (1 << self.tries.min(8))).min(JOIN_RETRY_MAX)
    }

    fn deadline(&self, give_up: Duration) -> Timestamp {
        self.since
            + match (self.first, self.restart) {
                (true, _) => self.patience,
                (false, true) => give_up.min(RESTART_WAIT),
                (false, false) => give_up,
            }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::obstacle::Kind;
    use super::super::{CloseReason, Event, Session, Transport};
    use super::*;
    use crate::protocol::{Delivery, Flags};
    use crate::time::WallTime;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn a_server_that_restarts_is_waited_for_for_a_minute_or_less() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3_600));
        let begun = Timestamp::ZERO;
        for (give_up, wait) in [(hour, RESTART_WAIT), (second, second)] {
            let mut attempt = Attempt::again(&mut ChaCha20Rng::from_seed([1; 32]), begun);
            assert!(!attempt.expects(Refusal::ShuttingDown));
            assert_eq!(attempt.await_restart(give_up, begun), wait);
            assert!(attempt.expects(Refusal::ShuttingDown) && !attempt.expects(Refusal::RoomFull));
            assert!(!attempt.is_over(give_up, begun + wait - second / 10));
            assert!(attempt.is_over(give_up, begun + wait));
        }
    }

    const SERVER: [([u8; 4], u16); 3] =
        [([10, 0, 0, 1], 2428), ([10, 0, 0, 2], 2428), ([10, 0, 0, 3], 2428)];

    fn at(ms: u64) -> Now {
        Now { mono: Timestamp::from_micros(ms * 1_000), wall: WallTime(ms * 1_000) }
    }

    fn session(transport: Transport, servers: usize) -> Session {
        let config = Config {
            nickname: "alice".to_owned(),
            transport,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::from_secs(600),
            shown: Vec::new(),
        };
        let addresses = SERVER[..servers].iter().map(|it| (*it).into()).collect();
        Session::new(config, addresses, [1; 32], at(0))
    }

    /// Which server gets a join, or a connection, at which millisecond.
    fn tries(session: &mut Session, until: u64) -> Vec<(u64, usize)> {
        let mut tries = Vec::new();
        let mut now = 0;
        while now < until {
            session.handle_timeout(at(now));
            let mut buffer = Vec::new();
            let joins: Vec<_> =
                std::iter::from_fn(|| session.poll_transmit(&mut buffer, at(now))).collect();
            let connects = std::iter::from_fn(|| session.poll_event()).filter_map(|event| {
                let Event::Connect(to) = event else { return None };
                Some(to)
            });
            for to in joins.into_iter().chain(connects) {
                let index = SERVER.iter().position(|it| to == SocketAddr::from(*it)).unwrap();
                tries.push((now, index));
            }
            let Some(next) = session.poll_timeout() else { break };
            now = crate::time::micros(next.since(at(0).mono)).div_ceil(1_000).max(now + 1);
        }
        tries
    }

    fn hint(kind: Kind) -> Obstacle {
        Obstacle { kind, local: false }
    }

    #[test]
    fn the_addresses_are_tried_one_after_the_other_and_then_again() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let tried = tries(&mut session(transport, 3), 700);
            assert_eq!(tried, [(0, 0), (250, 1), (500, 2)], "{transport:?}");
        }
        let tried = tries(&mut session(Transport::Udp, 3), 2_000);
        assert_eq!(tried[3..], [(750, 0), (1_000, 1), (1_250, 2), (1_750, 0)]);
        let tried = tries(&mut session(Transport::Udp, 1), 4_000);
        assert_eq!(tried, [(0, 0), (250, 0), (750, 0), (1_750, 0), (3_750, 0)]);
        // Connections take as long as the kernel takes to repeat a lost SYN.
        let tried = tries(&mut session(Transport::Tcp, 2), 3_000);
        assert_eq!(tried, [(0, 0), (250, 1), (2_250, 0), (2_500, 1)]);
    }

    #[test]
    fn an_address_with_an_obstacle_costs_no_time() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut session = session(transport, 3);
            assert_eq!(tries(&mut session, 1), [(0, 0)]);
            session.handle_obstacle(SERVER[0].into(), hint(Kind::Refused), at(10));
            session.handle_timeout(at(10));
            let mut buffer = Vec::new();
            let next = match transport {
                Transport::Udp => session.poll_transmit(&mut buffer, at(10)),
                Transport::Tcp => match session.poll_event() {
                    Some(Event::Connect(to)) => Some(to),
                    _ => None,
                },
            };
            assert_eq!(next, Some(SERVER[1].into()), "{transport:?}");
            // Said again, it is no news, and nobody can hurry a client by it.
            session.handle_obstacle(SERVER[0].into(), hint(Kind::Refused), at(11));
            assert_eq!(session.poll_transmit(&mut buffer, at(11)), None);
        }
    }

    #[test]
    fn a_first_join_ends_at_once_only_where_this_machine_can_send_to_no_address() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut session = session(transport, 2);
            let local = Obstacle { kind: Kind::Unreachable, local: true };
            session.handle_obstacle(SERVER[0].into(), local, at(0));
            session.handle_obstacle(SERVER[1].into(), hint(Kind::Unreachable), at(0));
            assert!(!session.is_closed());
            let told = std::iter::from_fn(|| session.poll_event()).collect::<Vec<_>>();
            assert!(matches!(&told[..], [Event::Status { text }] if text.contains("unreachable")));
            session.handle_obstacle(SERVER[1].into(), local, at(1));
            let told: Vec<_> = std::iter::from_fn(|| session.poll_event()).collect();
            let [Event::Error { message }, Event::Closed { reason }] = &told[..] else {
                panic!("{told:?}")
            };
            assert!(message.contains("no route"), "{message}");
            assert_eq!(*reason, CloseReason::Unreachable);
        }
    }

    #[test]
    fn the_first_address_that_answers_is_joined() {
        let mut session = session(Transport::Udp, 3);
        let mut buffer = Vec::new();
        assert_eq!(session.poll_transmit(&mut buffer, at(0)), Some(SERVER[0].into()));
        let nonce = session.attempt.as_ref().unwrap().nonce;
        assert_eq!(session.poll_transmit(&mut buffer, at(250)), Some(SERVER[1].into()));
        for (ms, server, cookie) in [(260, 1, [1; 20]), (261, 0, [2; 20])] {
            let mut bytes = Vec::new();
            let mut writer = DatagramWriter::new(&mut bytes);
            writer.push(&Frame::Challenge { nonce, cookie });
            writer.finish(&Header { flags: Flags::FROM_SERVER, ..Header::default() });
            session.handle_datagram(SERVER[server].into(), &bytes, at(ms));
            let to = session.poll_transmit(&mut buffer, at(ms));
            assert_eq!(to, (server == 1).then_some(SERVER[1].into()));
        }
        assert_eq!(session.poll_transmit(&mut buffer, at(510)), Some(SERVER[1].into()));
    }

    #[test]
    fn a_room_that_was_found_is_looked_for_before_its_old_address_is_tried() {
        for elsewhere in [0, 1] {
            let mut session = session(Transport::Udp, 1);
            session.look_first();
            session.attempt = None;
            session.begin_attempt(at(0));
            assert_eq!(session.poll_event(), Some(Event::Resolve));
            let mut buffer = Vec::new();
            assert_eq!(session.poll_transmit(&mut buffer, at(1_000)), None);
            session.set_addresses(vec![SERVER[elsewhere].into()], at(1_000));
            let to = session.poll_transmit(&mut buffer, at(1_000));
            assert_eq!(to, Some(SERVER[elsewhere].into()));
        }
        let mut slow = session(Transport::Udp, 1);
        slow.look_first();
        slow.attempt = None;
        slow.begin_attempt(at(0));
        let to = slow.poll_transmit(&mut Vec::new(), at(3_000));
        assert_eq!(to, Some(SERVER[0].into()));
    }

    #[test]
    fn other_addresses_are_tried_at_once() {
        for transport in [Transport::Udp, Transport::Tcp] {
            let mut session = session(transport, 1);
            assert_eq!(tries(&mut session, 1), [(0, 0)]);
            assert!(!session.set_addresses(vec![SERVER[0].into()], at(10)));
            assert!(session.set_addresses(vec![SERVER[2].into()], at(10)));
            session.handle_timeout(at(10));
            let mut buffer = Vec::new();
            let next = match transport {
                Transport::Udp => session.poll_transmit(&mut buffer, at(10)),
                Transport::Tcp => {
                    assert_eq!(session.poll_event(), Some(Event::Disconnect));
                    match session.poll_event() {
                        Some(Event::Connect(to)) => Some(to),
                        _ => None,
                    }
                }
            };
            assert_eq!(next, Some(SERVER[2].into()), "{transport:?}");
        }
    }

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
