//! A real server and a real client among two hundred peers that join, talk over a network that
//! loses every tenth datagram, and leave, half of them without a goodbye. When the peers have left,
//! both processes have the threads and descriptors that they had before. Until then their memory
//! does not grow.
//!
//! This takes a few seconds. `CHATAGRAM_SOAK=600` runs for ten minutes and compares memory as well,
//! which a shorter run cannot. `tests/memory/soak.rs` runs an hour in virtual time.

use crate::program::{DEADLINE, Server, free_port};
use chatagram::client::session::{self, CloseReason, Event, Session, Transport};
use chatagram::lab::load::Fleet;
use chatagram::net::BadNetwork;
use chatagram::protocol::Delivery;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const USUAL: Duration = Duration::from_secs(8);
/// Shortest run that compares memory.
const LONG: Duration = Duration::from_secs(300);
const COHORTS: usize = 10;
const COHORT: usize = 20;
/// Interval between replacements of a cohort, and between lines of the crowd.
const CHURN: Duration = Duration::from_millis(1_500);
const PACE: Duration = Duration::from_millis(100);

fn a_crowd_leaves_no_thread_descriptor_or_memory_behind() {
    let seconds = std::env::var("CHATAGRAM_SOAK").ok().map(|it| it.parse().unwrap());
    let duration = seconds.map_or(USUAL, Duration::from_secs);
    let bind = format!("127.0.0.1:{}", free_port());
    let args = ["--history", "h.jsonl", "--max-peers-per-ip", "256", "--no-discovery", "-q"];
    let mut server = Server::start_at(&bind, tempfile::tempdir().unwrap(), &args);
    let mut client = server.join("witness");
    let before = [&server.program, &client].map(|it| Usage::of(it.id()));

    let mut crowd = Crowd::new(server.address);
    let began = Instant::now();
    let mut restart = Some(duration / 10);
    let [mut early, mut late] = [Samples::default(), Samples::default()];
    while began.elapsed() < duration {
        crowd.serve();
        if restart.is_some_and(|at| at <= began.elapsed()) {
            // Early in the run: both samples of memory are of the same process.
            restart = None;
            server.program.signal("KILL");
            server.program.wait();
            server = Server::start_at(&bind, server.dir, &args);
        }
        let share = began.elapsed().as_secs_f64() / duration.as_secs_f64();
        let samples = match share {
            0.3..0.5 => &mut early,
            0.8.. => &mut late,
            _ => continue,
        };
        samples.add([&server.program, &client].map(|it| Usage::of(it.id()).resident));
    }
    let said = crowd.said;
    let cohorts = crowd.came;
    let crowded = Usage::of(server.program.id());
    // Every peer falls silent at once.
    drop(crowd);
    let deadline = Instant::now() + DEADLINE;
    client.next("welcome");
    let names = ["server", "client"];
    for ((program, before), name) in [&server.program, &client].into_iter().zip(before).zip(names) {
        loop {
            let now = Usage::of(program.id());
            if (now.threads, now.descriptors) == (before.threads, before.descriptors) {
                break;
            }
            assert!(Instant::now() < deadline, "the {name} had {before:?} and has {now:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        println!(
            "{name}: {} threads, {} descriptors, before and after",
            before.threads, before.descriptors
        );
    }
    assert!(
        crowded.descriptors > before[0].descriptors + COHORT,
        "no peer joined over TCP: {crowded:?}"
    );
    let (first, last) = (early.mean(), late.mean());
    println!(
        "{duration:.0?}, {cohorts} cohorts of {COHORT}, {said} lines; KiB resident: server {:.0}, \
         later {:.0}; client {:.0}, later {:.0}",
        first[0], last[0], first[1], last[1]
    );
    if duration >= LONG {
        for ((first, last), name) in first.into_iter().zip(last).zip(names) {
            assert!(last <= first * 1.02, "the {name} had {first:.0} KiB and has {last:.0}");
        }
    }
    assert_eq!(client.leave(), Some(0));
    server.program.signal("TERM");
    assert_eq!(server.program.wait(), Some(0), "{}", server.program.output());
}

/// A process's threads, descriptors and memory.
#[derive(Clone, Copy, Debug)]
struct Usage {
    threads: usize,
    descriptors: usize,
    /// Resident memory in KiB.
    resident: u64,
}

impl Usage {
    fn of(process: u32) -> Self {
        let list = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).unwrap();
        // The log's thread begins with the first message, which may come at any time.
        let name = |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm"));
        let tasks = list("task").flatten();
        let threads = tasks.filter(|task| name(task).is_ok_and(|name| name != "log\n")).count();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
        Self { threads, descriptors: list("fd").count(), resident }
    }
}

