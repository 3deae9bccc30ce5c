//! The lab's emulated network against the kernel's netem: the same plan over both must give the
//! same results. Both run in User-mode Linux, so the host's kernel needs no netem, and both use one
//! kernel and one TCP. Its clock is virtual, so a busy machine delays nothing.
//!
//! The two draw their losses independently, so each comparison allows for chance:
//!
//! - shares: 5 standard errors, which chance exceeds in fewer than one run in a thousand;
//! - p50 and p99: 10 % or 3 ms. Over reliable UDP about 0.25 % of the deliveries are later than
//!   this allows, and its case is long, so that by chance they are hardly ever 1 %. The p99 of TCP
//!   with losses depends on the few messages lost twice and those behind them, so 5 standard errors
//!   from [`standard_error_of_p99`] are added;
//! - counters: exact, except for datagrams outside the sequence numbers.

#[cfg(feature = "quic")]
pub(crate) mod quic;
pub(crate) mod sweep;

use crate::needs::{needs, needs_time};
use chatagram::lab::record::{Mode, RunInfo, Verdict, read_run};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

const SIGMAS: f64 = 5.0;
const PERCENTS: [usize; 2] = [50, 99];
const TOOLS: [&str; 9] =
    ["linux.uml", "insmod", "cc", "ip", "tc", "ss", "sysctl", "bash", "python3"];

/// With this variable set to `all`, cases have all these losses, in percent. They take minutes.
const WHOLE: &str = "CHATAGRAM_NETEM";
const LOSSES: &[f64] = &[0.0, 1.0, 5.0, 10.0];

/// One workload. At a low rate, most losses are repaired before the next message.
struct Case {
    mode: Mode,
    losses: &'static [f64],
    /// One-way delay, milliseconds.
    delay_ms: u32,
    senders: u64,
    receivers: u64,
    /// Messages per second of each sender.
    rate: f64,
    seconds: u32,
}

/// A part of a run long enough for a loss to affect few of the other parts.
const BLOCK_S: u32 = 100;

/// A datagram's redundant copies are 25 ms apart: at 150 ms, one more or less is within 10 %. Over
/// TCP a loss delays what follows on its connection, so there are several.
const CASES: [Case; 3] = [
    Case {
        mode: Mode::Unreliable,
        losses: &[10.0],
        delay_ms: 150,
        senders: 1,
        receivers: 2,
        rate: 2.0,
        seconds: 150,
    },
    Case {
        mode: Mode::ReliableOrdered,
        losses: &[10.0],
        delay_ms: 150,
        senders: 1,
        receivers: 2,
        rate: 2.0,
        seconds: 600,
    },
    Case {
        mode: Mode::Tcp,
        losses: &[5.0],
        delay_ms: 100,
        senders: 4,
        receivers: 6,
        rate: 0.25,
        seconds: 500,
    },
];

/// The results of a case over one network.
struct Figures {
    rows: u64,
    delivered: u64,
    /// Latencies of each block, milliseconds, sorted.
    latencies: Vec<Vec<f64>>,
    info: RunInfo,
}

fn is_whole() -> bool {
    std::env::var_os(WHOLE).is_some_and(|it| it == "all")
}

