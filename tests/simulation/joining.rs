//! First joins over a network that loses much, and a server that lets nobody stay.

use crate::network::Impairment;
use crate::world::World;
use chatagram::protocol::Delivery;
use chatagram::protocol::limits::JOIN_DEADLINE;
use std::time::Duration;

/// Joins of which those that fail are counted.
const JOINS: u64 = 20_000;
/// Of a thousand datagrams so many are lost, each way.
const LOSS: u64 = 300;
/// At most this share of first joins may fail.
const FAILING: f64 = 0.001;

/// Whether a client gets in.
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

/// How likely it is that of so many joins no more fail than did, if each fails with this chance.
fn at_most(failed: u64, joins: u64, chance: f64) -> f64 {
    let mut term = (1.0 - chance).powi(joins as i32);
    let mut sum = term;
    for k in 0..failed {
        term *= (joins - k) as f64 / (k + 1) as f64 * chance / (1.0 - chance);
        sum += term;
    }
    sum
}

/// Less than one first join in a thousand fails: the number that did would be seen by chance in fewer than
/// one of twenty tests if it were more (Clopper and Pearson's exact bound).
pub(crate) fn hardly_any_fails() {
    let failed = (0..JOINS).filter(|seed| !gets_in(*seed)).count() as u64;
    let chance = at_most(failed, JOINS, FAILING);
    assert!(chance < 0.05, "{failed} of {JOINS} first joins failed");
    eprintln!("{failed} of {JOINS} first joins failed");
}
