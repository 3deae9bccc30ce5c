//! The report on synthetic runs: its content, its agreement with an independent script, and its
//! handling of malformed or hostile directories.

mod damage;
mod script;

use crate::needs::needs;
use chatagram::lab::record::{
    Condition, Emulation, FileSum, Format, Links, Machine, Mode, Record, RecordWriter, RunInfo,
    Trace, Verdict, read_run,
};
use chatagram::lab::report;
use chatagram::link::{Copies, Totals};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Writes a run of a model network: delays of 20 to 24 ms and loss with probability `loss`. A
/// reliable mode takes 60 ms (TCP 200 ms) longer per loss; an ordered one delivers in order.
fn make_run(dir: &Path, mode: Mode, loss: f64, repetition: u32) {
    let name = format!("{mode}-{loss}-{repetition}");
    let dir = dir.join("runs").join(&name);
    fs::create_dir_all(&dir).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(u64::from(repetition));
    let mut chance = move || f64::from(rng.next_u32()) / f64::from(u32::MAX);
    let mut writer = RecordWriter::create(&dir, Format::Csv).unwrap();
    let (mut shown_last, mut repeated) = (0, 0);
    for id in 0..400_u64 {
        let intended = 1_000_000 + id * 20_000;
        let mut delay = 20_000 + (chance() * 4_000.0) as u64;
        let mut is_lost = false;
        while chance() < loss && !is_lost {
            is_lost = mode == Mode::Unreliable;
            delay += if mode == Mode::Tcp { 200_000 } else { 60_000 };
            repeated += 1;
        }
        let arrived = intended + delay;
        let shown = match mode {
            Mode::ReliableOrdered | Mode::Tcp => arrived.max(shown_last),
            _ => arrived,
        };
        shown_last = shown;
        let record = Record {
            run: name.as_str().into(),
            mode,
            sender: "s0".into(),
            receiver: "r0".into(),
            id,
            intended_us: intended,
            sent_us: Some(intended + 15),
            arrived_us: (!is_lost).then_some(if mode == Mode::Tcp { shown } else { arrived }),
            delivered_us: (!is_lost).then_some(shown),
            server_held_us: None,
            verdict: if is_lost { Verdict::Lost } else { Verdict::Delivered },
        };
        writer.write(&record).unwrap();
        if id % 100 == 7 && !is_lost {
            writer.write(&Record { verdict: Verdict::Duplicate, ..record }).unwrap();
        }
    }
    let files = writer.finish().unwrap();
    let info = info(&name, mode, loss, repetition, repeated);
    RunInfo { files, ..info }.write(&dir).unwrap();
}

/// The sum of a run's `records.csv` as it is.
fn sums(dir: &Path) -> Vec<FileSum> {
    let bytes = fs::read(dir.join("records.csv")).unwrap();
    let rows = bytes.iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
    vec![FileSum { file: "records.csv".into(), rows, crc32: crc32fast::hash(&bytes) }]
}

fn info(name: &str, mode: Mode, loss: f64, repetition: u32, retransmitted: u64) -> RunInfo {
    let condition = Condition { loss, delay_ms: 20.0, jitter_ms: 4.0, ..Condition::default() };
    let totals =
        Totals { sent_bytes: 60_000, received_bytes: 70_000, retransmitted, ..Totals::default() };
    RunInfo {
        run: name.into(),
        condition: Some(condition),
        emulation: None,
        replayed: None,
        impair: Some("<loss>".into()),
        mode,
        redundancy: Copies::Auto,
        repetition,
        seed: 42,
        senders: 1,
        receivers: 1,
        rate: 50.0,
        size: 64,
        no_delay: None,
        duration_s: 8.0,
        sent: 400,
        version: "0.1.0".into(),
        kernel: "Linux <6.1> & more".into(),
        congestion_control: Some("cubic".into()),
        server_congestion_control: None,
        started: "2026-01-31T12:00:00Z".into(),
        machine: Machine::default(),
        attempts: 1,
        files: Vec::new(),
        links: Links { totals, corrupt: 0 },
        text_bytes: 400 * 64,
        network: None,
        trace: None,
        program: None,
    }
}

fn lab() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for mode in Mode::ALL {
        for loss in [0.0, 0.01, 0.05] {
            for repetition in 1..=3 {
                make_run(dir.path(), mode, loss, repetition);
            }
        }
    }
    fs::write(dir.path().join("plan.toml"), "loss = [0, 0.01, 0.05] # </code>\n").unwrap();
    dir
}

