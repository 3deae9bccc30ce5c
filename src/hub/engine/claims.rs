//! Joins that wait for the engine's answer: at most `MAX_CLAIMS`, each for at most `CLAIM_WAIT`.
//! While that many wait, the client of a further one tries again.

use super::{Engine, Hub};
use crate::engine::{Ask, Claim, Proof, Refused, Seat};
use crate::hub::Event;
use crate::hub::accounts::Payer;
use crate::hub::handshake::{Denial, Entrance, Member, Origin};
use crate::hub::streams::StreamId;
use crate::protocol::limits::{CLAIM_WAIT, MAX_CLAIMS};
use crate::protocol::{Delivery, Join, LeaveReason, Mark, Nickname, Refusal, Token};
use crate::registry::{Newcomer, PeerId, Unavailable};
use crate::time::{Now, Timestamp};
use std::collections::BTreeMap;

/// A join that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    nickname: Nickname,
    /// The client's token, or a new one.
    token: Token,
    /// The token was the client's.
    owned: bool,
    nonce: u64,
    delivery: Delivery,
    seen: Mark,
    next: u16,
    origin: Origin,
    until: Timestamp,
}

impl Waiting {
    fn join(&self) -> Join<'_> {
        Join {
            nonce: self.nonce,
            cookie: &[],
            nickname: self.nickname.as_str(),
            delivery: self.delivery,
            resume: if self.owned { &self.token } else { &[] },
            epoch: self.seen.epoch,
            seen: self.seen.position,
            next: self.next,
        }
    }
}

/// The joins that wait, by the number of the request and by nonce.
#[derive(Debug, Default)]
pub(super) struct Claims {
    waiting: BTreeMap<u64, Waiting>,
    nonces: BTreeMap<u64, u64>,
}

impl Claims {
    fn insert(&mut self, number: u64, waiting: Waiting) {
        self.nonces.insert(waiting.nonce, number);
        self.waiting.insert(number, waiting);
    }

    /// Takes out the join of a request.
    pub(super) fn take(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.nonces.remove(&waiting.nonce);
        Some(waiting)
    }

    /// The request for a connection.
    fn of_stream(&self, stream: StreamId) -> Option<u64> {
        let of = |waiting: &Waiting| waiting.origin.entrance.stream() == Some(stream);
        self.waiting.iter().find(|(_, waiting)| of(waiting)).map(|(number, _)| *number)
    }

    /// When the first join has waited too long.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        self.waiting.first_key_value().map(|(_, waiting)| waiting.until)
    }

    fn next_expired(&self, now: Timestamp) -> Option<u64> {
        let (number, waiting) = self.waiting.first_key_value()?;
        (waiting.until <= now).then_some(*number)
    }
}

impl Engine {
    /// Whether a join with this nonce waits. If it does, its client may have another path by now.
    pub(in crate::hub) fn is_claimed(&mut self, nonce: u64, origin: Origin) -> bool {
        let number = self.claims.nonces.get(&nonce);
        let waiting = number.and_then(|number| self.claims.waiting.get_mut(number));
        if let Some(waiting) = waiting {
            if matches!(
                (waiting.origin.entrance, origin.entrance),
                (Entrance::Datagrams, Entrance::Datagrams,)
            ) {
                waiting.origin = origin;
            }
            return true;
        }
        false
    }
}

impl Hub {
    /// Whether a client has seen lines that this server has not read. Its rejoin then goes through
    /// the engine too: when that answers, this server has read as much.
    pub(in crate::hub) fn is_behind(&self, seen: Mark) -> bool {
        let latest = self.room.latest();
        self.engine.is_some() && seen.epoch == latest.epoch && latest.position < seen.position
    }

    /// Asks the engine for the name of a join. The token is a new one, for a client that has none.
    pub(in crate::hub) fn claim(
        &mut self,
        join: &Join<'_>,
        nickname: Nickname,
        token: Token,
        origin: Origin,
    ) -> Result<(), Denial> {
        let Some(engine) = self.engine.as_deref_mut() else { return Ok(()) };
        let key = nickname.key();
        if self.registry.is_reserved(&key, join.resume) {
            return Err(Denial::unavailable(Unavailable::NameTaken, &nickname));
        }
        let vacancy = self.registry.vacancy(origin.path.remote.ip());
        vacancy.map_err(|why| Denial::unavailable(why, &nickname))?;
        let now = origin.now.mono;
        if engine.lease.is_quiet(now) {
            return Err(Denial::out_of_contact());
        }
        if engine.claims.waiting.len() >= MAX_CLAIMS {
            self.put_off(join.nonce, origin);
            return Ok(());
        }
        self.accounts.join(Payer::at(origin.path.remote.ip()), now);
        let known = Token::try_from(join.resume).ok();
        let token = known.unwrap_or(token);
        let number = engine.requests.push(Ask::Claim(Claim {
            key: key.as_str().to_owned(),
            nickname: nickname.to_string(),
            proof: Proof::of(&token),
            next: join.next,
        }));
        if let Some(stream) = origin.entrance.stream() {
            self.streams.hold(stream);
        }
        let (owned, until) = (known.is_some(), now + CLAIM_WAIT);
        let &Join { nonce, delivery, next, .. } = join;
        let seen = join.seen();
        let waiting =
            Waiting { nickname, token, owned, nonce, delivery, seen, next, origin, until };
        engine.claims.insert(number, waiting);
        Ok(())
    }

