//! The report on synthetic runs: its content, its agreement with an independent script, and its
//! handling of malformed or hostile directories.

use crate::needs::{is_here, needs};
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
        (36, vec![("killed <i>", "it did not finish".to_owned())])
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

fn an_independent_script_agrees_and_detects_changed_numbers() {
    let dir = lab();
    let written = report::write(dir.path()).unwrap();
    let verify = || {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
        Command::new("python3").arg(script).arg(dir.path()).output()
    };
    needs(&["python3"]);
    let output = verify().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    // The script detects a changed number in each column.
    let right = fs::read_to_string(&written.csv).unwrap();
    let header: Vec<&str> = right.lines().next().unwrap().split(',').collect();
    for column in [
        "sent",
        "reordered",
        "delivery",
        "p99_ms",
        "arrival_jitter_ms",
        "loss_run_max",
        "wire_per_text",
        "p99_high_ms",
    ] {
        let at = header.iter().position(|it| *it == column).unwrap();
        let mut rows: Vec<Vec<String>> = csv::Reader::from_reader(right.as_bytes())
            .records()
            .map(|it| it.unwrap().iter().map(str::to_owned).collect())
            .collect();
        let last = rows.last_mut().unwrap();
        last[at] = (last[at].parse::<f64>().unwrap() * 1.001 + 0.001).to_string();
        let mut wrong = csv::Writer::from_path(&written.csv).unwrap();
        wrong.write_record(&header).unwrap();
        rows.iter().for_each(|it| wrong.write_record(it).unwrap());
        wrong.flush().unwrap();
        let output = verify().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{column}: {said}");
        assert!(said.contains(&format!(": {column} is ")) && said.contains("1 differ"), "{said}");
    }
    // It also detects a missing row.
    let shorter = right.trim_end().rsplit_once('\n').unwrap().0;
    fs::write(&written.csv, format!("{shorter}\n")).unwrap();
    assert_eq!(verify().unwrap().status.code(), Some(1));
}

/// Names with line separators, of a link, without UTF-8 or with a formula, and a locale of ASCII.
#[cfg(target_os = "linux")]
fn the_script_agrees_whatever_a_run_is_called() {
    use std::os::unix::ffi::OsStrExt;
    needs(&["python3"]);
    let verify = |dir: &Path| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
        let mut command = Command::new("python3");
        let ascii = [("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")];
        let output = command.envs(ascii).arg(script).arg(dir).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let names = ["a\u{2028}b", "a\u{1c}b\t", "\u{43f}\u{440}", "=1+1", "@x"];
    let bytes = std::ffi::OsStr::from_bytes(b"x\xff");
    for (at, name) in names.map(std::ffi::OsStr::new).into_iter().chain([bytes]).enumerate() {
        let dir = tempfile::tempdir().unwrap();
        make_run(dir.path(), Mode::Tcp, 0.05, 1);
        let run = dir.path().join("runs").join("tcp-0.05-1");
        let description = RunInfo {
            run: name.to_string_lossy().into_owned(),
            condition: None,
            impair: Some(name.to_string_lossy().into_owned()),
            rate: 33.333_333_333_333 + at as f64,
            ..info("r", Mode::Tcp, 0.05, 1, 0)
        };
        let rows = fs::read_to_string(run.join("records.csv")).unwrap();
        let rows = rows.replace("tcp-0.05-1", &name.to_string_lossy());
        fs::write(run.join("records.csv"), rows).unwrap();
        RunInfo { files: sums(&run), ..description }.write(&run).unwrap();
        fs::rename(&run, dir.path().join(name)).unwrap();
        std::os::unix::fs::symlink(dir.path().join(name), &run).unwrap();
        let written = report::write(dir.path()).unwrap();
        let (code, said) = verify(dir.path());
        assert_eq!(code, Some(0), "{name:?}: {said}");
        let mut summary = csv::Reader::from_path(written.csv).unwrap();
        for row in summary.records().map(Result::unwrap) {
            let formula = row.iter().find(|cell| cell.starts_with(['=', '+', '-', '@']));
            assert_eq!(formula, None, "a spreadsheet would calculate it");
        }
        fs::write(run.join("run.json"), "{\"run\": 5}").unwrap();
        let (code, said) = verify(dir.path());
        assert!(code == Some(2) && said.contains("run.json: KeyError"), "{name:?}: {said}");
    }
}