fn the_page_is_complete_and_self_contained() {
    let dir = lab();
    let unfinished = dir.path().join("runs").join("killed <i>");
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("records.csv"), "").unwrap();
    let written = report::write(dir.path()).unwrap();
    let left_out: Vec<_> =
        written.left_out.iter().map(|it| (it.name.as_str(), it.why.to_string())).collect();
    assert_eq!(
        (written.runs, left_out),
        (Mode::ALL.len() * 9, vec![("killed <i>", "it did not finish".to_owned())])
    );
    let page = fs::read_to_string(&written.page).unwrap();
    for forbidden in [
        "<script",
        "http://",
        "https://",
        "@import",
        "url(",
        "NaN",
        "inf",
        "<i>",
        "<6.1>",
        "# </code>",
    ] {
        let text = page.replace("information", "");
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    for needed in [
        "killed &lt;i&gt;",
        "Linux &lt;6.1&gt; &amp; more",
        "seed 42",
        "cubic",
        "chatagram 0.1.0",
        "chatagram lab plan.toml",
        "prefers-color-scheme:dark",
        "role=\"img\"",
        "head-of-line blocking",
        "UDP unreliable ends at",
        "cover the median with 75 %",
    ] {
        assert!(page.contains(needed), "{needed}");
    }
    // One ladder and one curve for each of 3 losses, and two statistics against loss. Losses have a
    // cross.
    assert_eq!(page.matches("<figure>").count(), 2 + 3 * 2);
    assert!(page.contains("class=\"x\""));
    for tag in ["section", "figure", "svg", "table", "tr", "td", "text", "details"] {
        let [open, close] =
            [format!("<{tag}>"), format!("</{tag}>")].map(|it| page.matches(&it).count());
        let open = open + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, close, "{tag}");
    }
    let table = report::terminal_table(&written.groups);
    assert!(table.lines().all(|it| it.chars().count() <= 80), "{table}");
    assert!(table.contains("5 % loss, 20 ms delay") && table.contains("100 %"), "{table}");
    if let Some(keep) = std::env::var_os("KEEP_REPORT") {
        fs::copy(&written.page, keep).unwrap();
    }
}

fn every_setting_has_a_section_and_a_title_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let mut repetition = 0;
    let mut make = |change: fn(&mut RunInfo)| {
        for mode in [Mode::Unreliable, Mode::Tcp] {
            repetition += 1;
            make_run(dir.path(), mode, 0.05, repetition);
            let run = dir.path().join("runs").join(format!("{mode}-0.05-{repetition}"));
            let mut info = read_run(&run).unwrap().info.unwrap();
            change(&mut info);
            info.write(&run).unwrap();
        }
    };
    make(|_| {});
    make(|it| it.receivers = 2);
    make(|it| it.size = 500);
    make(|it| it.duration_s = 9.0);
    make(|it| it.emulation = Some(Emulation::Namespaces));
    make(|it| it.emulation = Some(Emulation::InProcess));
    let written = report::write(dir.path()).unwrap();
    assert!(written.groups.iter().all(|it| it.runs.len() == 1), "no shared mean");
    let page = fs::read_to_string(&written.page).unwrap();
    let titles: Vec<_> = page.split("<h2>5 % loss").skip(1).collect();
    let mut titles: Vec<_> = titles.iter().map(|it| it.split_once('<').unwrap().0).collect();
    assert_eq!(titles.len(), 6, "both modes of a setting share a section: {titles:?}");
    titles.sort();
    titles.dedup();
    assert_eq!(titles.len(), 6, "{titles:?}");
    for part in ["2 receivers", "500 bytes", "9 s", "namespaces", "in-process"] {
        assert!(titles.iter().any(|it| it.contains(part)), "{part}: {titles:?}");
    }
    assert!(page.contains("from 1 sender to several receivers"));

    needs(&["python3"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
    let output = Command::new("python3").arg(script).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn empty_and_partial_runs_have_a_page() {
    let header = "run,transport,mode,sender,receiver,id,intended_us,sent_us,arrived_us,\
                  delivered_us,verdict\n";
    let row = |id, times: &str| format!("r,udp,unreliable,a,b,{id},{times}\n");
    let bodies = [
        String::new(),
        row(0, "5,5,,,lost"),
        row(0, "5,5,9,9,delivered"),
        row(0, "9,9,5,5,delivered"),
        row(u64::MAX, "0,,,0,delivered") + &row(0, "18446744073709551615,,,,lost"),
        row(0, "0,0,1,18446744073709551615,delivered") + &row(0, "0,0,1,1,delivered"),
        row(0, "5,5,9,9,duplicate"),
    ];
    for body in bodies {
        for rate in [0.0, 50.0, 1e300] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("records.csv"), format!("{header}{body}")).unwrap();
            let info = RunInfo {
                rate,
                condition: None,
                text_bytes: 0,
                files: sums(dir.path()),
                ..info("r", Mode::Unreliable, 0.0, 1, 0)
            };
            info.write(dir.path()).unwrap();
            let written = report::write(dir.path()).unwrap();
            let page = fs::read_to_string(written.page).unwrap();
            assert!(!page.contains("NaN") && page.contains("impaired: &lt;loss&gt;"), "{body}");
            assert!(report::terminal_table(&written.groups).contains("UDP unreliable"));
        }
    }
}

