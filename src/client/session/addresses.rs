//! The order in which a server's addresses are tried (RFC 8305 §4): in the resolver's order with
//! alternating families, so that a broken family costs one [`STAGGER`].
//!
//! [`STAGGER`]: crate::protocol::limits::STAGGER

use super::attempt::Attempt;
use super::{CloseReason, Notice, Obstacle, Session};
use crate::protocol::limits::MAX_ADDRESSES;
use crate::time::Now;
use std::net::SocketAddr;

/// The addresses in the order of attempts, without duplicates.
pub(super) fn in_order(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else { return addresses };
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.iter().partition(|it| it.is_ipv4() == first.is_ipv4());
    let mut order = Vec::new();
    for index in 0..one.len().max(other.len()) {
        for address in [one.get(index), other.get(index)].into_iter().flatten() {
            if !order.contains(address) && order.len() < MAX_ADDRESSES {
                order.push(*address);
            }
        }
    }
    order
}

impl Session {
    /// Takes the result of a new look-up. New addresses are tried at once. True when there are any.
    pub fn set_addresses(&mut self, addresses: Vec<SocketAddr>, now: Now) -> bool {
        if !self.targets.rename(addresses) {
            if let Some(attempt) = &mut self.attempt {
                attempt.release(now.mono);
            }
            return false;
        }
        let answering =
            self.connection.as_ref().is_some_and(|it| self.targets.contains(&it.server()));
        if let Some(attempt) = self.attempt.as_mut().filter(|_| !answering) {
            attempt.try_anew(&self.targets, now.mono);
        }
        true
    }

    /// The addresses are those of several servers: when one is lost, the others are tried sooner.
    pub fn has_several_servers(&mut self) {
        self.targets.set_several();
    }

    /// The server was found by discovery. When it is lost, a search precedes its old addresses,
    /// since another room may have them.
    pub fn look_first(&mut self) {
        self.looks_first = true;
    }

    /// Whether an attempt is under way, so that errors of the kernel matter.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.attempt.is_some()
    }

    /// Takes an error of the kernel for an address. If it concerns this machine and all addresses,
    /// a first join ends at once. A ticket that its own server refuses ends a rejoin too.
    pub fn handle_obstacle(&mut self, address: SocketAddr, obstacle: Obstacle, now: Now) {
        let Some(attempt) = &mut self.attempt else { return };
        attempt.obstructed(address, obstacle, &self.targets, now.mono);
        let in_vain = attempt.first
            && attempt.keeps_somebody_waiting()
            && attempt.obstacles.forbid(&self.targets);
        if in_vain || attempt.obstacles.revoke_ticket() {
            self.give_up_joining();
        } else if let Some(news) = attempt.obstacles.news(&self.targets) {
            self.tell(news);
        }
    }

    /// Ends a first join that no server admitted: an error and [`CloseReason`] have the
    /// most specific reason.
    pub fn give_up_joining(&mut self) {
        let refusal = self.attempt.as_ref().and_then(Attempt::refusal).cloned();
        let ticket = |it: &Attempt| it.obstacles.refuse_ticket(&self.targets);
        let refused = refusal.is_some() || self.attempt.as_ref().is_some_and(ticket);
        let reason = if refused { CloseReason::Refused } else { CloseReason::Unreachable };
        if let Some(why) = refusal.map(Notice::Refused).or_else(|| self.why_not_in()) {
            self.complain(why);
        }
        self.close(reason);
    }

    /// Why the join has not succeeded so far, and what to do; `None` without an attempt.
    #[must_use]
    pub fn why_not_in(&self) -> Option<Notice> {
        Some(self.attempt.as_ref()?.obstacles.explain(&self.targets, self.config.transport))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn order(list: &[&str]) -> Vec<String> {
        let addresses = list.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 9)).collect();
        in_order(addresses).into_iter().map(|it| it.ip().to_string()).collect()
    }

    #[test]
    fn address_families_alternate_starting_with_the_preferred_one() {
        let dead = ["fd77::1", "fd77::2", "fd77::3", "10.0.0.1"];
        assert_eq!(order(&dead), ["fd77::1", "10.0.0.1", "fd77::2", "fd77::3"]);
        assert_eq!(order(&["10.0.0.1", "10.0.0.2", "::1"]), ["10.0.0.1", "::1", "10.0.0.2"]);
    }

    #[test]
    fn duplicates_and_addresses_beyond_the_bound_are_dropped() {
        assert_eq!(order(&["10.0.0.1", "10.0.0.1"]), ["10.0.0.1"]);
        assert!(order(&[]).is_empty());
        let many: Vec<_> = (0..99).map(|n| format!("10.0.0.{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        assert_eq!(order(&many), many[..MAX_ADDRESSES]);
    }
}