fn the_script_says_that_it_does_not_read_parquet() {
    needs(&["python3"]);
    let dir = lab();
    report::write(dir.path()).unwrap();
    let run = dir.path().join("runs").join("tcp-0-1");
    fs::remove_file(run.join("records.csv")).unwrap();
    fs::create_dir(run.join("records.parquet")).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
    for dir in [dir.path(), &run] {
        fs::write(dir.join("summary.csv"), "").unwrap();
        let output = Command::new("python3").arg(script).arg(dir).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("records.parquet: this script reads records.csv only"), "{said}");
    }
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

fn a_directory_without_runs_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let error = report::write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("holds no runs"), "{error}");
    // A run killed at once still counts as a run, without numbers.
    fs::write(dir.path().join("records.csv"), "run,tra").unwrap();
    let written = report::write(dir.path()).unwrap();
    assert_eq!((written.runs, written.left_out.len()), (0, 1));
    assert!(fs::read_to_string(written.page).unwrap().contains("No run has finished"));
}

/// Rows cut off at any place, or changed, are no losses: the run is named and left out.
fn damaged_runs_and_runs_of_another_lab_are_named_and_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let plan = "loss = [0, 1]\ndelay_ms = 25\nmodes = \"tcp\"\nrepetitions = 3\nseed = 42\n";
    fs::write(dir.path().join("plan.toml"), plan).unwrap();
    let name = |loss, repetition| format!("loss{loss}-delay25-jitter0-burst1-tcp-{repetition}");
    let run = |loss, repetition| dir.path().join("runs").join(name(loss, repetition));
    for (at, repetition) in (0..).zip(1..=3) {
        for (loss, share) in [(0, 0.0), (1, 0.01)] {
            make_run(dir.path(), Mode::Tcp, share, repetition);
            let made = dir.path().join("runs").join(format!("tcp-{share}-{repetition}"));
            fs::rename(made, run(loss, repetition)).unwrap();
            let info = read_run(&run(loss, repetition)).unwrap().info.unwrap();
            let seed = 42 + 2 * at + loss;
            RunInfo { seed, ..info }.write(&run(loss, repetition)).unwrap();
        }
    }
    let report = |strict: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        let output = command.arg("report").arg(dir.path()).args(strict).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    assert_eq!(report(&["--strict"]).0, Some(0));

    let records = run(0, 1).join("records.csv");
    let whole = fs::read_to_string(&records).unwrap();
    let half = whole.lines().count() / 2;
    let cut: String = whole.lines().take(half).map(|line| format!("{line}\n")).collect();
    let torn = format!("{whole}r,udp");
    let longer = format!("{whole}{}\n", whole.lines().last().unwrap());
    let changed = whole.replacen(",delivered\n", ",duplicate\n", 1);
    let info = |loss, repetition, change: &dyn Fn(RunInfo) -> RunInfo| {
        let dir = run(loss, repetition);
        change(read_run(&dir).unwrap().info.unwrap()).write(&dir).unwrap();
    };
    info(0, 2, &|it| RunInfo { seed: 7, ..it });
    info(1, 2, &|it| RunInfo { version: "9.9".into(), ..it });
    fs::remove_file(run(0, 3).join("run.json")).unwrap();
    fs::write(run(1, 3).join("run.json"), "{\n\"run\": 5}").unwrap();
    for (rows, why) in [
        (cut, "rows where the run wrote 404"),
        (String::new(), "0 rows where the run wrote 404"),
        (torn, "its checksum is not the one in run.json"),
        (longer, "405 rows where the run wrote 404"),
        (changed, "its checksum is not the one in run.json"),
    ] {
        fs::write(&records, rows).unwrap();
        let (code, said) = report(&[]);
        assert_eq!((code, report(&["--strict"]).0), (Some(0), Some(1)), "{said}");
        let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
        for (name, why) in [
            (name(0, 1), why),
            (name(0, 2), "its seed is 7 where the plan has 44"),
            (name(1, 2), "chatagram 9.9 measured it, and 0.1.0 most runs"),
            (name(0, 3), "it did not finish"),
            (name(1, 3), "run.json, line 2: invalid type"),
        ] {
            let line = said.lines().find(|line| line.starts_with(&format!("left out: {name}: ")));
            assert!(line.is_some_and(|line| line.contains(why)), "{name} {why}: {said}");
            assert!(
                page.contains(&format!("<li>{name}: "))
                    && page.contains(why.split(',').next().unwrap())
            );
        }
        assert!(said.contains("\n1 run; open "), "{said}");
        if is_here("python3") {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
            let output = Command::new("python3").arg(script).arg(dir.path()).output().unwrap();
            let found = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && found.contains("all agree"), "{found}");
            for loss in [0, 1] {
                for repetition in 1..=3 {
                    let out = (loss, repetition) != (1, 1);
                    let line = format!("left out: {}: ", name(loss, repetition));
                    assert_eq!(found.contains(&line), out, "{line}: {found}");
                }
            }
        }
    }
    needs(&["python3"]);
}