#[derive(Default)]
struct Samples {
    sums: [u64; 2],
    count: u64,
}

impl Samples {
    fn add(&mut self, resident: [u64; 2]) {
        self.sums.iter_mut().zip(resident).for_each(|(sum, it)| *sum += it);
        self.count += 1;
    }

    fn mean(&self) -> [f64; 2] {
        self.sums.map(|sum| sum as f64 / self.count.max(1) as f64)
    }
}

/// Two hundred peers in this process, in cohorts that join and leave together.
struct Crowd {
    server: SocketAddr,
    cohorts: Vec<Fleet>,
    /// The next cohort to be replaced.
    oldest: usize,
    came: usize,
    said: usize,
    replace_at: Instant,
    say_at: Instant,
}

impl Crowd {
    fn new(server: SocketAddr) -> Self {
        let now = Instant::now();
        let mut crowd = Self {
            server,
            cohorts: Vec::new(),
            oldest: 0,
            came: 0,
            said: 0,
            replace_at: now,
            say_at: now,
        };
        for _ in 0..COHORTS {
            let fleet = crowd.cohort();
            crowd.cohorts.push(fleet);
        }
        crowd
    }

    /// A new cohort that begins to join; every third uses TCP.
    fn cohort(&mut self) -> Fleet {
        let spec = "loss 10%".parse().unwrap();
        let network = BadNetwork { spec, seed: self.came as u64 };
        let transport = if self.came.is_multiple_of(3) { Transport::Tcp } else { Transport::Udp };
        let mut fleet = Fleet::new(true, Some(&network)).unwrap();
        for number in 0..COHORT {
            let config = session::Config {
                nickname: format!("{}-{number}", self.came),
                transport,
                delivery: [Delivery::ReliableOrdered, Delivery::Unreliable][number % 2],
                give_up: Duration::from_secs(60),
                shown: Vec::new(),
            };
            fleet.add(config, &[self.server]).unwrap();
        }
        self.came += 1;
        fleet
    }

    /// Serves every fleet once, says a line and replaces a cohort when that is due.
    fn serve(&mut self) {
        let now = Instant::now();
        if self.say_at <= now {
            self.say_at = now + PACE;
            let fleet = &mut self.cohorts[self.said % COHORTS];
            let text = format!("line {} of the crowd", self.said);
            let index = self.said / COHORTS % fleet.len();
            let _ = fleet.with_session(index, |session, now| session.say(&text, now));
            self.said += 1;
        }
        if self.replace_at <= now {
            self.replace_at = now + CHURN;
            // Half of the cohort says goodbye; the rest falls silent.
            let fleet = &mut self.cohorts[self.oldest];
            for index in 0..fleet.len() / 2 {
                fleet.with_session(index, Session::leave);
            }
            let newcomers = self.cohort();
            self.cohorts[self.oldest] = newcomers;
            self.oldest = (self.oldest + 1) % COHORTS;
        }
        for fleet in &mut self.cohorts {
            fleet.wait(fleet.now().mono + Duration::from_millis(2)).unwrap();
            while let Some((index, event, _)) = fleet.poll_event() {
                if let Event::Closed { reason } = event {
                    // During the server's restart newcomers get no answer.
                    let usual = matches!(reason, CloseReason::Quit | CloseReason::Unreachable);
                    assert!(usual, "peer {index} is out: {reason:?}");
                }
            }
        }
    }
}

tests! {
    a_crowd_leaves_no_thread_descriptor_or_memory_behind,
}
