//! The lab's emulated network against the kernel's netem: the same plan over both, in kernels of the
//! same build (User-mode Linux, for those whose own kernel has no netem), and the same figures.
//!
//! The two draw their losses apart from each other, so figures agree as far as chance lets them. By
//! chance alone one run in some thousands fails:
//!
//! - shares: 4 standard errors of the difference of two binomial shares. Only messages over raw UDP
//!   are compared that way, with one sender and one receiver: no two messages share a loss.
//! - percentiles: 10 % or 3 ms, where loss does not decide them. Where it does, 4 standard deviations
//!   of the difference, from the spread between runs over the same network ([`CASES`]); not at all
//!   where that would say nothing.
//! - To percentiles the machine's own lateness is added, as it shows in the senders: this test shares
//!   a slow processor with whatever else the machine does.
//!
//! Needs linux.uml, insmod, ip, tc and sysctl; says so and passes where they are missing, but not in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use chatagram::lab::record::{Counts, Mode, Record, RunInfo, Verdict, read_run};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

const LOSSES: [f64; 4] = [0.0, 1.0, 5.0, 10.0];
/// One way. Long against what a busy machine adds to it.
const DELAY_MS: f64 = 50.0;
const SIGMAS: f64 = 4.0;

const PERCENTS: [usize; 3] = [50, 90, 99];

/// What is measured, and how far apart runs over the same network are: the standard deviation of the
/// logarithm of each of [`PERCENTS`], for each of [`LOSSES`], as six to twelve runs of the lab
/// showed it. 0: it hangs on the delay alone.
struct Case {
    mode: Mode,
    seconds: u32,
    spread: [[f64; 3]; 4],
}

/// A connection that has lost a retransmission waits for twice as long each time, and all that is
/// said meanwhile waits with it: how often that happens in 20 s is chance, and decides the tail. A
/// bound that holds would be a factor of five or more.
const NOT_COMPARED: f64 = f64::INFINITY;

const CASES: [Case; 3] = [
    Case { mode: Mode::Unreliable, seconds: 10, spread: [[0.0; 3]; 4] },
    Case {
        mode: Mode::ReliableOrdered,
        seconds: 8,
        spread: [[0.0; 3], [0.0, 0.04, 0.18], [0.0, 0.08, 0.18], [0.0, 0.03, 0.18]],
    },
    Case {
        mode: Mode::Tcp,
        seconds: 20,
        spread: [
            [0.0; 3],
            [0.05, 0.11, 0.12],
            [0.09, 0.15, NOT_COMPARED],
            [0.15, NOT_COMPARED, NOT_COMPARED],
        ],
    },
];

/// How many processes a message meets: the load twice and the server; the emulated network's router
/// twice as well.
const HOPS: [(&str, f64); 2] = [("netem", 3.0), ("emulated", 5.0)];

/// One run, in numbers.
struct Figures {
    rows: usize,
    delivered: usize,
    /// Each of [`PERCENTS`], milliseconds.
    latency: [f64; 3],
    /// The same of how late the sender was.
    late: [f64; 3],
    info: RunInfo,
}

