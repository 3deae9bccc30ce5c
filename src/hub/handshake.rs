//! Joining: a three-way handshake in which the server remembers nothing, and sends nothing larger
//! than it received, before the address has answered (`proto.md` §7.2).
//!
//! ```text
//! client                      server
//! Join (512 bytes) ─────────►          nothing kept
//!        ◄───────────────── Challenge  the cookie holds all the server needs to know
//! Join + cookie ────────────►          address proven: name checked, session made
//!        ◄─────────────────── Welcome  first message of the session, reliable
//! ```

use super::accounts::Payer;
use super::allowance::Allowance;
use super::lifecycle::State;
use super::peer::Peer;
use super::peers::Standing;
use super::{Config, Event, Hub, StreamId};
use crate::bucket::Limit;
use crate::link::{Channel, Link, Role};
use crate::path::Path;
use crate::protocol::limits::{
    HEARTBEAT_SHARE, JOIN_SIZE, MAX_HEARTBEAT, MAX_RAW_NAME, base_datagram, give_up,
};
use crate::protocol::{
    Batch, Datagram, Frame, Invariant, Join, Mark, Nickname, Refusal, ServerMessage, Token,
    Transport, VERSION, Welcome, clip, encode_message,
};
use crate::registry::{PeerId, Unavailable};
use crate::room::Replay;
use crate::time::{Now, micros};
use rand_chacha::rand_core::Rng;
use std::time::Duration;

/// A refusal that follows another one sooner is counted, but causes no event.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// The transport of a join.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entrance {
    Datagrams,
    Stream(StreamId),
    Quic(StreamId),
    Web(StreamId),
}

impl Entrance {
    pub(super) fn transport(self) -> Transport {
        match self {
            Self::Datagrams => Transport::Udp,
            Self::Stream(_) => Transport::Tcp,
            Self::Quic(_) => Transport::Quic,
            Self::Web(_) => Transport::Web,
        }
    }

    pub(super) fn stream(self) -> Option<StreamId> {
        match self {
            Self::Datagrams => None,
            Self::Stream(id) | Self::Quic(id) | Self::Web(id) => Some(id),
        }
    }
}

/// Whether the room knows the peer of a join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    New,
    /// It was active until this join, and the others are told nothing.
    Present,
}

/// Where a join came from, and when.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin {
    pub(super) path: Path,
    pub(super) entrance: Entrance,
    pub(super) now: Now,
}

/// Why a join is refused.
#[derive(Debug)]
pub(super) struct Denial {
    pub(super) reason: Refusal,
    pub(super) detail: String,
}

impl Config {
    /// The heartbeat interval of a newcomer to a room of this size. It grows with the room, as the
    /// report interval of RTP does (RFC 3550 §6.2). Half of the expiry leaves time to ask again.
    fn heartbeat_among(&self, peers: u16) -> Duration {
        let longest = MAX_HEARTBEAT.min(self.capacity.expiry / 2);
        self.heartbeat.max(longest.min(HEARTBEAT_SHARE * u32::from(peers)))
    }
}

impl Hub {
    /// Takes in a datagram of session zero.
    pub(super) fn handle_handshake(
        &mut self,
        path: Path,
        datagram: &Datagram<'_>,
        bytes: usize,
        now: Now,
    ) {
        let join = match datagram.frames().next() {
            Some(Frame::Join(join)) if bytes >= JOIN_SIZE && join.nonce != 0 => join,
            _ => {
                self.counters.wire.malformed += 1;
                return;
            }
        };
        let floor = self.nonces.floor();
        if !self.cookies.accepts(join.cookie, &path, join.nonce, floor, now.mono) {
            return self.challenge(path, join.nonce, now);
        }
        if self.nonces.is_echo(join.nonce, now.mono) {
            self.follow_echo(&join, path);
        } else {
            self.admit(&join, Origin { path, entrance: Entrance::Datagrams, now });
        }
    }

