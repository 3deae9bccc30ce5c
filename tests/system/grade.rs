//! `chatagram grade`: the clients that are right get their points, each mutant loses those of its
//! fault, and no output of a client spoils a report.

#[cfg(target_os = "linux")]
pub(crate) mod class;
pub(crate) mod plan;

use crate::needs::{amount, is_all, needs};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the graded clients are read: a user without privileges can read them there.
struct Clients(tempfile::TempDir);

impl Clients {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clients = Self(dir);
        for file in ["scripts/minimal_client.py", "tests/system/grade/full_client.py"] {
            let copy = clients.0.path().join(file);
            std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
            std::fs::copy(root().join(file), copy).unwrap();
        }
        open_to_all(clients.0.path());
        clients
    }

    fn minimal(&self) -> String {
        self.path("scripts/minimal_client.py")
    }

    fn full(&self) -> String {
        self.path("tests/system/grade/full_client.py")
    }

    fn path(&self, file: &str) -> String {
        let path: PathBuf = self.0.path().join(file);
        path.to_str().unwrap().to_owned()
    }

    /// A client of these lines of Python.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

#[cfg(unix)]
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) {}

fn grade(options: &[&str], command: &[&str]) -> Output {
    let mut it = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        it.env_remove(name);
    }
    it.arg("grade").args(options).arg("--").args(command).stdin(Stdio::null()).output().unwrap()
}

fn text_of(output: &Output) -> String {
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_str(&text_of(output)).unwrap_or_else(|_| panic!("{output:?}"))
}

