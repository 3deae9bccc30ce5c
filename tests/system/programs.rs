//! Chats of other authors in the lab: the five of `tests/chats` beside this crate's modes, programs
//! that break in every way, and their page in a browser.

mod awkward;
mod page;

use crate::lab::{lab, needs_namespaces, said};
use crate::needs::{needs, needs_time};
use crate::program::free_port;
use awkward::awkward_programs_are_measured_and_leave_nothing;
use chatagram::lab::record::Verdict;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const SMALL: [&str; 8] =
    ["--loss", "0", "--repetitions", "1", "--duration-s", "1", "--modes", "unreliable"];

/// A directory that every user can read, as programs run without privileges.
fn public() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

/// The chats in a directory that every user can read, and a plan with their paths there.
fn chats(dir: &Path) -> PathBuf {
    let from = Path::new(ROOT).join("tests/chats");
    for entry in fs::read_dir(&from).unwrap().map(Result::unwrap).filter(|it| it.path().is_dir()) {
        let to = dir.join(entry.file_name());
        fs::create_dir(&to).unwrap();
        for file in ["server.py", "client.py"] {
            fs::copy(entry.path().join(file), to.join(file)).unwrap();
        }
    }
    let plan = fs::read_to_string(from.join("plan.toml")).unwrap();
    let path = dir.join("plan.toml");
    fs::write(&path, plan.replace("tests/chats", dir.to_str().unwrap())).unwrap();
    path
}

