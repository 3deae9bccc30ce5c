//! Many peers of one relay in one thread. They join a room and some of them talk; the program
//! counts the deliveries and their cost to the relay. `bench-relay.sh` runs it; each run prints one
//! line of JSON.
//!
//! A line is 64 bytes: a mark, its due time in sixteen hexadecimal digits, and letters. There are
//! three loads: `--outstanding N` keeps N lines in flight (until every peer has a line);
//! `--rate R` sends R lines a second regardless of deliveries; `--unpaced` sends as fast as the
//! transport accepts lines.

mod joining;
mod peers;
mod quic;

use chatagram::net::{Clock, Poller, Ready};
use chatagram::protocol::Delivery;
use chatagram::protocol::limits::MAX_CLAIMS;
use chatagram::time::Timestamp;
use clap::{Parser, ValueEnum};
use peers::{DEADLINE, Peer};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The first byte of a line, which occurs nowhere else in any of the protocols.
const MARK: u8 = b'~';
const TEXT: usize = 64;
/// Length of the mark and the digits.
const STAMP: usize = 17;
/// Without progress for this long, a lossy transport has lost the lines in flight.
const LOST_AFTER: Duration = Duration::from_millis(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Chatagram,
    ChatagramTcp,
    ChatagramQuic,
    Plain,
    Redis,
    Nats,
}

#[derive(Debug, Parser)]
#[command(about = "Load for one relay; see bench-relay.sh")]
struct Args {
    #[arg(long)]
    protocol: Protocol,
    /// The delivery mode over Chatagram's UDP and QUIC: unreliable or reliable-ordered.
    #[arg(long, default_value = "unreliable", value_parser = delivery)]
    delivery: Delivery,
    /// The relay, or the servers of one room, comma-separated: peers join them in turns.
    #[arg(long, required = true, value_delimiter = ',')]
    server: Vec<SocketAddr>,
    /// Their processes, whose processor time is measured.
    #[arg(long, required = true, value_delimiter = ',')]
    pid: Vec<u32>,
    /// The process of the room's engine, measured by itself.
    #[arg(long)]
    engine_pid: Option<u32>,
    #[arg(long, default_value_t = 50)]
    peers: usize,
    #[arg(long, default_value_t = 10)]
    senders: usize,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    #[arg(long, default_value_t = 0.5)]
    warm_up: f64,
    #[arg(long, group = "pace")]
    outstanding: Option<u64>,
    #[arg(long, group = "pace")]
    rate: Option<f64>,
    #[arg(long, group = "pace")]
    unpaced: bool,
    /// Measures only the time until every peer has joined, and until each knows all others.
    #[arg(long, group = "pace")]
    join_only: bool,
}

fn delivery(name: &str) -> Result<Delivery, String> {
    match name {
        "unreliable" => Ok(Delivery::Unreliable),
        "reliable-unordered" => Ok(Delivery::ReliableUnordered),
        "reliable-ordered" => Ok(Delivery::ReliableOrdered),
        other => Err(format!("no delivery {other:?}")),
    }
}

/// The deliveries to the peers.
#[derive(Debug, Default)]
struct Counter {
    delivered: u64,
    /// The delay of each in microseconds, if measured.
    latencies: Option<Vec<u32>>,
    /// Time since the run began, in nanoseconds.
    now: u64,
}

impl Counter {
    /// `text` begins with the mark.
    fn line(&mut self, text: &[u8]) {
        self.delivered += 1;
        if let Some(latencies) = &mut self.latencies {
            let digits = std::str::from_utf8(&text[1..STAMP]).unwrap_or_default();
            let due = u64::from_str_radix(digits, 16).unwrap_or_default();
            latencies.push((self.now.saturating_sub(due) / 1_000) as u32);
        }
    }
}

fn text(due: u64) -> [u8; TEXT] {
    let mut text = [b'x'; TEXT];
    text[0] = MARK;
    text[1..STAMP].copy_from_slice(format!("{due:016x}").as_bytes());
    text
}