    /// Asks a client for its next `Join`.
    pub(super) fn challenge(&mut self, path: Path, nonce: u64, now: Now) {
        let cookie = self.cookies.issue(&path, nonce, now.mono);
        self.counters.challenges += 1;
        self.answer(path, 0, &Frame::Challenge { nonce, cookie }, now);
    }

    /// Tells a client of another version which version this is, in a frame that both share.
    pub(super) fn refuse_version(
        &mut self,
        path: Path,
        invariant: &Invariant,
        bytes: usize,
        now: Now,
    ) {
        if invariant.from_server || bytes < JOIN_SIZE {
            return;
        }
        let detail = format!("this server speaks version {VERSION}, not {}", invariant.version);
        let origin = Origin { path, entrance: Entrance::Datagrams, now };
        self.refuse(origin, 0, &Denial { reason: Refusal::Version, detail });
    }

    /// This very join was admitted before. Its `Welcome` is under way, and the link retransmits it,
    /// also to another address that the client has by now; or its session is gone already. Once the
    /// client has sent anything in its session, a join does not move it: that may be a copy of the
    /// join from where the client was before.
    fn follow_echo(&mut self, join: &Join<'_>, path: Path) {
        if let Some(id) = self.nonces.peer(join.nonce)
            && let Some(peer) = self.peers.get(id)
            && peer.stream.is_none()
            && peer.link.stats().received == 0
            && peer.path != path
        {
            self.relocate(id, path);
        }
    }

    /// Admits a client whose address has answered, or tells it why not.
    pub(super) fn admit(&mut self, join: &Join<'_>, origin: Origin) {
        let engine = self.engine.as_deref_mut();
        if engine.is_some_and(|engine| engine.is_claimed(join.nonce, origin)) {
            return;
        }
        if let Err(denial) = self.try_admit(join, origin) {
            self.refuse(origin, join.nonce, &denial);
        }
    }

    fn try_admit(&mut self, join: &Join<'_>, origin: Origin) -> Result<(), Denial> {
        let Origin { path, now, .. } = origin;
        if self.shutting_down {
            return Err(Denial::shutting_down());
        }
        let payer = Payer::at(path.remote.ip());
        if let Some(left) = self.accounts.exhausted(payer, now.mono) {
            return Err(Denial::wait("too many joined from your address", left));
        }
        let nickname = Nickname::parse(bounded(join.nickname))
            .map_err(|error| Denial::new(Refusal::NameNotAllowed, &error.to_string()))?;
        let mut token: Token = [0; 16];
        self.rng.fill_bytes(&mut token);
        let owner = self.registry.owner(&nickname.key(), join.resume);
        let owner = owner.filter(|_| !self.is_behind(join.seen()));
        if let Some(id) = owner {
            if !self.registry.renew(id, path, now.mono) {
                return Err(Denial::crowded());
            }
            self.room.renumber(id, join.next);
            self.accounts.join(payer, now.mono);
            self.take_over(id, join, origin);
            self.welcome(id, join, Member::Present);
            self.tell_move(id, path);
            return Ok(());
        }
        self.lets_in(&nickname, join.resume, path.remote.ip(), now.mono)?;
        let owner = Payer::owner(join.resume);
        let barred = [Some(payer), owner].into_iter().flatten();
        if let Some(left) = barred.filter_map(|it| self.accounts.barred(it, now.mono)).max() {
            return Err(Denial::wait("too much was said from your address", left));
        }
        if self.engine.is_some() {
            return self.claim(join, nickname, token, origin);
        }
        let id = self
            .registry
            .insert(nickname.clone(), token, path, join.resume, now.mono)
            .map_err(|why| Denial::unavailable(why, &nickname))?;
        self.accounts.join(payer, now.mono);
        self.enter(id, join, origin);
        self.welcome(id, join, Member::New);
        let (nickname, peers) = (nickname.to_string(), self.room.len());
        let transport = origin.entrance.transport();
        self.events.push_back(Event::Joined { nickname, path, transport, peers });
        Ok(())
    }

