//! How many handshakes a server begins, and what keeps strangers out of a private room (`proto.md`
//! §11.4): the secret, and how many wrong proofs of it an address has sent.

use super::tls::{REFUSED, TOO_MANY};
use crate::path::network;
use crate::protocol::limits::{GUESS_PAUSE, GUESSES, MAX_ACCOUNTS, QUIC_HANDSHAKES};
use crate::ticket::Secret;
use crate::time::Timestamp;
use quinn_proto::VarInt;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Counts the handshakes of each second.
#[derive(Debug, Default)]
pub(super) struct Gate {
    second: u64,
    begun: u32,
}

impl Gate {
    pub(super) fn admits(&mut self, now: Timestamp) -> bool {
        let second = now.as_micros() / 1_000_000;
        if self.second != second {
            (self.second, self.begun) = (second, 0);
        }
        self.begun += 1;
        self.begun <= QUIC_HANDSHAKES
    }
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    /// It is closed with this code.
    Close(VarInt),
}

/// The guard of a server.
#[derive(Debug)]
pub(super) struct Guard {
    pub(super) secret: Secret,
    /// When each address has paid for its wrong proofs, at [`GUESS_PAUSE`] each.
    debts: BTreeMap<IpAddr, Timestamp>,
}

impl Guard {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, debts: BTreeMap::new() }
    }

    /// What follows from a proof that came from this address. A client has no guard.
    pub(super) fn judge(
        guard: Option<&mut Self>,
        ip: IpAddr,
        is_right: bool,
        now: Timestamp,
    ) -> Verdict {
        match guard {
            Some(guard) if !guard.admits(ip, now) => Verdict::Close(TOO_MANY),
            _ if is_right => Verdict::Open,
            guard => {
                guard.into_iter().for_each(|guard| guard.note_wrong(ip, now));
                Verdict::Close(REFUSED)
            }
        }
    }

    /// Whether this address may try a proof.
    pub(super) fn admits(&self, ip: IpAddr, now: Timestamp) -> bool {
        let debt = self.debts.get(&network(ip)).map_or_else(Default::default, |it| it.since(now));
        debt <= GUESS_PAUSE * (GUESSES - 1)
    }

    /// A proof from this address was wrong. With [`MAX_ACCOUNTS`] others, the one with the
    /// smallest debt is forgotten.
    fn note_wrong(&mut self, ip: IpAddr, now: Timestamp) {
        let ip = network(ip);
        if self.debts.len() >= MAX_ACCOUNTS && !self.debts.contains_key(&ip) {
            self.debts.retain(|_, paid| *paid > now);
            let least = self.debts.iter().min_by_key(|(_, paid)| **paid).map(|(ip, _)| *ip);
            if let Some(least) = least.filter(|_| self.debts.len() >= MAX_ACCOUNTS) {
                self.debts.remove(&least);
            }
        }
        let paid = self.debts.entry(ip).or_insert(now);
        *paid = (*paid).max(now) + GUESS_PAUSE;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::limits::SECRET_LEN;
    use crate::ticket::Prover;
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Duration;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::ZERO + Duration::from_secs(seconds)
    }

    fn guard() -> Guard {
        Guard::new(Secret([1; SECRET_LEN]))
    }

    #[test]
    fn an_address_has_a_few_guesses_at_once_and_then_one_in_each_pause() {
        let (mut guard, here) = (guard(), Ipv4Addr::LOCALHOST.into());
        let mut guesses = 0;
        let hour = 3_600;
        for second in 0..hour {
            while guard.admits(here, at(second)) {
                guard.note_wrong(here, at(second));
                guesses += 1;
            }
        }
        let most = u64::from(GUESSES) + hour / GUESS_PAUSE.as_secs();
        assert!((most - 1..=most).contains(&guesses), "{guesses}");
        assert!(guard.admits(Ipv4Addr::new(10, 0, 0, 1).into(), at(hour)));
    }

    #[test]
    fn the_addresses_of_an_ipv6_host_are_one() {
        let mut guard = guard();
        for host in 0..GUESSES {
            guard.note_wrong(Ipv6Addr::from(0x2001_0db8 << 96 | u128::from(host)).into(), at(0));
        }
        assert!(!guard.admits("2001:db8::ffff".parse().unwrap(), at(0)));
        assert!(guard.admits("2001:db8:0:1::".parse().unwrap(), at(0)));
    }

    /// The proofs alone, from more addresses than are remembered. `--test memory guesses` has whole
    /// handshakes.
    #[test]
    fn no_guess_of_many_is_right_and_memory_stays_bounded() {
        let mut guard = guard();
        let exported = [5; 32];
        let guesses = 2 * MAX_ACCOUNTS as u32;
        for guess in 0..guesses {
            let mut secret = [1; SECRET_LEN];
            secret[..4].copy_from_slice(&(guess | 1 << 31).to_be_bytes());
            let proof = Secret(secret).proof(Prover::Client, &exported);
            assert!(!guard.secret.is_proven(Prover::Client, &exported, &proof));
            guard.note_wrong(Ipv4Addr::from_bits(guess).into(), at(0));
            assert!(guard.debts.len() <= MAX_ACCOUNTS);
        }
        let newest = Ipv4Addr::from_bits(guesses - 1).into();
        assert!(guard.debts.contains_key(&newest) && guard.admits(newest, at(0)));
    }
}
