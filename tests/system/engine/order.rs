//! One order on all servers, also under loss and kills.

use super::crowd::Crowd;
use super::redis::Redis;
use super::servers::{addresses, servers};
use crate::dice::Dice;
use crate::needs::amount;
use chatagram::net::BadNetwork;
use std::collections::BTreeMap;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// Time in which all clients have to be back.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
/// The log is read after this many kills: it keeps the newest entries only.
const READ: u64 = 50;
/// Longest talk before the next kill.
const TALK: Duration = Duration::from_millis(400);

pub(crate) fn three_servers_show_one_order_under_loss() {
    let redis = Redis::start(&[]);
    let servers = servers::<3>(&redis.url("order"), &[]);
    let peers = amount("CHATAGRAM_CROWD", 60, 300) as usize;
    let loss = BadNetwork { spec: "loss 10%".parse().unwrap(), seed: 7 };
    let counts = [peers - peers / 3, peers / 3];
    let pace = Duration::from_millis(10);
    let mut crowd = Crowd::new(&addresses(&servers), counts, pace, Some(&loss));
    crowd.until("the first join", LIMIT, false, Crowd::all_here);
    crowd.talk_for(Duration::from_secs(5));
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.until("all lines everywhere", LIMIT, false, Crowd::all_shown);
    let log = redis.lines("order");
    crowd.check(&log);
    assert_eq!(log.len(), crowd.said(), "lines said and lines in the log");
    assert_eq!(crowd.confirmed.len(), crowd.said());
    println!("{peers} peers, {} lines", crowd.said());
}

pub(crate) fn killed_servers_lose_no_confirmed_line_and_no_peer() {
    let kills = amount("CHATAGRAM_ENGINE_KILLS", 3, 25);
    let mut dice = Dice::new(amount("CHATAGRAM_SEED", 1, 1));
    let redis = Redis::start(&[]);
    let mut servers = servers::<3>(&redis.url("kills"), &[]);
    let pace = Duration::from_millis(8);
    let mut crowd = Crowd::new(&addresses(&servers), [35, 15], pace, None);
    crowd.until("the first join", LIMIT, false, Crowd::all_here);
    let (mut slowest, mut log) = (Duration::ZERO, BTreeMap::new());
    for kill in 1..=kills {
        crowd.talk_for(dice.within(TALK));
        let victim = dice.below(3);
        servers[victim].kill();
        crowd.talk_for(dice.within(TALK));
        servers[victim].resume();
        let case = format!("kill {kill}");
        crowd.expect_answers();
        slowest = slowest.max(crowd.until(&case, RETURN_LIMIT, true, Crowd::all_answered));
        if kill % READ == 0 {
            log.extend(redis.lines("kills"));
        }
    }
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    log.extend(redis.lines("kills"));
    let log: Vec<_> = log.into_iter().collect();
    crowd.until("each line everywhere", LIMIT, false, |crowd| crowd.has_shown(&log));
    crowd.check(&log);
    redis.check_names("kills");
    println!(
        "{kills} kills, {} lines said, {} confirmed, {} in the log, {} doubtful; all were back \
         within {slowest:.1?}",
        crowd.said(),
        crowd.confirmed.len(),
        log.len(),
        crowd.uncertain()
    );
    assert!(crowd.confirmed.len() as u64 > kills, "the clients hardly talked");
}
