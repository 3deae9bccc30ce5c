//! A real server, and a real client, among two hundred peers who come, talk over a network that loses
//! every tenth datagram, and go with or without a word. When they have gone, no thread and no descriptor
//! may be left behind; and while they are there, memory is not to grow.
//!
//! That takes some seconds. `CHATAGRAM_SOAK=600` goes on for ten minutes and looks at memory as well:
//! less than that says nothing of it. An hour in virtual time is in `tests/soak.rs`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod program;

use chatagram::client::session::{self, CloseReason, Event, Session, Transport};
use chatagram::lab::load::Fleet;
use chatagram::net::BadNetwork;
use chatagram::protocol::Delivery;
use program::{Server, free_port};
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const USUAL: Duration = Duration::from_secs(8);
/// From here on memory is looked at.
const LONG: Duration = Duration::from_secs(300);
const COHORTS: usize = 10;
const COHORT: usize = 20;
/// A whole cohort is replaced this often, and somebody says something this often.
const CHURN: Duration = Duration::from_millis(1_500);
const PACE: Duration = Duration::from_millis(100);
/// The last have expired by then.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn neither_thread_nor_descriptor_nor_memory_is_left_behind() {
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
            // Early: memory is compared within one life of the server.
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
    // All fall silent at once.
    drop(crowd);
    let deadline = Instant::now() + PATIENCE;
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
        "nobody came over TCP: {crowded:?}"
    );
    let (first, last) = (early.mean(), late.mean());
    println!(
        "{duration:.0?}, {cohorts} cohorts of {COHORT}, {said} lines; KiB resident: server {:.0}, later \
         {:.0}; client {:.0}, later {:.0}",
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

/// What a process has of the machine.
#[derive(Clone, Copy, Debug)]
struct Usage {
    threads: usize,
    descriptors: usize,
    /// KiB.
    resident: u64,
}

impl Usage {
    fn of(process: u32) -> Self {
        let list = |what: &str| fs::read_dir(format!("/proc/{process}/{what}")).unwrap();
        // The thread that writes the log begins with the first message, and that may come at any time.
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

/// Two hundred peers in this process, by cohorts: those of a cohort come and go together.
struct Crowd {
    server: SocketAddr,
    cohorts: Vec<Fleet>,
    /// The next to be replaced.
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

    /// A cohort that begins to join: every third over TCP.
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

    /// Serves everybody once, has somebody say something, and replaces a cohort when it is time to.
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
            // Half of them say goodbye; those of the others who came over UDP just fall silent.
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
                    // Newcomers find nobody while the server is started again.
                    let usual = matches!(reason, CloseReason::Quit | CloseReason::Unreachable);
                    assert!(usual, "peer {index} is out: {reason:?}");
                }
            }
        }
    }
}
