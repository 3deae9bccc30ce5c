//! Getting in: a three-way handshake in which the server remembers nothing, and sends nothing
//! larger than it got, before the address has answered.
//!
//! ```text
//! client                      server
//! Join (512 bytes) ─────────►          nothing kept
//!        ◄───────────────── Challenge  the cookie holds all the server needs to know
//! Join + cookie ────────────►          address proven: name checked, session made
//!        ◄─────────────────── Welcome  first message of the session, reliable
//! ```

use super::accounts::Payer;
use super::timers::Timer;
use super::{Allowance, Config, Event, Hub, Peer, StreamId};
use crate::bucket::Limit;
use crate::link::Channel;
use crate::path::Path;
use crate::protocol::limits::{JOIN_SIZE, MAX_RAW_NAME};
use crate::protocol::{
    Batch, Datagram, Delivery, Frame, Invariant, Mark, Nickname, Refusal, ServerMessage, Token,
    VERSION, encode_message,
};
use crate::registry::{PeerId, Unavailable, same};
use crate::room::Replay;
use crate::time::{Now, micros};
use rand_chacha::rand_core::Rng;
use std::time::Duration;

/// Refusals that follow the last one told sooner than this are counted and not told.
const REFUSAL_PAUSE: Duration = Duration::from_millis(100);

/// So much rarer is each one's heartbeat for each who is here: what they are together does not grow with the room.
const HEARTBEAT_SHARE: Duration = Duration::from_millis(2);
/// But no rarer than that.
const LONGEST_HEARTBEAT: Duration = Duration::from_secs(5);

/// The fields of a `Join` frame.
#[derive(Clone, Copy)]
pub(super) struct Join<'a> {
    pub(super) nonce: u64,
    cookie: &'a [u8],
    nickname: &'a str,
    delivery: Delivery,
    resume: &'a [u8],
    seen: Mark,
    next: u16,
}

impl<'a> Join<'a> {
    pub(super) fn read(frame: &Frame<'a>) -> Option<Self> {
        match *frame {
            Frame::Join { nonce, cookie, nickname, delivery, resume, epoch, seen, next } => {
                let seen = Mark { epoch, position: seen };
                Some(Self { nonce, cookie, nickname, delivery, resume, seen, next })
            }
            _ => None,
        }
    }
}

/// The door somebody comes in by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entrance {
    Datagrams,
    Stream(StreamId),
}

impl Config {
    /// How often a newcomer is to show a sign of life when so many are here, as participants of RTP report more rarely
    /// the more they are (RFC 3550 §6.2). Half of the expiry leaves time to ask again.
    fn heartbeat_among(&self, peers: u16) -> Duration {
        let longest = LONGEST_HEARTBEAT.min(self.capacity.expiry / 2);
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
        let join = datagram.frames().next().and_then(|frame| Join::read(&frame));
        let Some(join) = join.filter(|_| bytes >= JOIN_SIZE) else {
            self.counters.malformed += 1;
            return;
        };
        let floor = self.nonces.floor();
        if !self.cookies.accepts(join.cookie, &path, join.nonce, floor, now.mono) {
            let cookie = self.cookies.issue(&path, join.nonce, now.mono);
            self.counters.challenges += 1;
            self.send_stateless(path, 0, &Frame::Challenge { nonce: join.nonce, cookie }, now);
            return;
        }
        if !self.nonces.is_echo(join.nonce, now.mono) {
            self.admit(&join, path, Entrance::Datagrams, now);
        } else {
            self.follow_echo(&join, path);
        }
    }

    /// A join of another version is told which version this is, in a datagram that both share.
    pub(super) fn refuse_version(
        &mut self,
        path: Path,
        version: u8,
        invariant: &Invariant,
        bytes: usize,
        now: Now,
    ) {
        if invariant.from_server || bytes < JOIN_SIZE {
            return;
        }
        let detail = format!("this server speaks version {VERSION}, not {version}");
        self.refuse(path, Entrance::Datagrams, 0, Refusal::Version, &detail, now);
    }

    /// This very join was let in before. Its `Welcome` is under way, and the link sees to it that it
    /// arrives, also at another address that the client has by now; or its session is over already.
    /// Once the client has said anything in its session, joins do not move it: that may be a copy of
    /// the one from where it was before.
    fn follow_echo(&mut self, join: &Join<'_>, path: Path) {
        if let Some(id) = self.nonces.peer(join.nonce)
            && self.is_on_datagrams(id)
            && self.peers.get(id).is_some_and(|peer| peer.link.stats().received == 0)
            && self.registry.entry(id).is_some_and(|entry| entry.path != path)
        {
            self.relocate(id, path);
        }
    }