fn the_emulated_network_matches_netem() {
    needs_time();
    needs(&TOOLS);
    let dir = tempfile::tempdir().unwrap();
    let mut cases = CASES;
    if is_whole() {
        cases.iter_mut().for_each(|case| case.losses = LOSSES);
    }
    let [netem, emulated] = measure_both(dir.path(), &cases);
    let mut table = String::new();
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        for loss in case.losses {
            let mode = case.mode;
            let both =
                [&netem, &emulated].map(|out| figures(&out.join(index.to_string()), case, *loss));
            let name = format!("{mode} at {loss} %");
            let mut check = |holds: bool, what: String| {
                if !holds {
                    wrong.push(format!("{name}: {what}"));
                }
            };
            for (figures, network) in both.iter().zip(["netem", "emulated"]) {
                counters(&figures.info, case, *loss, &mut |holds, what| {
                    check(holds, format!("{network}: {what}"));
                });
            }
            delivery(&both, case, *loss, &mut check);
            let by_chance = mode == Mode::Tcp && *loss > 0.0;
            percentiles(&both, by_chance, &mut check);
            let [a, b] = &both;
            let share = |it: &Figures| 100.0 * it.delivered as f64 / it.rows as f64;
            let [[p50, q50], [p99, q99]] = PERCENTS.map(|p| [a, b].map(|it| it.percentile(p)));
            writeln!(
                table,
                "{name}: delivered {:.2} / {:.2} %, p50 {p50:.1} / {q50:.1}, \
                 p99 {p99:.1} / {q99:.1} ms (ratio {:.3})",
                share(a),
                share(b),
                p99 / q99
            )
            .unwrap();
        }
    }
    println!("netem / emulated\n{table}");
    assert!(wrong.is_empty(), "{table}\n{}", wrong.join("\n"));
    verify_report(&netem.join("0"));
}

/// TCP and UDP_SEGMENT hand the kernel many packets as one; the script makes netem see each.
fn a_real_interface_loses_single_packets() {
    needs_time();
    needs(&["linux.uml", "insmod", "cc", "ip", "tc", "bash"]);
    let script = "set -e
        for node in s c; do ip netns add $node; ip -n $node link set lo up; done
        ip link add eth0 netns s type veth peer name eth0 netns c
        ip -n s addr add 10.77.0.1/24 dev eth0; ip -n c addr add 10.77.0.9/24 dev eth0
        ip -n s link set eth0 up; ip -n c link set eth0 up
        mkfifo /run/said
        ip netns exec s \"$CHATAGRAM\" server --no-history --no-discovery --rate-limit off \
            --bind 10.77.0.1:2428 >/run/said 2>/dev/null &
        read -r line </run/said
        for transport in tcp udp; do
            ip netns exec s scripts/netem-lan.sh put eth0 10.77.0.9 loss 5%
            ip netns exec c \"$CHATAGRAM\" load 10.77.0.1 --transport $transport --receivers 2 \
                --rate 400 --size 1000 --duration 8s --out /run/$transport
            ip netns exec s scripts/netem-lan.sh off eth0
        done";
    let output = in_a_kernel(script);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let told: Vec<_> = text.lines().filter(|line| line.contains("asked for 'loss 5%'")).collect();
    assert_eq!(told.len(), 2, "{text}");
    for line in told {
        let words: Vec<_> = line.split_whitespace().collect();
        let before = |word: &str| -> u64 {
            let at = words.iter().position(|it| *it == word).unwrap();
            words[at - 1].parse().unwrap()
        };
        let (left, lost) = (before("packets"), before("were"));
        let share = lost as f64 / (left + lost) as f64;
        // Packets outnumber messages: netem did not see them as one.
        assert!(left > 3_000, "{text}");
        assert!((share - 0.05).abs() <= SIGMAS * deviation(0.05, left + lost), "{text}");
    }
    assert!(!text.contains("longer than the MTU"), "{text}");
}

/// `tc qdisc replace` keeps what the new settings do not name.
fn set_forgets_the_settings_of_before() {
    needs(&["linux.uml", "insmod", "cc", "ip", "tc", "bash"]);
    let script = "set -e
        scripts/netem-net.sh up
        scripts/netem-net.sh set delay 25ms rate 1mbit corrupt 50% reorder 20% duplicate 9% loss 5%
        scripts/netem-net.sh set delay 10ms
        scripts/netem-net.sh show";
    let output = in_a_kernel(script);
    assert!(output.status.success(), "{}", said(&output));
    let text = said(&output);
    let set: Vec<_> = text.lines().filter(|line| line.starts_with("qdisc netem")).collect();
    assert_eq!(set.len(), 2, "{text}");
    for line in set {
        let (_, settings) = line.split_once("limit 10000 ").unwrap();
        assert!(settings.starts_with("delay 10ms") && !settings.contains('%'), "{text}");
        assert!(!settings.contains("rate"), "{text}");
    }
}