struct Run {
    args: Args,
    start: Instant,
    clock: Clock,
    poller: Poller,
    ready: Ready,
    peers: Vec<Peer>,
    timers: BinaryHeap<Reverse<(Timestamp, usize)>>,
    counter: Counter,
    sent: u64,
    turn: usize,
}

impl Run {
    fn new(args: Args) -> std::io::Result<Self> {
        Ok(Self {
            start: Instant::now(),
            clock: Clock::start(),
            poller: Poller::new()?,
            ready: Ready::new(),
            peers: Vec::new(),
            timers: BinaryHeap::new(),
            counter: Counter::default(),
            sent: 0,
            turn: 0,
            args,
        })
    }

    fn nanos(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn join(&mut self) -> std::io::Result<()> {
        self.come()?;
        self.quiet(Duration::from_millis(400))
    }

    /// Joins every peer, as fast as possible.
    fn come(&mut self) -> std::io::Result<()> {
        for index in 0..self.args.peers {
            let Args { protocol, server, .. } = &self.args;
            let (protocol, server) = (*protocol, server[index % server.len()]);
            let peer = Peer::join(protocol, server, index, self.args.delivery, &self.clock)?;
            self.peers.push(peer);
            self.peers[index].watch(&self.poller, index)?;
            self.receive(index)?;
            while self.serve(Duration::ZERO)? {}
            // A server lets `MAX_CLAIMS` joins wait for its engine, and has more try again.
            if self.args.engine_pid.is_some() && index % (MAX_CLAIMS / 2) == 0 {
                self.until("in", Peer::has_joined)?;
            }
        }
        self.until("in", Peer::has_joined)
    }

    /// Serves until `holds` is true of each peer.
    fn until(&mut self, what: &str, holds: impl Fn(&Peer) -> bool) -> std::io::Result<()> {
        let begin = Instant::now();
        while !self.peers.iter().all(&holds) {
            let broken = self.peers.iter().filter(|peer| peer.is_broken()).count();
            if broken > 0 || begin.elapsed() > DEADLINE {
                let missing = self.peers.iter().filter(|peer| !holds(peer)).count();
                let why = format!("not {what}: {missing} are missing, {broken} were dropped");
                return Err(std::io::Error::other(why));
            }
            // Checking every peer costs more than serving one.
            let pause = Instant::now();
            while pause.elapsed() < Duration::from_millis(2) {
                self.serve(Duration::from_millis(1))?;
            }
        }
        Ok(())
    }

    /// Prints the time until every peer has joined, until each knows all others, and the cost.
    fn join_only(mut self) -> std::io::Result<()> {
        let (pids, own, count) = (self.args.pid.clone(), [std::process::id()], self.args.peers);
        let ours = [Protocol::Chatagram, Protocol::ChatagramTcp, Protocol::ChatagramQuic];
        if !ours.contains(&self.args.protocol) {
            return Err(std::io::Error::other("--join-only is for chatagram's own protocols"));
        }
        let (begin, server, load) = (Instant::now(), cpu(&pids), cpu(&own));
        self.come()?;
        let joined = begin.elapsed().as_secs_f64();
        self.until("told of all", |peer| peer.here() == count)?;
        let told = begin.elapsed().as_secs_f64();
        let (server, load) = (cpu(&pids) - server, cpu(&own) - load);
        println!(
            "{{\"peers\":{count},\"joined_s\":{joined:.3},\"told_s\":{told:.3},\
             \"server_cpu\":{server:.3},\"load_cpu\":{load:.3},\"rss_kib\":{}}}",
            memory(&pids, "VmRSS"),
        );
        Ok(())
    }

    /// Reads everything that has arrived and does what is due. True if something arrived.
    fn serve(&mut self, timeout: Duration) -> std::io::Result<bool> {
        self.poller.wait(Some(timeout), &mut self.ready)?;
        let ready = std::mem::take(&mut self.ready);
        if self.counter.latencies.is_some() {
            self.counter.now = self.nanos();
        }
        for index in &ready {
            self.receive(*index)?;
        }
        let now = self.clock.now().mono;
        while let Some(Reverse((at, index))) = self.timers.peek().copied().filter(|t| t.0.0 <= now)
        {
            self.timers.pop();
            self.peers[index].handle_timeout(at, now);
            self.note(index);
        }
        let came = !ready.is_empty();
        self.ready = ready;
        Ok(came)
    }

    fn receive(&mut self, index: usize) -> std::io::Result<()> {
        let now = self.clock.now().mono;
        self.peers[index].receive(now, &mut self.counter)?;
        self.note(index);
        Ok(())
    }

    fn note(&mut self, index: usize) {
        if let Some(at) = self.peers[index].earlier_timeout() {
            self.timers.push(Reverse((at, index)));
        }
    }

    /// Serves until nothing has arrived for `pause`.
    fn quiet(&mut self, pause: Duration) -> std::io::Result<()> {
        let (begin, mut last, mut seen) = (Instant::now(), Instant::now(), self.counter.delivered);
        while last.elapsed() < pause && begin.elapsed() < Duration::from_secs(10) {
            let came = self.serve(Duration::from_millis(1))?;
            if came && (self.counter.delivered != seen || self.args.rate.is_none()) {
                (last, seen) = (Instant::now(), self.counter.delivered);
            }
        }
        Ok(())
    }

    fn send(&mut self, due: u64) {
        let index = self.turn;
        self.turn = (self.turn + 1) % self.args.senders;
        self.peers[index].send(&text(due));
        self.sent += 1;
    }

    /// Sends what the peers have queued.
    fn flush(&mut self) {
        let now = self.clock.now().mono;
        for index in 0..self.args.senders {
            self.peers[index].flush(now);
            self.note(index);
        }
    }

    fn phase(&mut self, seconds: f64) -> std::io::Result<()> {
        let begin = self.nanos();
        let end = begin + (seconds * 1e9) as u64;
        if let Some(outstanding) = self.args.outstanding {
            self.keep_outstanding(outstanding, end)
        } else if let Some(rate) = self.args.rate {
            let mut next = 0_u64;
            while self.nanos() < end {
                let due = begin + (next as f64 * 1e9 / rate) as u64;
                if self.nanos() >= due {
                    self.send(due);
                    self.flush();
                    next += 1;
                }
                self.serve(Duration::ZERO)?;
            }
            Ok(())
        } else {
            while self.nanos() < end {
                let now = self.nanos();
                for _ in 0..self.args.senders {
                    if self.peers[self.turn].takes_more() {
                        self.send(now);
                    } else {
                        self.turn = (self.turn + 1) % self.args.senders;
                    }
                }
                self.flush();
                self.serve(Duration::ZERO)?;
            }
            Ok(())
        }
    }

    fn keep_outstanding(&mut self, lines: u64, end: u64) -> std::io::Result<()> {
        let copies = self.copies();
        let mut lost = 0;
        let (mut seen, mut progress) = (self.counter.delivered, Instant::now());
        while self.nanos() < end {
            // A line that counts as lost may arrive after all.
            let over = self.counter.delivered + lost;
            let on_their_way = (self.sent * copies).saturating_sub(over);
            let room = (lines * copies).saturating_sub(on_their_way) / copies;
            if room > 0 {
                let now = self.nanos();
                (0..room).for_each(|_| self.send(now));
                self.flush();
            }
            if !self.serve(Duration::ZERO)? {
                let pause = Instant::now();
                while pause.elapsed() < Duration::from_micros(3) {
                    std::hint::spin_loop();
                }
            }
            if self.counter.delivered != seen {
                (seen, progress) = (self.counter.delivered, Instant::now());
            } else if self.peers[0].may_lose() && progress.elapsed() > LOST_AFTER {
                lost = (self.sent * copies).saturating_sub(self.counter.delivered);
                progress = Instant::now();
            }
        }
        Ok(())
    }

    /// Deliveries of each line. Redis returns lines to their publishers.
    fn copies(&self) -> u64 {
        let all = self.args.peers as u64;
        if self.args.protocol == Protocol::Redis { all } else { all - 1 }
    }
}

/// The processor time of the threads of processes in seconds (proc(5), `schedstat`).
fn cpu(pids: &[u32]) -> f64 {
    let tasks = pids.iter().flat_map(|pid| fs::read_dir(format!("/proc/{pid}/task")));
    let tasks = tasks.flatten().flatten();
    let ran = tasks.filter_map(|task| {
        let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<f64>().ok()
    });
    ran.sum::<f64>() / 1e9
}

/// The kernel thread that completes the receptions of core 0.
fn softirq() -> Option<u32> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.find(|id| {
        fs::read_to_string(format!("/proc/{id}/comm"))
            .is_ok_and(|comm| comm.trim() == "ksoftirqd/0")
    })
}