    /// Lets somebody in whose address has answered, or says why not.
    pub(super) fn admit(&mut self, join: &Join<'_>, path: Path, entrance: Entrance, now: Now) {
        let nonce = join.nonce;
        if self.shutting_down {
            let detail = "the server is closing";
            return self.refuse(path, entrance, nonce, Refusal::ShuttingDown, detail, now);
        }
        let payer = Payer::at(path.remote.ip());
        if let Some(left) = self.accounts.exhausted(payer, now.mono) {
            let detail =
                format!("too many joined from your address: try again in {} s", left.as_secs() + 1);
            let reason = Refusal::TooManyFromAddress;
            return self.refuse(path, entrance, nonce, reason, &detail, now);
        }
        let nickname = match Nickname::parse(bounded(join.nickname)) {
            Ok(nickname) => nickname,
            Err(error) => {
                let detail = error.to_string();
                let reason = Refusal::NameNotAllowed;
                return self.refuse(path, entrance, nonce, reason, &detail, now);
            }
        };
        let mut token: Token = [0; 16];
        self.rng.fill_bytes(&mut token);
        let owner = self.registry.named(&nickname.key()).filter(|owner| {
            let entry = self.registry.entry(*owner);
            entry.is_some_and(|entry| same(&entry.token, join.resume))
        });
        if let Some(owner) = owner {
            return self.take_over(owner, join, path, entrance, now);
        }
        let owner = Payer::owner(join.resume);
        let barred = [Some(payer), owner].into_iter().flatten();
        if let Some(left) = barred.filter_map(|it| self.accounts.barred(it, now.mono)).max() {
            let detail = format!(
                "too much was said from your address: try again in {} s",
                left.as_secs() + 1
            );
            let reason = Refusal::TooManyFromAddress;
            return self.refuse(path, entrance, nonce, reason, &detail, now);
        }
        let registered = self.registry.insert(nickname.clone(), token, path, join.resume, now.mono);
        match registered {
            Ok(id) => {
                self.enter(id, join, path, entrance, now);
                self.welcome(id, join, true);
                let nickname = nickname.to_string();
                let peers = self.room.len();
                self.events.push_back(Event::Joined { nickname, path, peers });
            }
            Err(why) => {
                let (reason, detail) = explain(why, &nickname);
                self.refuse(path, entrance, nonce, reason, &detail, now);
            }
        }
    }

    /// The owner of a name is back while its old session still lives: nobody came or went.
    fn take_over(&mut self, id: PeerId, join: &Join<'_>, path: Path, entrance: Entrance, now: Now) {
        if !self.registry.renew(id, path, now.mono) {
            let (reason, detail) = full_address();
            return self.refuse(path, entrance, join.nonce, reason, &detail, now);
        }
        let used = self.peers.get(id).map(|peer| peer.allowance);
        self.end_session(id, now.mono);
        self.room.renumber(id, join.next);
        self.enter(id, join, path, entrance, now);
        if let (Some(peer), Some(used)) = (self.peers.get_mut(id), used) {
            peer.allowance = used;
        }
        self.welcome(id, join, false);
        if let Some(entry) = self.registry.entry(id) {
            let nickname = entry.nickname.to_string();
            self.events.push_back(Event::Moved { nickname, path });
        }
    }

    /// Makes the session.
    fn enter(&mut self, id: PeerId, join: &Join<'_>, path: Path, entrance: Entrance, now: Now) {
        let (link, stream) = match entrance {
            Entrance::Datagrams => {
                (Channel::Datagrams(self.open_datagram_link(path, now.mono).into()), None)
            }
            Entrance::Stream(stream) => {
                let link = self.open_stream_link(stream, id, now.mono);
                (Channel::Stream(link.into()), Some(stream))
            }
        };
        self.counters.joins += 1;
        self.sessions.insert(link.session(), id);
        self.nonces.begin(join.nonce, id);
        let delivery = join.delivery;
        let nonce = join.nonce;
        let payer = Payer::at(path.remote.ip());
        self.accounts.join(payer, now.mono);
        // A new session is no new allowance.
        let full =
            self.accounts.full([Some(payer), Payer::owner(join.resume)].into_iter().flatten());
        let allowance = Allowance::new(self.config.limit, full, now.mono);
        // A peer that takes over may still stand in the queue; then it stands there twice.
        let peer = Peer {
            link,
            stream,
            path,
            timer: Timer::default(),
            delivery,
            nonce,
            taken: self.fanout.next(),
            allowance,
            read: (0, 0),
            closing: None,
            too_slow: false,
            held: false,
            dirty: false,
        };
        self.peers.insert(id, peer);
        self.touch(id);
    }