/// The criteria with these verdicts.
fn with(report: &Value, verdict: &str) -> Vec<String> {
    let rows = report["criteria"].as_array().unwrap();
    let found = rows.iter().filter(|row| row["verdict"] == verdict);
    found.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Seeds of each client: one, or as many as `CHATAGRAM_SEEDS` asks for.
fn seeds() -> std::ops::RangeInclusive<u64> {
    1..=amount("CHATAGRAM_SEEDS", 1, 1)
}

fn a_client_of_part_1_gets_the_points_of_part_1() {
    needs(&["python3"]);
    let clients = Clients::new();
    for seed in seeds() {
        let seed = seed.to_string();
        let report = json_of(&grade(
            &["--format", "json", "--seed", &seed],
            &["python3", &clients.minimal()],
        ));
        let failed: Vec<_> = report["criteria"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|row| row["part"] == 1 && row["verdict"] != "passed")
            .collect();
        assert!(failed.is_empty(), "seed {seed}: {failed:#?}");
        assert_eq!(report["earned"], 80, "seed {seed}: {report:#}");
    }
}

fn a_full_client_gets_all_points() {
    needs(&["python3"]);
    let clients = Clients::new();
    for seed in seeds() {
        let seed = seed.to_string();
        let options = ["--format", "json", "--seed", &seed, "--only", ALL];
        let output = grade(&options, &["python3", &clients.full()]);
        let report = json_of(&output);
        assert_eq!(report["earned"], report["points"], "seed {seed}: {report:#}");
        assert_eq!(output.status.code(), Some(0));
    }
}

/// The program's own client, behind an adapter of the contract.
#[cfg(unix)]
fn the_programs_own_client_gets_all_points() {
    needs(&["sh"]);
    let clients = Clients::new();
    let program = clients.path("chatagram");
    std::fs::copy(env!("CARGO_BIN_EXE_chatagram"), &program).unwrap();
    let adapter = "case $1 in tcp://*) over='--transport tcp' ;; esac
        exec \"$0\" client \"${1#tcp://}\" --nick \"$2\" --no-cache --stay 1s $over";
    let options = ["--format", "json", "--only", ALL];
    let output = grade(&options, &["sh", "-c", adapter, &program]);
    let report = json_of(&output);
    assert_eq!(report["earned"], report["points"], "{report:#}");
}

/// The mutants and the criterion that each one fails.
fn mutants(clients: &Clients) -> BTreeMap<String, String> {
    let output = Command::new("python3").arg(clients.full()).arg("--list").output().unwrap();
    let text = text_of(&output);
    let pairs = text.lines().map(|line| line.split_once(' ').unwrap());
    pairs.map(|(name, criterion)| (name.to_owned(), criterion.to_owned())).collect()
}

/// All criteria, those too that are judged only if they are named.
const ALL: &str = "part1,part2,part3";

/// Mutants that run at once: they mostly wait.
const AT_ONCE: usize = 6;

/// Without `CHATAGRAM_TESTS=all` a few mutants that do not wait for a deadline, and only with
/// `CHATAGRAM_SEEDS` all criteria.
fn each_mutant_fails_at_its_criterion_and_nowhere_else() {
    const FEW: [&str; 5] =
        ["acks-next", "no-bitmap", "no-duplicates-check", "no-path-response", "reads-are-records"];
    needs(&["python3"]);
    let clients = Clients::new();
    let all = mutants(&clients);
    assert!(all.len() >= 40, "{}", all.len());
    let list = text_of(&grade(&["--list", "--only", ALL], &["true"]));
    for criterion in list.lines().filter_map(|line| line.split_whitespace().nth(1)) {
        assert!(all.values().any(|it| it == criterion), "no mutant fails {criterion}");
    }
    let is_whole = std::env::var_os("CHATAGRAM_SEEDS").is_some();
    let chosen = all.iter().filter(|(name, _)| is_all() || is_whole || FEW.contains(&&***name));
    let jobs: Vec<_> = chosen.flat_map(|job| seeds().map(move |seed| (job, seed))).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(((name, criterion), seed)) = jobs.get(next.fetch_add(1, Relaxed)) {
                    let seed = seed.to_string();
                    let only = if is_whole { ALL } else { criterion };
                    let options = ["--format", "json", "--seed", &seed, "--only", only];
                    let command = ["python3", &clients.full(), "--mutant", name];
                    let report = json_of(&grade(&options, &command));
                    let failed = with(&report, "failed");
                    if failed != [criterion.as_str()] {
                        let rows = report["criteria"].as_array().unwrap();
                        let why: Vec<_> =
                            rows.iter().filter(|row| row["verdict"] == "failed").collect();
                        let text = format!("{name}, seed {seed}: not {criterion}, but {why:#?}");
                        wrong.lock().unwrap().push(text);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} of {}: {}", wrong.len(), jobs.len(), wrong.join("\n"));
}

fn a_report_names_what_it_cannot_judge_and_its_seed() {
    needs(&["python3"]);
    let clients = Clients::new();
    let silent = clients.script("silent.py", "");
    let options = ["--only", "cookie", "--seed", "77"];
    let output = grade(&options, &["python3", &silent]);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAILED  0/3  header"), "{text}");
    assert!(text.contains("because header did not pass"), "{text}");
    assert!(text.trim_end().ends_with("--seed 77"), "{text}");
}

/// What a client prints reaches a report only escaped, and no more of it than a few lines.
fn a_hostile_client_spoils_no_report() {
    needs(&["python3"]);
    let clients = Clients::new();
    let hostile = "import sys\nsys.stderr.write('\\x1b[2J]]><&\"\\x00\\ufffe\\n')\nsys.exit(9)\n";
    let hostile = clients.script("hostile.py", hostile);
    let flood = clients.script("flood.py", "while True: print('y' * 1000)\n");
    let check = |client: &str, format: &str| {
        let options = ["--only", "header", "--format", format];
        let text = text_of(&grade(&options, &["python3", client]));
        let is_harmless = |ch: char| ch == '\n' || !ch.is_control();
        assert!(text.chars().all(is_harmless), "{format}: {text:?}");
        assert!(text.len() < 20_000, "{format}: {} bytes", text.len());
    };
    let (hostile, flood, check) = (&hostile, &flood, &check);
    // They mostly wait.
    std::thread::scope(|scope| {
        for format in ["text", "json", "junit", "gradescope", "csv"] {
            scope.spawn(move || [hostile, flood].map(|client| check(client, format)));
        }
    });
}

/// Processes with this argument.
#[cfg(target_os = "linux")]
fn with_mark(mark: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().filter(|entry| {
        let line = std::fs::read(entry.as_ref().unwrap().path().join("cmdline"));
        line.is_ok_and(|line| line.split(|byte| *byte == 0).any(|it| it == mark.as_bytes()))
    });
    processes.count()
}

/// Also those of a client that ends at once, and of one that the grader ends: it prints too much.
#[cfg(target_os = "linux")]
fn the_processes_of_a_client_end_with_it() {
    needs(&["sh", "sleep", "yes"]);
    let clients = Clients::new();
    let mark = format!("9{}", std::process::id());
    let ends = clients.script("ends.sh", &format!("sleep {mark} & exit 1\n"));
    let floods = clients.script("floods.sh", &format!("sleep {mark} & exec yes\n"));
    for client in [&ends, &floods] {
        grade(&["--only", "header"], &["sh", client]);
        assert_eq!(with_mark(&mark), 0, "{client}");
    }
}

fn usage_errors_say_what_to_do() {
    let says = |options: &[&str], command: &[&str], code: i32, words: &str| {
        let output = grade(options, command);
        let text = String::from_utf8(output.stderr.clone()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text.contains(words), "{text}");
    };
    says(&[], &[], 2, "name the client to grade");
    says(&["--only", "nothing"], &["true"], 2, "chatagram grade --list");
    says(&[], &["/no/such/client"], 3, "cannot start /no/such/client");
    says(&["--student", "ann"], &["true"], 2, "--course-key");
    says(&["--student", "ann", "--course-key", "/no/key"], &["true"], 2, "cannot read /no/key");
}

fn a_student_has_the_same_case_again_and_another_than_the_next() {
    needs(&["python3"]);
    let clients = Clients::new();
    let key = clients.script("key", "the key of the course");
    let silent = clients.script("silent.py", "");
    let seed = |student: &str| {
        let options =
            ["--only", "header", "--student", student, "--course-key", &key, "--format", "json"];
        json_of(&grade(&options, &["python3", &silent]))["seed"].as_u64().unwrap()
    };
    let (ann, bob) = (seed("ann"), seed("bob"));
    assert_ne!(ann, bob);
    assert_eq!(seed("ann"), ann);
}

tests! {
    a_client_of_part_1_gets_the_points_of_part_1,
    a_full_client_gets_all_points,
    #[cfg(unix)]
    the_programs_own_client_gets_all_points,
    each_mutant_fails_at_its_criterion_and_nowhere_else,
    a_report_names_what_it_cannot_judge_and_its_seed,
    a_hostile_client_spoils_no_report,
    #[cfg(target_os = "linux")]
    the_processes_of_a_client_end_with_it,
    usage_errors_say_what_to_do,
    a_student_has_the_same_case_again_and_another_than_the_next,
}