    /// A peer with a new session, on the account of its address and of the owner of its name.
    pub(super) fn new_peer(&mut self, id: PeerId, join: &Join<'_>, origin: Origin) -> Peer {
        let Origin { path, entrance, now } = origin;
        let (link, stream) = match entrance.stream() {
            None => {
                let mut link = Link::new(self.new_session(), Role::Server, 1, now.mono);
                link.set_path(base_datagram(path.remote.is_ipv6()), now.mono);
                link.set_copies(self.copies);
                link.set_give_up(give_up(self.config.capacity.expiry));
                (Channel::Datagrams(link.into()), None)
            }
            Some(stream) => {
                let link = self.open_stream_link(stream, id, origin);
                (Channel::Stream(link.into()), Some(stream))
            }
        };
        let payers =
            [Some(Payer::at(path.remote.ip())), Payer::owner(join.resume)].into_iter().flatten();
        let full = self.accounts.full(payers);
        let mut peer = Peer {
            id,
            state: State::Active,
            link,
            stream,
            path,
            delivery: join.delivery,
            nonce: join.nonce,
            taken: self.outgoing.fanout.next(),
            allowance: Allowance::new(self.config.limit, full, now.mono),
            too_slow: false,
            watch: None,
            standing: Standing::default(),
        };
        if self.observer.is_some() {
            peer.set_watched(true);
        }
        peer
    }

    /// A session id that is unused and hard to guess (RFC 6056).
    pub(super) fn new_session(&mut self) -> u64 {
        loop {
            let session = self.rng.next_u64();
            if session != 0 && !self.peers.has_session(session) {
                return session;
            }
        }
    }

    pub(super) fn welcome(&mut self, id: PeerId, join: &Join<'_>, member: Member) {
        let Replay { lines, complete } = self.room.replay(join.seen());
        let Some(entry) = self.registry.entry(id) else { return };
        let (nickname, token, owner) = (entry.nickname.as_str(), entry.token, entry.owner);
        let Mark { epoch, position: latest } = self.room.latest();
        let own_lines = self.room.taken(owner, join.seen());
        let heartbeat = self.config.heartbeat_among(self.room.count());
        let message = ServerMessage::Welcome(Welcome {
            nonce: join.nonce,
            peer: id.number(),
            token,
            nickname,
            room: &self.config.room,
            heartbeat_ms: millis(heartbeat),
            expiry_ms: millis(self.config.capacity.expiry),
            burst: self.config.limit.map_or(0, Limit::burst),
            rate: self.config.limit.map_or(0, Limit::rate),
            peers: self.room.count_for(id),
            replay: u16::try_from(lines.len()).unwrap_or(u16::MAX),
            complete,
            epoch,
            latest,
            newest: own_lines.newest,
            taken: own_lines.bytes(),
            sure: own_lines.sure,
        });
        if let Some(mut peer) = self.peers.get_mut(id)
            && let Some(message) = Batch::of(&encode_message(&message))
        {
            if let Some(stream) = peer.link.as_stream() {
                stream.set_heartbeat(heartbeat);
            }
            peer.link.send_regardless(message);
        }
        if member == Member::New {
            self.room.join(id, nickname, owner, join.next);
        }
        self.room.brief(id, &lines);
    }

    pub(super) fn refuse(&mut self, origin: Origin, nonce: u64, denial: &Denial) {
        let Origin { path, entrance, now } = origin;
        let Denial { reason, detail } = denial;
        self.counters.note_refusal(*reason);
        let frame = Frame::Refused { nonce, reason: *reason, detail };
        match entrance.stream() {
            None => self.answer(path, 0, &frame, now),
            Some(stream) => self.hang_up(stream, Some(&frame)),
        }
        if self.refusal_told.is_none_or(|at| at + REFUSAL_PAUSE <= now.mono) {
            self.refusal_told = Some(now.mono);
            self.events.push_back(Event::Refused { path, detail: detail.clone() });
        }
    }
}

impl Denial {
    pub(super) fn new(reason: Refusal, detail: &str) -> Self {
        Self { reason, detail: detail.to_owned() }
    }