/// A late machine is named, wherever its figures stand; the independent script agrees.
fn runs_that_the_machine_spoiled_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [Mode::Unreliable, Mode::Tcp] {
        for repetition in 1..=2 {
            make_run(dir.path(), mode, 0.05, repetition);
        }
    }
    let report = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        let output = command.arg("report").arg(dir.path()).args(options).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = report(&["--strict"]);
    assert!(code == Some(0) && !said.contains("spoiled"), "{said}");
    let run = dir.path().join("runs").join("tcp-0.05-2");
    let info = read_run(&run).unwrap().info.unwrap();
    let machine = Machine { send_late_p99_us: 23_400, steal: Some(0.3), ..info.machine };
    RunInfo { machine, ..info }.write(&run).unwrap();
    let (code, said) = report(&[]);
    let why = "messages were sent 23.4 ms late (99th percentile)";
    assert_eq!((code, report(&["--strict"]).0), (Some(0), Some(1)), "{said}");
    let line = format!("spoiled by the machine: tcp-0.05-2: {why}; the hypervisor took 30 %");
    let marked = |name: &str| {
        let row = said.lines().find(|row| row.trim_start().starts_with(name)).unwrap();
        row.ends_with(" !")
    };
    assert!(said.contains(&line) && marked("TCP, cubic ") && !marked("UDP"), "{said}");
    let page = fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert!(page.contains("The machine spoiled 1 of 4 runs.") && page.contains(why));
    assert_eq!(page.matches("! 1 of 2 spoiled").count(), 1);
    let summary = fs::read_to_string(dir.path().join("summary.json")).unwrap();
    assert!(summary.contains("\"late_ms\": 23.4") && summary.contains("\"tainted\": 1"));
    needs(&["python3"]);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/verify_report.py");
    let output = Command::new("python3").arg(script).arg(dir.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

fn a_directory_of_failed_runs_gives_the_first_reason() {
    let dir = tempfile::tempdir().unwrap();
    for (name, reason) in [("b.part", "run b: \u{1b}second\n"), ("a.part", "run a: first\n")] {
        let run = dir.path().join("runs").join(name);
        fs::create_dir_all(&run).unwrap();
        fs::write(run.join("failed.txt"), reason).unwrap();
    }
    let error = report::write(dir.path()).unwrap_err().to_string();
    assert!(error.contains("finished: run a: first\ntry them again"), "{error}");
    make_run(dir.path(), Mode::Tcp, 0.0, 1);
    assert_eq!(report::write(dir.path()).unwrap().runs, 1);
}

fn a_run_is_read_back_up_to_a_torn_last_row() {
    let dir = tempfile::tempdir().unwrap();
    make_run(dir.path(), Mode::ReliableOrdered, 0.05, 1);
    let dir = dir.path().join("runs").join("reliable-ordered-0.05-1");
    let run = read_run(&dir).unwrap();
    assert_eq!((run.records.len(), run.torn), (404, false));
    assert_eq!(run.info.as_ref().unwrap().mode, Mode::ReliableOrdered);
    let bytes = fs::read(dir.join("records.csv")).unwrap();
    fs::remove_file(dir.join("run.json")).unwrap();
    let start = bytes.len() - 120;
    for cut in start..bytes.len() {
        fs::write(dir.join("records.csv"), &bytes[..cut]).unwrap();
        let torn = read_run(&dir).unwrap();
        assert!(torn.info.is_none() && torn.records.len() < run.records.len());
        assert_eq!(torn.records, run.records[..torn.records.len()]);
    }
}

fn errors_name_the_file_and_the_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.csv");
    let header = "run,transport,mode,sender,receiver,id,intended_us,sent_us,arrived_us,\
                  delivered_us,verdict\n";
    let good = "r,udp,unreliable,a,b,0,1,1,2,2,delivered\n";
    for (line, problem) in [
        ("r,udp,unreliable,a,b,x,1,1,2,2,delivered\n", "id \"x\" is not a whole number"),
        ("r,udp,unreliable,a,b,1,1,1,2,2,shown\n", "there is no verdict \"shown\""),
        ("r,udp,unreliable,a,b,1,1,1,2,,delivered\n", "without delivered_us"),
        ("r,quic,unreliable,a,b,1,1,1,2,2,delivered\n", "there is no transport \"quic\""),
        ("r,udp\n", "2 columns where 11 are expected"),
    ] {
        fs::write(&path, format!("{header}{good}{line}{good}")).unwrap();
        let error = read_run(dir.path()).unwrap_err().to_string();
        assert!(error.contains("records.csv, line 3: ") && error.contains(problem), "{error}");
    }
    fs::write(&path, format!("{good}{header}")).unwrap();
    assert!(read_run(dir.path()).unwrap_err().to_string().contains("line 1: the header must be"));
    fs::write(&path, header).unwrap();
    fs::write(dir.path().join("run.json"), "{\n\"run\": 5}").unwrap();
    let error = read_run(dir.path()).unwrap_err().to_string();
    assert!(error.contains("run.json, line 2: "), "{error}");
}

tests! {
    the_page_is_complete_and_self_contained,
    every_setting_has_a_section_and_a_title_of_its_own,
    an_independent_script_agrees_and_detects_changed_numbers,
    #[cfg(target_os = "linux")]
    the_script_agrees_whatever_a_run_is_called,
    the_script_says_that_it_does_not_read_parquet,
    empty_and_partial_runs_have_a_page,
    #[cfg(target_os = "linux")]
    control_characters_in_a_run_name_do_not_reach_the_terminal,
    control_characters_in_run_json_do_not_reach_the_terminal,
    reports_at_the_same_time_write_whole_files,
    a_capture_that_lacks_packets_says_so,
    a_directory_without_runs_is_an_error,
    damaged_runs_and_runs_of_another_lab_are_named_and_left_out,
    runs_that_the_machine_spoiled_are_marked,
    a_directory_of_failed_runs_gives_the_first_reason,
    a_run_is_read_back_up_to_a_torn_last_row,
    errors_name_the_file_and_the_line,
}