    fn welcome(&mut self, id: PeerId, join: &Join<'_>, new: bool) {
        let Replay { lines, complete } = self.room.replay(join.seen);
        let Some(entry) = self.registry.entry(id) else { return };
        let (nickname, token, owner) = (entry.nickname.as_str(), entry.token, entry.owner);
        let Mark { epoch, position: latest } = self.room.latest();
        let taken = self.room.taken(owner, join.seen);
        let message = ServerMessage::Welcome {
            nonce: join.nonce,
            peer: id.number(),
            token,
            nickname,
            room: &self.config.room,
            heartbeat_ms: millis(self.config.heartbeat_among(self.room.count())),
            expiry_ms: millis(self.config.capacity.expiry),
            burst: self.config.limit.map_or(0, Limit::burst),
            rate: self.config.limit.map_or(0, Limit::rate),
            peers: self.room.count() + u16::from(new),
            replay: u16::try_from(lines.len()).unwrap_or(u16::MAX),
            complete,
            epoch,
            latest,
            newest: taken.newest,
            taken: taken.bytes(),
            sure: taken.sure,
        };
        if let Some(peer) = self.peers.get_mut(id)
            && let Some(message) = Batch::of(&encode_message(&message))
        {
            peer.link.send_regardless(message);
        }
        if new {
            self.room.join(id, nickname, owner, join.next);
        }
        self.room.brief(id, &lines);
    }

    fn refuse(
        &mut self,
        path: Path,
        entrance: Entrance,
        nonce: u64,
        reason: Refusal,
        detail: &str,
        now: Now,
    ) {
        self.counters.refusals[reason as usize] += 1;
        let frame = Frame::Refused { nonce, reason, detail };
        match entrance {
            Entrance::Datagrams => self.send_stateless(path, 0, &frame, now),
            Entrance::Stream(stream) => self.refuse_stream(stream, &frame),
        }
        if self.refusal_told.is_none_or(|at| at + REFUSAL_PAUSE <= now.mono) {
            self.refusal_told = Some(now.mono);
            self.events.push_back(Event::Refused { path, detail: detail.to_owned() });
        }
    }
}

fn explain(why: Unavailable, nickname: &Nickname) -> (Refusal, String) {
    match why {
        Unavailable::NameTaken => (
            Refusal::NameTaken,
            format!(
                "the nickname {nickname}, or one that looks like it, is in use: choose another"
            ),
        ),
        Unavailable::NameHeld(left) => (
            Refusal::NameTaken,
            format!(
                "the nickname {nickname} is kept for {} s more for who had it and was lost: wait, or \
                 choose another",
                left.as_secs() + 1
            ),
        ),
        Unavailable::Full => {
            (Refusal::RoomFull, "the room is full: try again when somebody has left".to_owned())
        }
        Unavailable::TooManyFromAddress => full_address(),
    }
}

fn full_address() -> (Refusal, String) {
    (Refusal::TooManyFromAddress, "too many are here from your address already".to_owned())
}

/// Names are short; what is not is cut before anything looks at it, and is refused as too long.
fn bounded(raw: &str) -> &str {
    &raw[..raw.floor_char_boundary(MAX_RAW_NAME)]
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(micros(duration) / 1_000).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::DatagramWriter;
    use crate::protocol::limits::{BASE_DATAGRAM, MAX_NAME, ROOM_SIZE};
    use crate::registry::Capacity;

    #[test]
    fn the_longest_join_and_welcome_fit_into_a_datagram_that_every_path_carries() {
        let most = u64::MAX;
        let name = "n".repeat(MAX_NAME);
        let welcome = encode_message(&ServerMessage::Welcome {
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
        });
        let join = Frame::Join {
            nonce: most,
            cookie: &[0; 20],
            nickname: &"n".repeat(MAX_RAW_NAME),
            delivery: Delivery::ReliableOrdered,
            resume: &[0; 16],
            epoch: most,
            seen: most,
            next: u16::MAX,
        };
        for frame in [join, Frame::Ordered { id: 0, payload: &welcome }] {
            let mut bytes = Vec::new();
            assert!(DatagramWriter::limited(&mut bytes, BASE_DATAGRAM).push(&frame), "{frame:?}");
        }
    }

    #[test]
    fn heartbeats_are_rarer_in_a_crowd_but_never_so_rare_that_one_lost_would_expire_somebody() {
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