fn verified(out: &str) {
    let script = Path::new(ROOT).join("scripts/verify_report.py");
    let output = Command::new("python3").arg(script).arg(out).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// The column of each row of a condition of this program.
fn column(out: &str, program: &str, name: &str) -> Vec<u64> {
    let mut rows = csv::Reader::from_path(Path::new(out).join("summary.csv")).unwrap();
    let heads = rows.headers().unwrap().clone();
    let at = |name: &str| heads.iter().position(|it| it == name).unwrap();
    let rows: Vec<_> = rows.records().map(Result::unwrap).collect();
    let of =
        rows.iter().filter(|row| &row[at("level")] == "condition" && &row[at("mode")] == program);
    of.map(|row| row[at(name)].parse().unwrap()).collect()
}

/// One repetition of the default plan, for its time.
fn five_chats_stand_beside_our_modes_with_their_faults() {
    needs_time();
    needs(&["python3"]);
    let dir = public();
    let plan = chats(dir.path());
    let out = dir.path().join("lab");
    let out = out.to_str().unwrap();
    let output = lab(&[plan.to_str().unwrap(), "--repetitions", "1", "--out", out]);
    needs_namespaces(&output);
    assert!(output.status.success(), "{}", said(&output));
    let all = |program: &str, name: &str| column(out, program, name).iter().sum::<u64>();
    for program in ["broadcast", "counted", "history", "named", "datagrams"] {
        assert_eq!(column(out, program, "sent").len(), 4, "{program}: one row for each loss");
    }
    // One of `counted` may: what its server sends to a client that has just left ends the thread
    // of the sender, whose client does not survive that.
    for program in ["broadcast", "history", "named", "datagrams"] {
        assert_eq!(all(program, "crashed"), 0, "{program}: no process ends");
    }
    for program in ["broadcast", "counted", "named"] {
        assert!(all(program, "fused") > 20, "{program}: one recv is taken for one message");
    }
    assert!(all("broadcast", "cut") > 0, "1,024 bytes are not a whole number of messages");
    assert_eq!(column(out, "broadcast", "hung"), [1; 4], "silence after a client has left");
    let lost = column(out, "datagrams", "lost");
    assert!(lost[0] == 0 && lost[3] > 10, "nobody sends a datagram again: {lost:?}");
    assert!(all("datagrams", "fused") == 0 && all("datagrams", "cut") == 0);
    let page = fs::read_to_string(Path::new(out).join("report.html")).unwrap();
    assert!(page.contains("Bad file descriptor"), "the page has the server's words");
    verified(out);
    page::look(&Path::new(out).join("report.html"));
}

/// Runs a server and a client, each a shell script, and returns the lab's words.
fn scripts(server: &str, client: &str) -> (tempfile::TempDir, String, bool) {
    needs(&["sh", "python3"]);
    let dir = public();
    fs::write(dir.path().join("server"), server).unwrap();
    fs::write(dir.path().join("client"), client).unwrap();
    let [server, client] =
        ["server", "client"].map(|it| format!("sh {}", dir.path().join(it).display()));
    let out = dir.path().join("lab");
    let programs = ["--server", &server, "--client", &client, "--out", out.to_str().unwrap()];
    let output = lab(&[&SMALL[..], &programs].concat());
    needs_namespaces(&output);
    (dir, said(&output), output.status.success())
}

const LISTEN: &str = "exec python3 -c 'import socket, time
s = socket.create_server((\"0.0.0.0\", 7000)); time.sleep(600)'";

/// The messages that the program's run delivered, and its description.
fn run_named(out: &Path, program: &str) -> (u64, serde_json::Value) {
    let name = format!("runs/loss0-delay25-jitter0-burst1-{program}-1");
    let run = chatagram::lab::record::read_run(&out.join(&name)).unwrap();
    let delivered = run.records.iter().filter(|it| it.verdict == Verdict::Delivered).count();
    let info = serde_json::from_slice(&fs::read(out.join(name).join("run.json")).unwrap());
    (delivered as u64, info.unwrap())
}

fn run_of(dir: &tempfile::TempDir) -> serde_json::Value {
    let run = dir.path().join("lab/runs/loss0-delay25-jitter0-burst1-program-1/run.json");
    serde_json::from_slice(&fs::read(run).unwrap()).unwrap()
}

/// Its port is found although the command has no `{port}`.
fn a_client_that_crashes_is_a_result() {
    let (dir, words, ok) = scripts(LISTEN, "read line; echo 'no such room' >&2; exit 3");
    assert!(ok, "{words}");
    let info = run_of(&dir);
    let ended = info["program"]["ended"].as_array().unwrap();
    assert_eq!((ended.len(), &ended[0]["who"]), (1, &"s1".into()), "only it was told a line");
    assert_eq!(ended[0]["how"], "exit status: 3");
    let server = format!("sh {}", dir.path().join("server").display());
    assert_eq!(info["program"]["program"]["server"], server, "the page shows both commands");
    assert!(info["program"]["errors"][0]["text"].as_str().unwrap().contains("no such room"));
    verified(dir.path().join("lab").to_str().unwrap());
}

/// Capabilities, user, and children in sessions of their own.
fn programs_have_no_privileges_and_leave_no_process() {
    needs(&["setsid"]);
    let mark = format!("7{}", std::process::id());
    let client = format!(
        "setsid sleep {mark} & grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs)' /proc/self/status; cat"
    );
    let (dir, words, ok) = scripts(&format!("sleep {mark} & {LISTEN}"), &client);
    assert!(ok, "{words}");
    let run = dir.path().join("lab/runs/loss0-delay25-jitter0-burst1-program-1");
    let output = fs::read_to_string(run.join("output.csv")).unwrap();
    for wanted in ["CapEff: 0000000000000000", "CapBnd: 0000000000000000", "NoNewPrivs: 1"] {
        assert!(output.contains(wanted), "{wanted}: {output}");
    }
    if rustix::process::geteuid().is_root() {
        assert!(!output.contains("Uid: 0"), "{output}");
    }
    let left = fs::read_dir("/proc").unwrap().filter_map(|it| {
        let words = fs::read(it.ok()?.path().join("cmdline")).ok()?;
        words.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()).then_some(())
    });
    assert_eq!(left.count(), 0, "a child stays behind");
}

/// Without the lab, against a server that runs already.
fn load_alone_drives_the_clients_of_a_program() {
    needs(&["python3"]);
    let dir = public();
    chats(dir.path());
    let chat = |file: &str| dir.path().join("counted").join(file).display().to_string();
    let port = free_port().to_string();
    let mut server = Command::new("python3");
    let mut server =
        server.args(["-u", &chat("server.py"), &port]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let out = dir.path().join("load");
    let client = format!("python3 {} {{host}} {{port}}", chat("client.py"));
    let output = Command::new(env!("CARGO_BIN_EXE_chatagram"))
        .args(["load", &format!("127.0.0.1:{port}"), "--client", &client, "--program", "counted"])
        .args(["--duration", "1s", "--rate", "20", "--out", out.to_str().unwrap()])
        .output();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(first.contains("running"), "{first}");
    let output = output.unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let info = fs::read(out.join("run.json")).unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info).unwrap();
    assert_eq!((&info["sent"], &info["mode"]), (&20.into(), &"counted".into()), "{info}");
    let delivered = said(&output);
    assert!(delivered.contains("20 sent, 100.00 % delivered"), "{delivered}");
}

fn a_server_that_cannot_be_reached_says_why() {
    let loopback = LISTEN.replace("0.0.0.0", "127.0.0.1");
    for (server, why) in [
        ("echo 'no module named chat' >&2; exit 2", "no module named chat"),
        (loopback.as_str(), "bind `0.0.0.0`"),
    ] {
        let (_dir, words, ok) = scripts(server, "cat");
        assert!(!ok && words.contains(why), "{words}");
    }
}

tests! {
    five_chats_stand_beside_our_modes_with_their_faults,
    a_client_that_crashes_is_a_result,
    programs_have_no_privileges_and_leave_no_process,
    load_alone_drives_the_clients_of_a_program,
    a_server_that_cannot_be_reached_says_why,
    awkward_programs_are_measured_and_leave_nothing,
}
