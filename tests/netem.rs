//! The lab's emulated network against the kernel's netem: the same plan over both, and the same
//! figures. netem is that of User-mode Linux, for those whose own kernel has none; the emulated
//! network is the one that users have, on this kernel.
//!
//! The two draw their losses apart from each other, so figures agree as far as chance lets them:
//!
//! - shares: 4 standard errors, so by chance alone one run in a thousand fails;
//! - percentiles: 10 % or 3 ms (TCP at 5 % loss and more: 30 %, for the kernels are of two releases),
//!   and what the senders themselves were late, for this shares a processor with other work; or else, where loss makes a percentile hang on a few unlucky
//!   retransmissions, their confidence intervals overlap: the order statistics 3 standard errors of
//!   the rank to either side (no distribution is assumed);
//! - counters: exactly, but for the datagrams that no sequence number stands for.
//!
//! The load is as much as a slow processor carries: many senders, each with a connection of its own,
//! so that their losses are independent, and few messages.
//!
//! Needs linux.uml, insmod, ip, tc and sysctl; says so and passes where they are missing, but not in CI.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic)]

use chatagram::lab::record::{Mode, Record, RunInfo, Verdict, read_run};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

/// One way, milliseconds. Long against what User-mode Linux, slow as it is, adds to it.
const DELAY_MS: f64 = 100.0;
const SIGMAS: f64 = 4.0;
const PERCENTS: [usize; 2] = [50, 99];

/// What is measured. 10 senders and 2 receivers, 20 messages a second in all.
struct Case {
    mode: Mode,
    losses: &'static [f64],
    seconds: u32,
}

const SENDERS: u64 = 10;
const RECEIVERS: u64 = 2;
const RATE: u64 = 2;
/// Messages that wait together say as much as one: a message's two receivers, and what the
/// receiver's own connection holds back in a quarter of a second.
const TOGETHER: f64 = 10.0;

const CASES: [Case; 4] = [
    Case { mode: Mode::Unreliable, losses: &[0.0, 1.0, 5.0, 10.0], seconds: 12 },
    Case { mode: Mode::ReliableOrdered, losses: &[0.0, 1.0, 5.0, 10.0], seconds: 12 },
    Case { mode: Mode::Tcp, losses: &[0.0, 1.0], seconds: 15 },
    Case { mode: Mode::Tcp, losses: &[5.0, 10.0], seconds: 45 },
];

/// One run, in numbers.
struct Figures {
    rows: u64,
    delivered: u64,
    /// Sorted, milliseconds.
    latencies: Vec<f64>,
    /// How late the senders were, each of [`PERCENTS`], milliseconds.
    late: [f64; 2],
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
        let labs = CASES.iter().enumerate().map(|(index, Case { mode, losses, seconds })| {
            let losses: Vec<_> = losses.iter().map(f64::to_string).collect();
            format!(
                "{measure} --out {}/{index} --modes {mode} --duration-s {seconds} --loss {} \
                 --delay-ms {DELAY_MS} --repetitions 1 --senders {SENDERS} --receivers {RECEIVERS} \
                 --rate {RATE}\n",
                out.display(),
                losses.join(",")
            )
        });
        "set -e\n".to_owned() + &labs.collect::<String>()
    };
    let scripts =
        [script("scripts/netem-sweep.sh", &netem), script("\"$CHATAGRAM\" lab", &emulated)];
    let [over_netem, emulated_here] = scripts;
    thread::scope(|scope| {
        let other = scope.spawn(move || in_a_kernel(&over_netem));
        for output in [in_this_kernel(&emulated_here), other.join().unwrap()] {
            assert!(output.status.success(), "{}", said(&output));
        }
    });
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        for loss in case.losses {
            let mode = case.mode;
            let run = format!("{index}/runs/loss{loss}-delay{DELAY_MS}-jitter0-burst1-{mode}-1");
            let both = [&netem, &emulated].map(|out| figures(&out.join(&run)));
            let name = format!("{mode} at {loss} %");
            let mut check = |holds: bool, what: String| {
                if !holds {
                    wrong.push(format!("{name}: {what}"));
                }
            };
            for (figures, network) in both.iter().zip(["netem", "emulated"]) {
                counters(figures, mode, loss / 100.0, &mut |holds, what| {
                    check(holds, format!("{network}: {what}"));
                });
            }
            delivery(&both, mode, loss / 100.0, &mut check);
            // The two kernels are not of one release, and may not have the same congestion control:
            // where recovery decides, theirs is not the same TCP.
            let tolerance = if mode == Mode::Tcp && *loss >= 5.0 { 0.3 } else { 0.1 };
            percentiles(&both, tolerance, &mut check);
            let [a, b] = &both;
            let share = |it: &Figures| 100.0 * it.delivered as f64 / it.rows as f64;
            writeln!(
                table,
                "{name}: delivered {:.2} / {:.2} %, p50 {:.1} / {:.1}, p99 {:.1} / {:.1} ms, the \
                 senders' lateness p99 {:.1} / {:.1} ms",
                share(a),
                share(b),
                percentile(&a.latencies, 50),
                percentile(&b.latencies, 50),
                percentile(&a.latencies, 99),
                percentile(&b.latencies, 99),
                a.late[1],
                b.late[1]
            )
            .unwrap();
        }
    }
    println!("netem / emulated\n{table}");
    assert!(wrong.is_empty(), "{table}\n{}", wrong.join("\n"));
    is_verified(&netem.join("0"));
}

