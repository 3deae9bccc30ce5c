//! Accounts: an address and the owner of a name pay for messages, not a session. A session leaves
//! its bucket here, and the next session of that address or owner begins with it. The address also
//! pays for joins (`proto.md` §7.14). A value, without access to the hub.

use crate::bucket::{Bucket, Limit};
use crate::path::network;
use crate::protocol::Token;
use crate::protocol::limits::{JOINS_PERIOD, MAX_ACCOUNTS, MIN_JOINS};
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// The owner of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Payer {
    Address(IpAddr),
    Owner(Token),
}

impl Payer {
    /// The payer for an address.
    pub(super) fn at(ip: IpAddr) -> Self {
        Self::Address(network(ip))
    }

    /// The owner of a name, if this is a token.
    pub(super) fn owner(token: &[u8]) -> Option<Self> {
        token.try_into().ok().map(Self::Owner)
    }
}

/// The debts of a payer. An account without debts is removed.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// When the bucket of messages is full.
    said: Timestamp,
    /// When the bucket of joins is full.
    joined: Timestamp,
    /// No join is admitted before.
    barred: Timestamp,
}

impl Account {
    /// When no debt is left.
    fn debt_free(&self) -> Timestamp {
        self.said.max(self.joined).max(self.barred)
    }
}

/// The buckets of past sessions, by address and by owner, and the joins of each address.
#[derive(Debug)]
pub(super) struct Accounts {
    limit: Option<Limit>,
    joins: Limit,
    accounts: BTreeMap<Payer, Account>,
    /// Payers by the time when they have no debt left.
    order: BTreeSet<(Timestamp, Payer)>,
}

impl Accounts {
    /// Accounts with a limit for messages, if there is one. An address may join twice as often at
    /// once as it may have peers, and as often as that again in each `JOINS_PERIOD`.
    pub(super) fn new(limit: Option<Limit>, peers_per_ip: usize) -> Self {
        let count = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        let burst = count(peers_per_ip.saturating_mul(2)).max(MIN_JOINS);
        let rate = count(peers_per_ip / JOINS_PERIOD.as_secs() as usize).max(1);
        let joins = Limit::new(burst, rate).unwrap_or(Limit::USUAL);
        Self { limit, joins, accounts: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// How long this account admits no new peer, because of messages of earlier sessions.
    pub(super) fn barred(&self, payer: Payer, now: Timestamp) -> Option<Duration> {
        let account = self.accounts.get(&payer)?;
        let bucket = self.limit.map(|limit| Bucket::full_at(limit, account.said));
        let debt = bucket.filter(|bucket| bucket.is_owing(now)).map(|bucket| bucket.debt(now));
        debt.into_iter().chain([account.barred.since(now)]).max().filter(|left| !left.is_zero())
    }

    /// How long this account admits no join, because there were too many.
    pub(super) fn exhausted(&self, payer: Payer, now: Timestamp) -> Option<Duration> {
        let bucket = Bucket::full_at(self.joins, self.accounts.get(&payer)?.joined);
        Some(bucket.ready().since(now)).filter(|left| !left.is_zero())
    }

    /// Charges an account for a join.
    pub(super) fn join(&mut self, payer: Payer, now: Timestamp) {
        let joins = self.joins;
        self.change(payer, now, |account| {
            let mut bucket = Bucket::full_at(joins, account.joined);
            bucket.take(1, now);
            account.joined = bucket.full();
        });
    }

    /// When the bucket of a session on these accounts is full.
    pub(super) fn full(&self, payers: impl IntoIterator<Item = Payer>) -> Timestamp {
        let accounts = payers.into_iter().filter_map(|payer| self.accounts.get(&payer));
        accounts.map(|account| account.said).max().unwrap_or(Timestamp::ZERO)
    }

    /// A session on these accounts is over, and its bucket is full at `full`.
    pub(super) fn leave(&mut self, payers: [Payer; 2], full: Timestamp, now: Timestamp) {
        if full > now {
            for payer in payers {
                self.change(payer, now, |account| account.said = account.said.max(full));
            }
        }
    }

    /// Admits no join on this account before `until`.
    pub(super) fn bar(&mut self, payer: Payer, until: Timestamp, now: Timestamp) {
        self.change(payer, now, |account| account.barred = account.barred.max(until));
    }

    fn change(&mut self, payer: Payer, now: Timestamp, change: impl FnOnce(&mut Account)) {
        let mut account = self.accounts.get(&payer).copied().unwrap_or_default();
        self.order.remove(&(account.debt_free(), payer));
        change(&mut account);
        self.accounts.insert(payer, account);
        self.order.insert((account.debt_free(), payer));
        while let Some((debt_free, payer)) = self.order.first().copied()
            && (debt_free <= now || self.order.len() > MAX_ACCOUNTS)
        {
            self.order.remove(&(debt_free, payer));
            self.accounts.remove(&payer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_micros(1_000_000 + millis * 1_000)
    }

    fn payer(n: u32) -> Payer {
        Payer::at(IpAddr::from(n.to_be_bytes()))
    }

    #[test]
    fn an_ipv6_network_is_one_payer_and_a_link_is_none() {
        let at = |ip: &str| Payer::at(ip.parse().unwrap());
        assert_eq!(at("2001:db8::1"), at("2001:db8:0:0:ffff::2"));
        assert_ne!(at("2001:db8::1"), at("2001:db8:0:1::1"));
        assert_ne!(at("fe80::1"), at("fe80::2"));
        assert_ne!(at("10.0.0.1"), at("10.0.0.2"));
    }

    #[test]
    fn an_address_may_fill_its_places_twice_at_once_and_then_slowly() {
        let mut accounts = Accounts::new(None, 60);
        for _ in 0..120 {
            assert_eq!(accounts.exhausted(payer(1), at(0)), None);
            accounts.join(payer(1), at(0));
        }
        assert_eq!(accounts.exhausted(payer(1), at(0)), Some(SECOND / 2));
        assert_eq!(accounts.exhausted(payer(1), at(500)), None);
        assert_eq!(accounts.exhausted(payer(2), at(0)), None);
    }

    #[test]
    fn memory_is_bounded_and_the_largest_debts_stay() {
        let mut accounts = Accounts::new(Some(Limit::USUAL), 64);
        accounts.bar(payer(0), at(60_000), at(0));
        for n in 1..10_000 {
            accounts.join(payer(n), at(0));
            assert!(accounts.accounts.len() <= MAX_ACCOUNTS);
            assert_eq!(accounts.accounts.len(), accounts.order.len());
        }
        assert_eq!(accounts.barred(payer(0), at(0)), Some(60 * SECOND));
        accounts.join(payer(0), at(70_000));
        assert_eq!(accounts.accounts.len(), 1, "accounts without debts are removed");
    }
}