    /// Has the client of a join try again, without a state for it here: a `Challenge` keeps a
    /// client over UDP trying, and a client whose connection ends begins another one.
    fn put_off(&mut self, nonce: u64, origin: Origin) {
        match origin.entrance.stream() {
            None => self.challenge(origin.path, nonce, origin.now),
            Some(stream) => self.hang_up(stream, None),
        }
    }

    /// The engine has given the name of a join: the client is admitted. `known` is the member that
    /// had the name before.
    pub(super) fn seat(&mut self, waiting: Waiting, seat: &Seat, known: Option<PeerId>, now: Now) {
        let origin = Origin { now, ..waiting.origin };
        let here = known.filter(|id| self.peers.get(*id).is_some_and(|peer| !peer.is_closing()));
        if let Err(denial) = self.has_place(here, origin, &waiting.nickname) {
            self.seat_elsewhere(seat, known, now);
            self.give_back(seat, waiting.owned);
            return self.refuse(origin, waiting.nonce, &denial);
        }
        let join = waiting.join();
        let member = if known.is_some() { Member::Present } else { Member::New };
        let id = match here {
            Some(id) => id,
            None => {
                if let Some(id) = known {
                    self.finish(id, now.mono); // its closing session, if there is one
                }
                let (nickname, token) = (waiting.nickname.clone(), waiting.token);
                let newcomer =
                    Newcomer { nickname, token, owned: waiting.owned, path: origin.path };
                let Some(id) = self.registry.seat(known, newcomer, now.mono) else { return };
                id
            }
        };
        if let Some(engine) = self.engine.as_deref_mut() {
            engine.seats.add(seat.fence, id, true);
        }
        self.room.renumber(id, join.next);
        let stream = origin.entrance.stream();
        let rest = stream.map_or_else(Vec::new, |stream| self.streams.release(stream));
        if here.is_some() {
            self.take_over(id, &join, origin);
        } else {
            self.enter(id, &join, origin);
        }
        self.welcome(id, &join, member);
        if here.is_some() {
            self.tell_move(id, origin.path);
        } else {
            let (nickname, path, peers) = (seat.nickname.clone(), origin.path, self.room.len());
            let transport = origin.entrance.transport();
            self.events.push_back(Event::Joined { nickname, path, transport, peers });
        }
        if !rest.is_empty() {
            self.handle_peer_bytes(id, &rest, now);
        }
    }

    /// Whether a client can still be admitted now that it has its name.
    fn has_place(
        &mut self,
        here: Option<PeerId>,
        origin: Origin,
        nickname: &Nickname,
    ) -> Result<(), Denial> {
        if self.shutting_down {
            return Err(Denial::shutting_down());
        }
        match here {
            Some(id) if self.registry.renew(id, origin.path, origin.now.mono) => Ok(()),
            Some(_) => Err(Denial::unavailable(Unavailable::TooManyFromAddress, nickname)),
            None => self
                .registry
                .vacancy(origin.path.remote.ip())
                .map_err(|why| Denial::unavailable(why, nickname)),
        }
    }

    /// Gives up a seat of this server that no peer has.
    pub(super) fn give_back(&mut self, seat: &Seat, hold: bool) {
        let (fence, reason, next) = (seat.fence, LeaveReason::Timeout, seat.next);
        if let Some(engine) = self.engine.as_deref_mut() {
            engine.requests.push(Ask::Leave { fence, reason, next, hold });
        }
    }

    /// The engine refuses the name of a join.
    pub(super) fn refuse_claim(&mut self, number: u64, why: Refused, now: Now) {
        let Some(engine) = self.engine.as_deref_mut() else { return };
        let Some(Waiting { nickname, nonce, origin, .. }) = engine.claims.take(number) else {
            return;
        };
        let why = match why {
            Refused::NameHeld(left) => Unavailable::NameHeld(left),
            Refused::Full => Unavailable::Full,
            Refused::NameTaken | Refused::Fenced | Refused::NotHere => Unavailable::NameTaken,
        };
        let denial = Denial::unavailable(why, &nickname);
        self.refuse(Origin { now, ..origin }, nonce, &denial);
    }

    /// Refuses the joins that have waited too long. If the engine gives such a name later, the hub
    /// gives it back.
    pub(super) fn expire_claims(&mut self, now: Now) {
        while let Some(engine) = self.engine.as_deref_mut()
            && let Some(number) = engine.claims.next_expired(now.mono)
        {
            engine.requests.remove(number);
            if let Some(Waiting { nonce, origin, .. }) = engine.claims.take(number) {
                self.refuse(Origin { now, ..origin }, nonce, &Denial::out_of_contact());
            }
        }
    }

    /// The connection of a join that waits is gone.
    pub(in crate::hub) fn forget_claim(&mut self, stream: StreamId) {
        if let Some(engine) = self.engine.as_deref_mut()
            && let Some(number) = engine.claims.of_stream(stream)
        {
            engine.claims.take(number);
            engine.requests.remove(number);
        }
    }
}

impl Denial {
    fn out_of_contact() -> Self {
        let detail = "this server has no contact with the room's other servers: try again later";
        Self::new(Refusal::Unavailable, detail)
    }
}
