//! First joins over a network with heavy loss.

use crate::network::Impairment;
use crate::world::World;
use chatagram::protocol::Delivery;
use chatagram::protocol::limits::JOIN_DEADLINE;
use std::time::Duration;

/// Number of joins.
const JOINS: u64 = 20_000;
/// Loss each way, per mille.
const LOSS: u64 = 300;
/// Limit on the share of failed joins.
const FAILING: f64 = 0.001;

/// Returns true if the client joins.
fn gets_in(seed: u64) -> bool {
    let mut world = World::new(seed, Impairment { loss: LOSS, ..Impairment::NONE }, false);
    world.network.impairment.delay = Duration::from_millis(5 + seed % 100);
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

/// Fewer than one first join in a thousand fails: at a higher rate, fewer than one of twenty runs
/// would count as few failures as this one (exact bound of Clopper and Pearson).
pub(crate) fn hardly_any_fails() {
    let failed = (0..JOINS).filter(|seed| !gets_in(*seed)).count() as u64;
    let chance = at_most(failed, JOINS, FAILING);
    assert!(chance < 0.05, "{failed} of {JOINS} first joins failed");
    eprintln!("{failed} of {JOINS} first joins failed");
}
