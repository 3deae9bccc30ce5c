//! The engine stops, forgets, goes back in time, or moves.

use super::crowd::Crowd;
use super::proxy::Proxy;
use super::redis::Redis;
use super::servers::{Server, addresses, servers};
use crate::needs::amount;
use crate::program::{DEADLINE, free_port};
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const TOLD: Duration = Duration::from_secs(8);
const PACE: Duration = Duration::from_millis(20);

/// Two servers with a few clients that talk.
fn talking(url: &str, args: &[&str]) -> ([Server; 2], Crowd) {
    let servers = servers::<2>(url, args);
    let mut crowd = Crowd::new(&addresses(&servers), [6, 3], PACE, None);
    crowd.until("the first join", LIMIT, false, Crowd::all_here);
    crowd.talk_for(Duration::from_millis(500));
    (servers, crowd)
}

pub(crate) fn lines_said_while_the_engine_is_down_are_confirmed_when_it_is_back() {
    let mut redis = Redis::start(&["--appendfsync", "always"]);
    let (_servers, mut crowd) = talking(&redis.url("r"), &[]);
    redis.kill();
    crowd.expect_answers();
    let told = crowd.until("told", TOLD, true, |crowd| crowd.is_told("no contact"));
    let outage = Duration::from_secs(amount("CHATAGRAM_OUTAGE", 0, 0));
    crowd.talk_for(outage.saturating_sub(told));
    redis.resume();
    let back = crowd.until("answers", LIMIT, true, Crowd::all_answered);
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.until("all lines everywhere", LIMIT, false, Crowd::all_shown);
    crowd.check(&redis.lines("r"));
    assert_eq!(crowd.confirmed.len(), crowd.said());
    println!(
        "down for {:.1?}; told after {told:.1?}; all were answered {back:.1?} after the start; {} \
         lines said, confirmed and shown to all clients",
        outage.max(told),
        crowd.said(),
    );
}

pub(crate) fn an_emptied_engine_is_announced_and_the_room_begins_anew() {
    let mut redis = Redis::start(&[]);
    let (_servers, mut crowd) = talking(&redis.url("r"), &[]);
    redis.kill();
    fs::remove_dir_all(redis.files()).unwrap();
    redis.resume();
    crowd.until("told", TOLD, true, |crowd| crowd.is_told("history may be missing"));
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
}

pub(crate) fn an_engine_with_an_older_log_is_announced() {
    let mut redis = Redis::start(&["--appendfsync", "always"]);
    let (_servers, mut crowd) = talking(&redis.url("r"), &[]);
    let old = redis.dir.path().join("old");
    fs::create_dir(&old).unwrap();
    for file in fs::read_dir(redis.files()).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), old.join(file.file_name())).unwrap();
    }
    crowd.talk_for(Duration::from_millis(500));
    redis.kill();
    fs::remove_dir_all(redis.files()).unwrap();
    fs::rename(&old, redis.files()).unwrap();
    redis.resume();
    crowd.until("told", TOLD, true, |crowd| crowd.is_told("history may be missing"));
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
}

/// The room's keys are put back while the connections last, as by a restored snapshot: nothing but
/// the positions tells.
pub(crate) fn an_engine_that_goes_back_under_its_connections_is_announced() {
    let redis = Redis::start(&[]);
    let (_servers, mut crowd) = talking(&redis.url("r"), &[]);
    redis.ask(&["EVAL", SAVE, "0"]);
    crowd.talk_for(Duration::from_millis(500));
    redis.ask(&["EVAL", PUT_BACK, "0"]);
    crowd.until("told", TOLD, true, |crowd| crowd.is_told("history may be missing"));
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
}

const SAVE: &str = "for _, key in ipairs(redis.call('KEYS', 'chatagram:*')) do
    redis.call('COPY', key, 'old:' .. key)
end";
const PUT_BACK: &str = "for _, key in ipairs(redis.call('KEYS', 'chatagram:*')) do
    redis.call('DEL', key)
end
for _, key in ipairs(redis.call('KEYS', 'old:*')) do
    redis.call('COPY', key, string.sub(key, 5))
end";

/// A replica that has lost its master takes over, without the lines of the time since.
pub(crate) fn a_promoted_stale_replica_is_announced() {
    let mut master = Redis::start(&[]);
    let replica = Redis::start(&["--replicaof", &format!("127.0.0.1 {}", master.port)]);
    let proxy = Proxy::start(master.port);
    let (_servers, mut crowd) = talking(&format!("redis://{}/r", proxy.address), &[]);
    crowd.until("a copy", LIMIT, true, |_| !replica.lines("r").is_empty());
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    crowd.talk_for(Duration::from_millis(500));
    proxy.lead_to(replica.port);
    master.kill();
    crowd.until("told", TOLD, true, |crowd| crowd.is_told("history may be missing"));
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
}

pub(crate) fn a_killed_durable_engine_loses_no_confirmed_line() {
    let mut redis = Redis::start(&["--appendfsync", "always"]);
    let (_servers, mut crowd) = talking(&redis.url("r"), &["--engine-durable"]);
    for _ in 0..3 {
        redis.kill();
        redis.resume();
        crowd.expect_answers();
        crowd.until("answers", LIMIT, true, Crowd::all_answered);
    }
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.check(&redis.lines("r"));
    assert_eq!(crowd.confirmed.len(), crowd.said());
}

/// Sentinel promotes the replica of a killed master, and the servers follow.
pub(crate) fn a_promoted_replica_serves_the_room() {
    let always = ["--appendfsync", "always"];
    let mut master = Redis::start(&always);
    let port = master.port.to_string();
    let of = format!("127.0.0.1 {port}");
    let replica = Redis::start(&[always[0], always[1], "--replicaof", &of]);
    let sentinel = Sentinel::start(&port);
    let url = format!("redis+sentinel://127.0.0.1:{}/r?master=room", sentinel.port);
    let start = std::time::Instant::now();
    while !format!("{:?}", master.ask(&["INFO", "replication"])).contains("state=online") {
        assert!(start.elapsed() < DEADLINE, "the replica does not connect");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_servers, mut crowd) = talking(&url, &["--engine-durable"]);
    master.kill();
    crowd.expect_answers();
    let back = crowd.until("answers", LIMIT, true, Crowd::all_answered);
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.check(&replica.lines("r"));
    println!("all were answered {back:.1?} after the kill");
}

/// One Sentinel, which decides alone.
struct Sentinel {
    port: u16,
    child: Child,
    _dir: tempfile::TempDir,
}

impl Sentinel {
    fn start(master: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let file = dir.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor room 127.0.0.1 {master} 1\nsentinel \
             down-after-milliseconds room 500\nsentinel failover-timeout room 3000\n"
        );
        fs::write(&file, text).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null());
        let sentinel = Self { port, child: command.spawn().unwrap(), _dir: dir };
        let start = std::time::Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(start.elapsed() < DEADLINE, "the Sentinel does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        sentinel
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