    pub(super) fn shutting_down() -> Self {
        Self::new(Refusal::ShuttingDown, "the server is closing")
    }

    /// The address may come back later.
    fn wait(why: &str, left: Duration) -> Self {
        let detail = format!("{why}: try again in {} s", left.as_secs() + 1);
        Self { reason: Refusal::TooManyFromAddress, detail }
    }

    fn crowded() -> Self {
        Self::new(Refusal::TooManyFromAddress, "too many are here from your address already")
    }

    /// The registry has no place for this nickname.
    pub(super) fn unavailable(why: Unavailable, nickname: &Nickname) -> Self {
        let detail = match why {
            Unavailable::NameTaken => format!(
                "the nickname {nickname}, or one that looks like it, is in use: choose another"
            ),
            Unavailable::NameHeld(left) => format!(
                "the nickname {nickname} is held for {} s more for its last owner: wait, or choose \
                 another",
                left.as_secs() + 1
            ),
            Unavailable::Full => {
                let detail = "the room is full: try again later";
                return Self::new(Refusal::RoomFull, detail);
            }
            Unavailable::TooManyFromAddress => return Self::crowded(),
        };
        Self { reason: Refusal::NameTaken, detail }
    }
}

/// Bounds the work on a long name. The rest is still too long, and refused.
pub(super) fn bounded(raw: &str) -> &str {
    clip(raw, MAX_RAW_NAME)
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(micros(duration) / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::{BASE_DATAGRAM, MAX_NAME, ROOM_SIZE};
    use crate::protocol::{DatagramWriter, Delivery};
    use crate::registry::Capacity;

    #[test]
    fn the_longest_join_and_welcome_fit_into_a_base_datagram() {
        let most = u64::MAX;
        let name = "n".repeat(MAX_NAME);
        let welcome = encode_message(&ServerMessage::Welcome(Welcome {
            nonce: most,
            peer: u16::MAX,
            token: [0; 16],
            nickname: &name,
            room: &"r".repeat(ROOM_SIZE),
            heartbeat_ms: u32::MAX,
            expiry_ms: u32::MAX,
            burst: u16::MAX,
            rate: u16::MAX,
            peers: u16::MAX,
            replay: u16::MAX,
            complete: true,
            epoch: most,
            latest: most,
            newest: u16::MAX,
            taken: &[u8::MAX; 32],
            sure: true,
        }));
        let join = Frame::Join(Join {
            nonce: most,
            cookie: &[0; 20],
            nickname: &"n".repeat(MAX_RAW_NAME),
            delivery: Delivery::ReliableOrdered,
            resume: &[0; 16],
            epoch: most,
            seen: most,
            next: u16::MAX,
        });
        for frame in [join, Frame::Ordered { id: 0, payload: &welcome }] {
            let mut bytes = Vec::new();
            assert!(DatagramWriter::limited(&mut bytes, BASE_DATAGRAM).push(&frame), "{frame:?}");
        }
    }

    #[test]
    fn heartbeats_are_rarer_in_a_crowd_and_a_single_loss_never_expires_a_peer() {
        let often = |heartbeat, expiry, peers| {
            let seconds = Duration::from_secs;
            let capacity = Capacity { peers: 20_000, peers_per_ip: 1, expiry: seconds(expiry) };
            let (room, replay, limit, discovery) = (String::new(), 10, None, None);
            let heartbeat = seconds(heartbeat);
            let config = Config { room, heartbeat, capacity, replay, limit, discovery };
            config.heartbeat_among(peers).as_millis()
        };
        assert_eq!(often(2, 10, 1), 2_000);
        assert_eq!(often(2, 10, 1_000), 2_000);
        assert_eq!(often(2, 10, 1_500), 3_000);
        assert_eq!(often(2, 10, u16::MAX), 5_000);
        assert_eq!(often(2, 6, u16::MAX), 3_000);
        assert_eq!(often(2, 60, u16::MAX), 5_000);
        assert_eq!(often(15, 60, u16::MAX), 15_000);
    }
}
