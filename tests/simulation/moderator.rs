//! A moderator acts at random while clients talk, rename themselves, join, leave and crash, over a
//! bad network: all invariants hold, and each line of a muted client has an outcome.

use crate::dice::Dice;
use crate::network::Impairment;
use crate::renames::rename;
use crate::scenarios::{
    MODES, NAMES, SECOND, all_join, all_leave, recover, say, something_happens,
};
use crate::world::World;

const ORDERS: [&str; 11] = [
    "kick alice",
    "kick bob",
    "kick carol too loud",
    "mute alice 3s",
    "mute bob 20s",
    "unmute bob",
    "unban alice",
    "unban bob",
    "topic the last datagram",
    "lock",
    "unlock",
];

pub(crate) fn anything(seed: u64, verbose: bool) -> u64 {
    let mut dice = Dice::new(!seed);
    let mut world = World::new(seed, Impairment::random(&mut dice), verbose);
    world.tcp = if dice.chance(500) { 400 } else { 0 };
    world.log.moderated = true;
    for name in &NAMES[..3 + dice.below(3)] {
        world.start_client(name, MODES[dice.below(3)], &[]);
    }
    for _ in 0..70 {
        let longest = if dice.chance(500) { SECOND } else { SECOND / 50 };
        let pause = dice.within(longest);
        world.run_for(pause);
        match dice.below(10) {
            0..3 => order(&mut world, ORDERS[dice.below(ORDERS.len())]),
            3 => rename(&mut world, &mut dice),
            _ => something_happens(&mut world, &mut dice),
        }
    }
    order(&mut world, "unlock");
    recover(&mut world);
    order(&mut world, "topic the end");
    world.run_for(SECOND);
    let topic = world.server.hub.as_ref().and_then(|hub| hub.topic());
    for client in world.clients.iter().filter(|client| client.running) {
        assert_eq!(client.session.topic(), topic, "{}", client.record.tag);
    }
    all_leave(&mut world);
    world.network.trace
}

fn order(world: &mut World, line: &str) {
    world.with_hub(|hub, now| _ = hub.order(line, now));
}

/// Clients that stay and talk, and clients that are removed one after the other.
const STAY: usize = 6;
const KICKED: usize = 50;

/// The shortest delay between two clients, microseconds.
const LEAST: i64 = 10_000;

/// The 99th percentile of the delays of the others' lines, while nobody is removed and while 50
/// clients are, in microseconds of virtual time.
pub(crate) fn delays(seed: u64, verbose: bool) -> [i64; 2] {
    let mut dice = Dice::new(!seed);
    let network = Impairment { jitter: SECOND / 100, ..Impairment::NONE };
    let mut world = World::new(seed, network, verbose);
    world.make_room(STAY + KICKED);
    for number in 0..STAY + KICKED {
        world.start_client(&format!("n{number}"), MODES[2], &[]);
    }
    all_join(&mut world);
    world.run_for(5 * SECOND);
    let mut before = [0; 2];
    [false, true].map(|kicks| {
        for number in STAY..STAY + KICKED {
            if kicks {
                order(&mut world, &format!("kick n{number}"));
            }
            (0..STAY).for_each(|speaker| say(&mut world, &mut dice, speaker));
            world.run_for(SECOND);
        }
        let [reader, sender] = [0, 1].map(|index| &world.clients[index].record);
        let all = [(reader, sender), (sender, reader)];
        let mut delays = Vec::new();
        for ((one, other), done) in all.into_iter().zip(&mut before) {
            let all = one.latencies(other);
            // The clocks differ: a delay counts from the shortest one between the two.
            let least = all.iter().min().copied().unwrap_or_default();
            delays.extend(all[*done..].iter().map(|delay| delay - least + LEAST));
            *done = all.len();
        }
        delays.sort_unstable();
        assert!(delays.len() >= KICKED, "{}", delays.len());
        delays[delays.len() * 99 / 100]
    })
}