/// The sum of a line of `/proc/PID/status`, in KiB.
fn memory(pids: &[u32], field: &str) -> u64 {
    let of = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find(|line| line.starts_with(field))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    pids.iter().filter_map(of).sum()
}

fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

fn main() -> std::io::Result<()> {
    let mut run = Run::new(Args::parse())?;
    if run.args.join_only {
        return run.join_only();
    }
    run.join()?;
    run.counter.delivered = 0;
    let pids = run.args.pid.clone();
    let joined = memory(&pids, "VmRSS");
    run.phase(run.args.warm_up)?;
    if run.args.outstanding.is_none() {
        run.quiet(Duration::from_millis(100))?;
    }
    // Servers, the kernel, this program, the engine.
    let engine = run.args.engine_pid.as_slice().to_vec();
    let parts = [pids.clone(), vec![softirq().unwrap_or(0)], vec![std::process::id()], engine];
    let times = || parts.each_ref().map(|pids| cpu(pids));
    run.counter.latencies = run.args.rate.map(|_| Vec::new());
    let before = (run.sent, run.counter.delivered, times(), Instant::now());
    let whole = if run.args.outstanding.is_some() { (0, 0) } else { (before.0, before.1) };
    run.phase(run.args.seconds)?;
    let took = before.3.elapsed().as_secs_f64();
    let after = times();
    let [server, kernel, load, engine] = [0, 1, 2, 3].map(|part| after[part] - before.2[part]);
    let delivered = run.counter.delivered - before.1;
    let sent = run.sent - before.0;
    run.quiet(Duration::from_millis(200))?;
    let all = (run.sent - whole.0) * run.copies();
    let mut latencies = run.counter.latencies.take().unwrap_or_default();
    latencies.sort_unstable();
    println!(
        "{{\"lines\":{sent},\"deliveries\":{delivered},\"seconds\":{took:.3},\
         \"server_cpu\":{server:.4},\"softirq_cpu\":{kernel:.4},\"engine_cpu\":{engine:.4},\
         \"server_busy\":{:.3},\"load_busy\":{:.3},\
         \"per_cpu_second\":{:.0},\"delivered_share\":{:.6},\"p50_us\":{},\"p99_us\":{},\
         \"rss_joined_kib\":{joined},\"rss_end_kib\":{},\"reconnects\":{}}}",
        server / took,
        load / took,
        delivered as f64 / (server + kernel),
        (run.counter.delivered - whole.1) as f64 / all as f64,
        percentile(&latencies, 50),
        percentile(&latencies, 99),
        memory(&pids, "VmRSS"),
        run.peers.iter().filter(|peer| peer.is_broken()).count(),
    );
    Ok(())
}