/// A run's directory may have any name that the file system allows.
#[cfg(target_os = "linux")]
fn control_characters_in_a_run_name_do_not_reach_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::Tcp, 0.0, 1);
    let steers = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain("\u{2028}\u{202e}".chars());
    let name: String = steers.filter(|ch| *ch != '\n').collect();
    let unfinished = dir.path().join("runs").join(&name);
    fs::create_dir(&unfinished).unwrap();
    fs::write(unfinished.join("records.csv"), "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    let output = command.arg("report").arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("left out: \u{fffd}"), "{said}");
    assert!(said.split('\n').all(chatagram::protocol::is_clean), "{said:?}");
}

/// `run.json` and `plan.toml` are untrusted, and their contents are shown in terminals too.
fn control_characters_in_run_json_do_not_reach_the_terminal() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::Tcp, 0.0, 1);
    let run = fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let steers = ('\u{1}'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain("\u{2028}\u{202e}".chars());
    let steers: String = steers.collect();
    let other = RunInfo {
        run: steers.clone(),
        impair: Some(steers.clone()),
        kernel: steers.clone(),
        congestion_control: Some(steers.clone()),
        server_congestion_control: Some(steers.clone()),
        started: steers.clone(),
        version: steers.clone(),
        files: sums(&run),
        ..info("r", Mode::Tcp, 0.0, 1, 0)
    };
    other.write(&run).unwrap();
    assert_eq!(read_run(&run).unwrap().info.unwrap().kernel, steers, "stored unchanged");
    let plan: String = steers.chars().filter(|c| *c != '\t').collect();
    fs::write(dir.path().join("plan.toml"), plan).unwrap();
    report::write(dir.path()).unwrap();
    let written = ["report.html", "summary.csv", "summary.json"].map(|it| dir.path().join(it));
    for file in written.iter().chain([&run.join("run.json")]) {
        let text = fs::read_to_string(file).unwrap();
        // A tab is harmless, and plans may be indented with it.
        let text = text.replace('\t', " ");
        let bad = text.split('\n').find(|line| !chatagram::protocol::is_clean(line));
        assert_eq!(bad, None, "{}", file.display());
    }
}

fn reports_at_the_same_time_write_whole_files() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::Tcp, 0.05, 1);
    for _ in 0..20 {
        std::thread::scope(|scope| {
            let reports = [(); 4].map(|()| scope.spawn(|| report::write(dir.path())));
            reports.into_iter().for_each(|it| drop(it.join().unwrap().unwrap()));
        });
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(text("summary.csv").starts_with("level,"));
        assert!(text("summary.json").starts_with('{'));
    }
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["report.html", "runs", "summary.csv", "summary.json"]);
}

fn a_capture_that_lacks_packets_says_so() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::Tcp, 0.01, 1);
    let run = fs::read_dir(dir.path().join("runs")).unwrap().next().unwrap().unwrap().path();
    let info = read_run(&run).unwrap().info.unwrap();
    let trace = Trace { packets: 10, bytes: 9, beyond_limit: 3, too_slow: 1 };
    RunInfo { trace: Some(trace), ..info }.write(&run).unwrap();
    fs::write(run.join("trace.pcapng"), "no capture").unwrap();
    let written = report::write(dir.path()).unwrap();
    let name = run.file_name().unwrap().to_str().unwrap();
    let wanted = format!(
        "the capture of {name} lacks 3 packets after it had reached its largest size and 1 packet \
         that the machine wrote too slowly"
    );
    assert_eq!(written.captures, std::slice::from_ref(&wanted));
    let page = fs::read_to_string(&written.page).unwrap();
    assert!(page.contains(&wanted) && page.contains("it is no pcapng file"), "{page}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    let output = command.arg("report").arg(dir.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains(&wanted));
}

tests! {
    the_page_is_complete_and_self_contained,
    every_setting_has_a_section_and_a_title_of_its_own,
    script::an_independent_script_agrees_and_detects_changed_numbers,
    #[cfg(target_os = "linux")]
    script::the_script_agrees_whatever_a_run_is_called,
    script::the_script_says_that_it_does_not_read_parquet,
    empty_and_partial_runs_have_a_page,
    #[cfg(target_os = "linux")]
    control_characters_in_a_run_name_do_not_reach_the_terminal,
    control_characters_in_run_json_do_not_reach_the_terminal,
    reports_at_the_same_time_write_whole_files,
    a_capture_that_lacks_packets_says_so,
    damage::a_directory_without_runs_is_an_error,
    damage::damaged_runs_and_runs_of_another_lab_are_named_and_left_out,
    damage::runs_that_the_machine_spoiled_are_marked,
    damage::a_directory_of_failed_runs_gives_the_first_reason,
    damage::a_run_is_read_back_up_to_a_torn_last_row,
    damage::errors_name_the_file_and_the_line,
}