#[test]
fn the_emulated_network_does_what_netem_does() {
    if let Some(missing) = missing() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("skipped: {missing}");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let [netem, emulated] = ["netem", "emulated"].map(|name| dir.path().join(name));
    // Each case is a lab of its own: in one lab the modes would run side by side on one processor.
    let script = |measure: &str, out: &Path| {
        CASES.iter().fold("set -e\n".to_owned(), |script, Case { mode, seconds, .. }| {
            script
                + &format!(
                    "{measure} --out {}/{mode} --modes {mode} --duration-s {seconds} --loss 0,1,5,10 \
                     --delay-ms {DELAY_MS} --repetitions 1 --senders 1 --receivers 1 --rate 25\n",
                    out.display()
                )
        })
    };
    let scripts =
        [script("scripts/netem-sweep.sh", &netem), script("\"$CHATAGRAM\" lab", &emulated)];
    thread::scope(|scope| {
        let kernels = scripts.map(|script| scope.spawn(move || in_a_kernel(&script)));
        for kernel in kernels {
            let output = kernel.join().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        }
    });
    let mut table = String::new();
    let mut wrong = Vec::new();
    for case in &CASES {
        for (index, loss) in LOSSES.into_iter().enumerate() {
            let mode = case.mode;
            let name = format!("loss{loss}-delay{DELAY_MS}-jitter0-burst1-{mode}-1");
            let both = [&netem, &emulated]
                .map(|out| figures(&out.join(mode.name()).join("runs").join(&name)));
            let name = format!("{mode} at {loss} %");
            let mut check = |holds: bool, what: String| {
                if !holds {
                    wrong.push(format!("{name}: {what}"));
                }
            };
            for (figures, (network, _)) in both.iter().zip(HOPS) {
                counters(figures, mode, loss / 100.0, &mut |holds, what| {
                    check(holds, format!("{network}: {what}"));
                });
            }
            delivery(&both, mode, &mut check);
            percentiles(&both, &case.spread[index], &mut check);
            let [a, b] = &both;
            let share = |it: &Figures| 100.0 * it.delivered as f64 / it.rows as f64;
            writeln!(
                table,
                "{name}: delivered {:.1} / {:.1} %, p50 {:.1} / {:.1}, p90 {:.1} / {:.1}, \
                 p99 {:.1} / {:.1} ms, \
                 the sender's lateness p99 {:.1} / {:.1} ms",
                share(a),
                share(b),
                a.latency[0],
                b.latency[0],
                a.latency[1],
                b.latency[1],
                a.latency[2],
                b.latency[2],
                a.late[2],
                b.late[2]
            )
            .unwrap();
        }
    }
    println!("netem / emulated\n{table}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    is_verified(&netem.join("unreliable"));
}

/// What the network counted fits what was asked of it, and what the peers saw.
fn counters(figures: &Figures, mode: Mode, asked: f64, check: &mut impl FnMut(bool, String)) {
    let network = figures.info.network.as_ref().unwrap();
    let mut all = Counts::default();
    for counts in [&network.up, &network.down] {
        // What is still on its way when the run ends was neither lost nor delivered.
        check(counts.lost + counts.delivered <= counts.packets, format!("{counts:?}"));
        check(counts.delivered_bytes <= counts.bytes, format!("{counts:?}"));
        all.packets += counts.packets;
        all.lost += counts.lost;
    }
    let (share, error) = (all.lost as f64 / all.packets as f64, deviation(asked, all.packets));
    check((share - asked).abs() <= SIGMAS * error, format!("{share} of the packets lost"));
    // Every datagram that a peer's link has sent has entered, and none was received that has not left.
    let links = figures.info.links;
    if mode != Mode::Tcp {
        check(links.sent <= network.up.packets, format!("{links:?}, up {:?}", network.up));
        check(
            links.received <= network.down.delivered,
            format!("{links:?}, down {:?}", network.down),
        );
    }
    if mode == Mode::Unreliable {
        // A message is one datagram each way: no message is missing but for a packet that is, and
        // the packets that are missing took their share of the messages, no more and no fewer.
        let missing = (figures.rows - figures.delivered) as u64;
        check(missing <= all.lost, format!("{missing} messages missing, {} packets", all.lost));
        check(links.lost <= all.lost, format!("{links:?}, {} packets lost", all.lost));
        let way = |counts: &Counts| 1.0 - counts.lost as f64 / counts.packets as f64;
        let arrive = way(&network.up) * way(&network.down);
        let error = deviation(arrive, figures.rows as u64);
        let share = figures.delivered as f64 / figures.rows as f64;
        check(
            (share - arrive).abs() <= SIGMAS * error,
            format!("{share} of the messages came, {arrive} of the packets got through"),
        );
    }
}

fn delivery(both: &[Figures; 2], mode: Mode, check: &mut impl FnMut(bool, String)) {
    let [a, b] = both;
    let shares = [a, b].map(|it| it.delivered as f64 / it.rows as f64);
    if mode != Mode::Unreliable {
        return check(shares == [1.0, 1.0], format!("delivered {shares:?}"));
    }
    let all = (a.delivered + b.delivered) as f64 / (a.rows + b.rows) as f64;
    let error = deviation(all, a.rows as u64).hypot(deviation(all, b.rows as u64));
    check((shares[0] - shares[1]).abs() <= SIGMAS * error, format!("delivered {shares:?}"));
}

fn percentiles(both: &[Figures; 2], spread: &[f64; 3], check: &mut impl FnMut(bool, String)) {
    for (index, percent) in PERCENTS.into_iter().enumerate() {
        let [a, b] = [&both[0], &both[1]].map(|it| it.latency[index]);
        let late: f64 = both.iter().zip(HOPS).map(|(it, (_, hops))| hops * it.late[index]).sum();
        let chance = (SIGMAS * spread[index] * 2_f64.sqrt()).exp() - 1.0;
        let allowed = (a.min(b) * chance.max(0.1)).max(3.0) + late;
        check(
            (a - b).abs() <= allowed,
            format!(
                "p{percent} {a:.1} ms over netem, {b:.1} emulated; {allowed:.1} ms apart at most"
            ),
        );
    }
}

/// The standard error of a share.
fn deviation(share: f64, of: u64) -> f64 {
    (share * (1.0 - share) / of as f64).sqrt()
}

fn figures(run: &Path) -> Figures {
    let run = read_run(run).unwrap();
    let delivered: Vec<&Record> =
        run.records.iter().filter(|row| row.verdict == Verdict::Delivered).collect();
    let percentiles = |time: &dyn Fn(&Record) -> Option<u64>| {
        let mut times: Vec<_> = delivered
            .iter()
            .filter_map(|row| Some(time(row)?.saturating_sub(row.intended_us) as f64 / 1e3))
            .collect();
        times.sort_by(f64::total_cmp);
        PERCENTS.map(|percent| times[(times.len() * percent).div_ceil(100) - 1])
    };
    Figures {
        rows: run.records.iter().filter(|row| row.verdict != Verdict::Duplicate).count(),
        latency: percentiles(&|row| row.delivered_us),
        late: percentiles(&|row| row.sent_us),
        delivered: delivered.len(),
        info: run.info.unwrap(),
    }
}

fn in_a_kernel(script: &str) -> Output {
    // Ahead of the machine's other work, where that may be asked for.
    Command::new("nice")
        .args(["-n", "-10", "scripts/with-netem-kernel.sh", "bash", "-c", script])
        .env("CHATAGRAM", env!("CARGO_BIN_EXE_chatagram"))
        .output()
        .unwrap()
}

fn is_verified(lab: &Path) {
    match Command::new("python3").arg("scripts/verify_report.py").arg(lab).output() {
        Ok(output) => assert!(output.status.success(), "{}", said(&output)),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "python3: {error}");
            eprintln!("skipped: python3: {error}");
        }
    }
}

/// The first program that is not there.
fn missing() -> Option<String> {
    let is_there = |name: &str| {
        let found = Command::new("sh").args(["-c", "command -v \"$0\"", name]).output();
        found.is_ok_and(|output| output.status.success())
    };
    ["linux.uml", "insmod", "ip", "tc", "sysctl"]
        .into_iter()
        .find(|name| !is_there(name))
        .map(|name| format!("{name} is missing"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
