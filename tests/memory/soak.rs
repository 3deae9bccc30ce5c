//! An hour of a full room in virtual time: two hundred peers, every tenth datagram lost, peers that
//! join, leave and are killed all the time, and kills of the server. At the end the server and the
//! clients hold as much memory as after ten minutes, and when every peer has left, the hub holds no
//! session, name or queue.
//!
//! `tests/system/endurance.rs` does the same with a real server for ten real minutes.

mod world;

use crate::meter::{Part, live};
use crate::needs::needs_time;
use chatagram::time::Timestamp;
use std::time::{Duration, Instant};
use world::World;

const PEERS: usize = 200;
/// Peers that stay for the hour. The other places change hands, one after the other.
const RESIDENTS: usize = 100;
const STEP: Duration = Duration::from_secs(1);
/// Datagrams lost of a thousand, once every peer has joined.
const LOSS: u64 = 100;
/// Seconds between two lines, and between two newcomers.
const LINE: u32 = 2;
const NEWCOMER: u32 = 4;
const MINUTE: u32 = 60;
/// Times at which the server is killed, and seconds until it starts again. Not while memory is
/// sampled: a new server has forgotten what the old one would have kept.
const KILLS: [u32; 3] = [2 * MINUTE, 4 * MINUTE, 57 * MINUTE];
const DOWN: u32 = 4;
const WARM: u32 = 12 * MINUTE;
const WINDOW: u32 = 10 * MINUTE;
const LATE: u32 = 46 * MINUTE;

fn a_full_room_holds_no_more_memory_after_an_hour() {
    needs_time();
    let began = Instant::now();
    let mut world = World::new(1, PEERS);
    for place in 0..PEERS {
        world.come(place);
        world.run_until(world.now + STEP / 20);
    }
    world.loss = LOSS;
    let mut samples = [[0; 2]; 2];
    let mut next = RESIDENTS;
    for second in 0..60 * MINUTE {
        if second.is_multiple_of(LINE) {
            world.say(second as usize * 7 % PEERS);
        }
        if second.is_multiple_of(NEWCOMER) && world.hub().is_some() {
            // One peer says goodbye, the next is killed; a newcomer takes the place.
            if second.is_multiple_of(2 * NEWCOMER) {
                world.leave(next);
            }
            world.run_until(world.now + STEP / 2);
            world.come(next);
            next = (next + 1 - RESIDENTS) % (PEERS - RESIDENTS) + RESIDENTS;
        }
        if KILLS.contains(&second) {
            world.kill_server();
        } else if second > DOWN && KILLS.contains(&(second - DOWN)) {
            world.start_server();
        }
        world.run_until(Timestamp::from_micros(1_000_000) + STEP * (second + 20));
        for (sample, start) in samples.iter_mut().zip([WARM, LATE]) {
            if (start..start + WINDOW).contains(&second) {
                sample[0] += live(Part::Server);
                sample[1] += live(Part::Clients);
            }
        }
    }
    let [early, late] = samples.map(|sums| sums.map(|sum| sum / i64::from(WINDOW)));
    println!(
        "an hour, {} datagrams, in {:.1?}: server {} KiB, later {} KiB; clients {} KiB, \
         later {} KiB; {} newcomers got no answer",
        world.sent,
        began.elapsed(),
        early[0] / 1024,
        late[0] / 1024,
        early[1] / 1024,
        late[1] / 1024,
        world.unreachable,
    );
    for (whose, early, late) in [("server", early[0], late[0]), ("clients", early[1], late[1])] {
        // Each newcomer that spoke has numbers in the log, which remembers 4,096 owners.
        assert!(late * 100 <= early * 106, "the {whose} had {early} bytes, later {late}");
    }
    let away = world.peers.iter().filter(|peer| !peer.here).count();
    assert!(away <= 3, "{away} peers have not come back");
    assert!(world.unreachable <= 12, "{} unanswered", world.unreachable);
    let residents = &world.peers[..RESIDENTS];
    assert!(residents.iter().all(|peer| peer.shown > 1_000), "the residents hardly talked");

    for index in 0..PEERS {
        world.leave(index);
    }
    world.run_until(world.now + 60 * STEP);
    let hub = world.hub().unwrap();
    assert_eq!((hub.sessions(), hub.nicknames().count(), hub.queued_bytes()), (0, 0, 0));
}

tests! {
    a_full_room_holds_no_more_memory_after_an_hour,
}
