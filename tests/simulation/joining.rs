//! First joins over a network with heavy loss.

use crate::network::Impairment;
use crate::world::World;
use chatagram::protocol::Delivery;
use chatagram::protocol::limits::JOIN_DEADLINE;
use std::time::Duration;

/// Returns true if the client joins. Each way loses `loss` per mille.
fn gets_in(seed: u64, loss: u64, over_quic: bool) -> bool {
    let mut world = World::new(seed, Impairment { loss, ..Impairment::NONE }, false);
    world.network.impairment.delay = Duration::from_millis(5 + seed % 100);
    if over_quic {
        world.take_quic(1_000);
    }
    let server = world.server.address;
    world.start_client("alice", Delivery::ReliableOrdered, &[]);
    world.with_client(0, |session, _, now| session.set_addresses(vec![server], now));
    world.run_until("it is in, or gave up", JOIN_DEADLINE + Duration::from_millis(50), |world| {
        let record = &world.clients[0].record;
        record.welcomes > 0 || record.closed.is_some()
    });
    world.clients[0].record.welcomes > 0
}

/// The probability of at most `failed` failures in `joins`, if each fails with probability
/// `chance`.
fn at_most(failed: u64, joins: u64, chance: f64) -> f64 {
    let mut term = (1.0 - chance).powi(joins as i32);
    let mut sum = term;
    for k in 0..failed {
        term *= (joins - k) as f64 / (k + 1) as f64 * chance / (1.0 - chance);
        sum += term;
    }
    sum
}

/// At 30 % loss fewer than one first join in a thousand fails.
pub(crate) fn hardly_any_fails() {
    fail_less_often_than(0.001, 20_000, |seed| gets_in(seed, 300, false));
}

/// At 20 % loss fewer than one first join in two hundred fails: the timeouts of QUIC's handshake
/// begin with a second, and double (RFC 9002 §6.2).
#[cfg(feature = "quic")]
pub(crate) fn hardly_any_fails_over_quic() {
    fail_less_often_than(0.005, 4_000, |seed| gets_in(seed, 200, true));
}

/// If this share failed, fewer than one of twenty runs would count as few failures as this one
/// (exact bound of Clopper and Pearson).
fn fail_less_often_than(share: f64, joins: u64, gets_in: impl Fn(u64) -> bool) {
    let failed = (0..joins).filter(|seed| !gets_in(*seed)).count() as u64;
    let chance = at_most(failed, joins, share);
    assert!(chance < 0.05, "{failed} of {joins} first joins failed");
    eprintln!("{failed} of {joins} first joins failed");
}