fn each_script_prints_its_header_comment_as_usage() {
    needs(&["bash", "sed", "dirname"]);
    for name in ["netem-lan", "netem-net", "netem-sweep"] {
        let file = format!("scripts/{name}.sh");
        let output = Command::new("bash").args([&file, "--help"]).output().unwrap();
        let script = std::fs::read_to_string(&file).unwrap();
        let comment = script.lines().skip(1).take_while(|line| line.starts_with('#'));
        let text: Vec<_> = comment.map(|line| line[1..].strip_prefix(' ').unwrap_or("")).collect();
        assert_eq!(said(&output).lines().collect::<Vec<_>>(), text, "{name}");
    }
}

/// Measures the cases over netem and over the lab's network. Returns the directories of the labs.
fn measure_both(dir: &Path, cases: &[Case]) -> [PathBuf; 2] {
    let [netem, emulated] = ["netem", "emulated"].map(|name| dir.join(name));
    thread::scope(|scope| {
        let labs = [("scripts/netem-sweep.sh", &netem), ("\"$CHATAGRAM\" lab", &emulated)];
        let kernels = labs
            .map(|(measure, out)| scope.spawn(move || in_a_kernel(&script(measure, out, cases))));
        for output in kernels.map(|kernel| kernel.join().unwrap()) {
            assert!(output.status.success(), "{}", said(&output));
        }
    });
    [netem, emulated]
}

/// Each case is a separate lab: within one lab the modes would run side by side. Other tests look
/// at captures, which would take a quarter of the time.
fn script(measure: &str, out: &Path, cases: &[Case]) -> String {
    let labs = cases.iter().enumerate().map(|(index, case)| {
        let losses: Vec<_> = case.losses.iter().map(f64::to_string).collect();
        let Case { mode, delay_ms, senders, receivers, rate, seconds, .. } = case;
        format!(
            "{measure} --out {}/{index} --modes {mode} --duration-s {seconds} --loss {} --delay-ms \
             {delay_ms} --repetitions 1 --senders {senders} --receivers {receivers} --rate {rate} \
             --no-trace\n",
            out.display(),
            losses.join(",")
        )
    });
    "set -e\n".to_owned() + &labs.collect::<String>()
}

/// Checks the network's counters against the condition and against the peers' counters.
fn counters(info: &RunInfo, case: &Case, loss: f64, check: &mut impl FnMut(bool, String)) {
    let network = info.network.as_ref().unwrap();
    for counts in [&network.up, &network.down] {
        // A packet in flight at the end of the run is neither lost nor delivered.
        check(counts.lost + counts.delivered <= counts.packets, format!("{counts:?}"));
        check(counts.delivered_bytes <= counts.bytes, format!("{counts:?}"));
        let share = counts.lost as f64 / counts.packets as f64;
        let error = deviation(loss / 100.0, counts.packets);
        let apart = (share - loss / 100.0).abs();
        check(apart <= SIGMAS * error, format!("{share} of the packets lost"));
    }
    if case.mode == Mode::Tcp || case.mode.is_quic() {
        return;
    }
    // The peers sent no more datagrams than entered the network, and received no more than left it.
    // They miss each datagram lost on the way down, except those without a successor: the last of a
    // session, and those of the join.
    let links = info.links.totals;
    check(links.sent <= network.up.packets, format!("{links:?}, up {:?}", network.up));
    check(links.received <= network.down.delivered, format!("{links:?}, down {:?}", network.down));
    let unseen = network.down.lost.checked_sub(links.missing);
    // The counters are read before the peers leave, and a goodbye can be lost several times.
    let most = 3 * (case.senders + case.receivers);
    check(
        unseen.is_some_and(|unseen| unseen <= most),
        format!(
            "{} datagrams lost on the way down, the peers miss {}",
            network.down.lost, links.missing
        ),
    );
}