/// What the network counted fits what was asked of it, and what the peers saw.
fn counters(figures: &Figures, mode: Mode, asked: f64, check: &mut impl FnMut(bool, String)) {
    let network = figures.info.network.as_ref().unwrap();
    for counts in [&network.up, &network.down] {
        // What is still on its way when the run ends was neither lost nor delivered.
        check(counts.lost + counts.delivered <= counts.packets, format!("{counts:?}"));
        check(counts.delivered_bytes <= counts.bytes, format!("{counts:?}"));
        let share = counts.lost as f64 / counts.packets as f64;
        let error = deviation(asked, counts.packets);
        check((share - asked).abs() <= SIGMAS * error, format!("{share} of the packets lost"));
    }
    if mode == Mode::Tcp {
        return;
    }
    // Every datagram that a peer's link has sent has entered, none was received that has not left,
    // and of those lost on the way down the peers miss all but the ones without a successor: the last
    // of a session, and those outside of it (joining).
    let links = figures.info.links;
    check(links.sent <= network.up.packets, format!("{links:?}, up {:?}", network.up));
    check(links.received <= network.down.delivered, format!("{links:?}, down {:?}", network.down));
    let unseen = network.down.lost.checked_sub(links.missing);
    // The peers were asked before they left, and a goodbye can be lost several times.
    let most = 3 * (SENDERS + RECEIVERS);
    check(
        unseen.is_some_and(|unseen| unseen <= most),
        format!(
            "{} datagrams lost on the way down, the peers miss {}",
            network.down.lost, links.missing
        ),
    );
}

/// Reliable is all of it. Raw UDP: a message is one datagram up, and one down for each receiver.
fn delivery(both: &[Figures; 2], mode: Mode, loss: f64, check: &mut impl FnMut(bool, String)) {
    let shares = both.each_ref().map(|it| it.delivered as f64 / it.rows as f64);
    if mode != Mode::Unreliable {
        return check(shares == [1.0, 1.0], format!("delivered {shares:?}"));
    }
    let arrive = 1.0 - loss;
    let error = |rows: u64| {
        (arrive * deviation(loss, rows / RECEIVERS)).hypot(arrive * deviation(loss, rows))
    };
    for (share, rows) in shares.iter().zip(both.each_ref().map(|it| it.rows)) {
        let expected = arrive * arrive;
        check(
            (share - expected).abs() <= SIGMAS * error(rows),
            format!("delivered {shares:?}, expected {expected}"),
        );
    }
    let error = error(both[0].rows).hypot(error(both[1].rows));
    check((shares[0] - shares[1]).abs() <= SIGMAS * error, format!("delivered {shares:?}"));
}

fn percentiles(both: &[Figures; 2], tolerance: f64, check: &mut impl FnMut(bool, String)) {
    for (index, percent) in PERCENTS.into_iter().enumerate() {
        let [a, b] = both.each_ref().map(|it| percentile(&it.latencies, percent));
        let late = both.each_ref().map(|it| it.late[index]);
        let allowed = (a.min(b) * tolerance).max(3.0) + late[0].max(late[1]);
        let [one, other] = both.each_ref().map(|it| interval(&it.latencies, percent));
        let overlap = one.0 <= other.1 && other.0 <= one.1;
        check(
            (a - b).abs() <= allowed || overlap,
            format!(
                "p{percent} {a:.1} ms over netem ({one:.1?}), {b:.1} emulated ({other:.1?}); \
                 {allowed:.1} ms apart at most"
            ),
        );
    }
}

/// By nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// Where the percentile of all messages is, from that of these: between two of them, whatever their
/// distribution, for the number of them below it is binomial.
fn interval(sorted: &[f64], percent: usize) -> (f64, f64) {
    let (count, share) = (sorted.len() as f64, percent as f64 / 100.0);
    let error = (count * share * (1.0 - share) * TOGETHER).sqrt();
    let rank = |rank: f64| sorted[(rank.ceil().clamp(1.0, count) as usize) - 1];
    (rank(count * share - 3.0 * error), rank(count * share + 3.0 * error))
}

/// The standard error of a share.
fn deviation(share: f64, of: u64) -> f64 {
    (share * (1.0 - share) / of as f64).sqrt()
}

fn figures(run: &Path) -> Figures {
    let run = read_run(run).unwrap();
    let delivered: Vec<&Record> =
        run.records.iter().filter(|row| row.verdict == Verdict::Delivered).collect();
    let sorted = |time: &dyn Fn(&Record) -> Option<u64>| {
        let mut times: Vec<_> = delivered
            .iter()
            .filter_map(|row| Some(time(row)?.saturating_sub(row.intended_us) as f64 / 1e3))
            .collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let late = sorted(&|row| row.sent_us);
    Figures {
        rows: run.records.iter().filter(|row| row.verdict != Verdict::Duplicate).count() as u64,
        latencies: sorted(&|row| row.delivered_us),
        late: PERCENTS.map(|percent| percentile(&late, percent)),
        delivered: delivered.len() as u64,
        info: run.info.unwrap(),
    }
}

fn in_this_kernel(script: &str) -> Output {
    let mut command = Command::new("bash");
    command.args(["-c", script]).env("CHATAGRAM", env!("CARGO_BIN_EXE_chatagram"));
    command.output().unwrap()
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