/// Reliable modes deliver everything. The others: one datagram up, and one down per receiver.
fn delivery(both: &[Figures; 2], case: &Case, loss: f64, check: &mut impl FnMut(bool, String)) {
    let shares = both.each_ref().map(|it| it.delivered as f64 / it.rows as f64);
    if !matches!(case.mode, Mode::Unreliable | Mode::QuicUnreliable) {
        return check(shares == [1.0, 1.0], format!("delivered {shares:?}"));
    }
    let loss = loss / 100.0;
    let arrive = 1.0 - loss;
    let error = |rows: u64| {
        (arrive * deviation(loss, rows / case.receivers)).hypot(arrive * deviation(loss, rows))
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

fn percentiles(both: &[Figures; 2], by_chance: bool, check: &mut impl FnMut(bool, String)) {
    for percent in PERCENTS {
        let [a, b] = both.each_ref().map(|it| it.percentile(percent));
        let mut allowed = (a.min(b) * 0.1).max(3.0);
        if by_chance && percent == 99 {
            let [one, other] = both.each_ref().map(standard_error_of_p99);
            allowed += SIGMAS * one.hypot(other);
        }
        check(
            (a - b).abs() <= allowed,
            format!(
                "p{percent} {a:.1} ms over netem, {b:.1} emulated; {allowed:.1} ms apart at most"
            ),
        );
    }
}

/// The standard error of the p99, from the p99 of each block.
fn standard_error_of_p99(figures: &Figures) -> f64 {
    let count = figures.latencies.len() as f64;
    let each: Vec<_> = figures.latencies.iter().map(|block| percentile(block, 99)).collect();
    let mean = each.iter().sum::<f64>() / count;
    let squares: f64 = each.iter().map(|it| (it - mean).powi(2)).sum();
    (squares / (count - 1.0) / count).sqrt()
}

impl Figures {
    /// Over the whole run.
    fn percentile(&self, percent: usize) -> f64 {
        let mut all = self.latencies.concat();
        all.sort_by(f64::total_cmp);
        percentile(&all, percent)
    }
}

/// Nearest rank.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

/// The standard error of a share.
fn deviation(share: f64, of: u64) -> f64 {
    (share * (1.0 - share) / of as f64).sqrt()
}

fn figures(lab: &Path, case: &Case, loss: f64) -> Figures {
    let Case { mode, delay_ms, seconds, .. } = case;
    let name = format!("loss{loss}-delay{delay_ms}-jitter0-burst1-{mode}-1");
    let run = read_run(&lab.join("runs").join(name)).unwrap();
    let rows = run.records.iter().filter(|row| row.verdict != Verdict::Duplicate).count() as u64;
    let mut latencies = vec![Vec::new(); seconds.div_ceil(BLOCK_S) as usize];
    for row in run.records.iter().filter(|row| row.verdict == Verdict::Delivered) {
        let block = row.intended_us / 1_000_000 / u64::from(BLOCK_S);
        let latency = (row.delivered_us.unwrap() - row.intended_us) as f64 / 1e3;
        // The last message may be meant for a moment after the last block.
        let block = (block as usize).min(latencies.len() - 1);
        latencies[block].push(latency);
    }
    latencies.iter_mut().for_each(|block| block.sort_by(f64::total_cmp));
    let delivered = latencies.iter().map(Vec::len).sum::<usize>() as u64;
    Figures { rows, delivered, latencies, info: run.info.unwrap() }
}

fn in_a_kernel(script: &str) -> Output {
    Command::new("scripts/with-netem-kernel.sh")
        .args(["bash", "-c", script])
        .env("UML_CLOCK", "virtual")
        .env("CHATAGRAM", env!("CARGO_BIN_EXE_chatagram"))
        .output()
        .unwrap()
}

fn verify_report(lab: &Path) {
    let output = Command::new("python3").arg("scripts/verify_report.py").arg(lab).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

tests! {
    the_emulated_network_matches_netem,
    a_real_interface_loses_single_packets,
    set_forgets_the_settings_of_before,
    each_script_prints_its_header_comment_as_usage,
}
