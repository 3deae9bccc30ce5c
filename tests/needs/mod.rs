//! Tools and privileges that a test needs beyond Rust and a C linker. A test without them is
//! skipped.
//!
//! A test program with such tests declares `harness = false` in `Cargo.toml`; its modules list
//! their tests in [`tests!`]. A test that cannot run calls [`needs`] or [`skip`]: it is then
//! neither passed nor failed, but ignored with a reason. If `CI` is set, it fails. The last test
//! program prints all skipped tests.
#![allow(dead_code, unused_imports, clippy::panic)]

mod amount;
mod skipped;

pub(crate) use amount::{amount, is_all};
pub(crate) use skipped::summary;

use libtest_mimic::{Arguments, Completion, Trial};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs};

/// A test. Its name begins with the path of its module.
pub(crate) struct Test {
    name: String,
    run: Box<dyn Fn() + Send>,
    /// Runs only if the arguments ask for ignored tests.
    ignored: bool,
}

/// A task of this program instead of its tests, when started with `--role NAME ARGUMENT...`.
pub(crate) type Role = (&'static str, fn(&[&str]));

/// Tests that a run lists with their durations, at most, and the shortest of these.
const SLOWEST: usize = 20;
const SLOW: Duration = Duration::from_secs(10);

/// The exit code of a role that skips its test.
const SKIPPED: u8 = 77;

/// Defines `tests()` with these tests, each with its `#[cfg]`, and `ROLES`. `@ignored` tests run
/// only with `--ignored`.
macro_rules! tests {
    (
        $($(#[$when:meta])* $test:path,)+
        $(@ignored $ignored:path,)*
        $(@role $role:ident,)*
    ) => {
        pub(crate) fn tests() -> Vec<$crate::needs::Test> {
            vec![
                $($(#[$when])* $crate::needs::Test::new(module_path!(), stringify!($test), $test),)+
                $($crate::needs::Test::new(module_path!(), stringify!($ignored), $ignored)
                    .ignored(),)*
            ]
        }
        #[allow(dead_code)]
        pub(crate) const ROLES: &[$crate::needs::Role] = &[$((stringify!($role), $role)),*];
    };
}

impl Test {
    pub(crate) fn new(module: &str, name: &str, run: impl Fn() + Send + 'static) -> Self {
        // Without the program's name.
        let module = module.split_once("::").map_or("", |(_program, module)| module);
        let path = if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") };
        Self { name: path, run: Box::new(run), ignored: false }
    }

    pub(crate) fn ignored(self) -> Self {
        Self { ignored: true, ..self }
    }
}

struct Skipped(String);

/// Skips the calling test, from any depth; fails it if `CI` is set.
pub(crate) fn skip(why: impl Into<String>) -> ! {
    let why = why.into();
    assert!(!is_ci(), "no test may be skipped if CI is set: {why}");
    resume_unwind(Box::new(Skipped(why)))
}

/// Skips the calling test, which takes minutes, unless `CHATAGRAM_TESTS=all` asks for it.
pub(crate) fn needs_time() {
    if !is_all() {
        skip("takes minutes; CHATAGRAM_TESTS=all runs it");
    }
}

/// True if no test may be skipped in this run.
pub(crate) fn is_ci() -> bool {
    env::var_os("CI").is_some_and(|value| !value.is_empty())
}

/// Skips the calling test unless all these programs are on the `PATH`.
pub(crate) fn needs(programs: &[&str]) {
    let missing: Vec<_> = programs.iter().copied().filter(|name| !is_here(name)).collect();
    if !missing.is_empty() {
        skip(format!("{} not on the PATH", missing.join(", ")));
    }
}

/// True if the program is on the `PATH`.
pub(crate) fn is_here(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).any(|directory| is_executable(&directory.join(&name)))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

/// The command that runs this program in another role. By its path, because `/proc/self/exe` is
/// another program's for a child such as `unshare`.
pub(crate) fn itself() -> Command {
    Command::new(env::current_exe().unwrap())
}

/// Runs the role for which this process was started, if any.
pub(crate) fn play(roles: &[Role]) -> Option<ExitCode> {
    let args: Vec<_> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ["--role", role, rest @ ..] = &args[..] else { return None };
    let (_, play) = roles.iter().find(|(name, _)| name == role)?;
    let Err(payload) = catch_unwind(|| play(rest)) else { return Some(ExitCode::SUCCESS) };
    let why = payload.downcast::<Skipped>().unwrap_or_else(|other| resume_unwind(other)).0;
    println!("{why}");
    Some(SKIPPED.into())
}

/// Runs the calling test in a child process, which this command starts in a role.
pub(crate) fn delegate(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match output.status.code() {
        Some(0) => print!("{said}"),
        Some(code) if code == i32::from(SKIPPED) => skip(said.lines().last().unwrap_or_default()),
        _ => panic!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)),
    }
}

/// The `main` of a test program, with the usual options. The argument, `threads` and
/// `RUST_TEST_THREADS`, in this order, set the number of concurrent tests.
pub(crate) fn run(tests: Vec<Test>, threads: Option<usize>) -> ExitCode {
    let mut args = Arguments::from_args();
    let usual = || env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    args.test_threads = args.test_threads.or(threads).or_else(usual);
    let skipped = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::new(Mutex::new(Vec::new()));
    let trial = |Test { name, run, ignored }| {
        let (test, skipped) = (String::clone(&name), Arc::clone(&skipped));
        let times = Arc::clone(&times);
        let trial = Trial::ignorable_test(name, move || {
            let start = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(&run));
            let took = (start.elapsed(), test.clone());
            times.lock().unwrap_or_else(PoisonError::into_inner).push(took);
            // The harness turns any other payload into a failure.
            let Err(payload) = ended else {
                return Ok(Completion::Completed);
            };
            let why = payload.downcast::<Skipped>().unwrap_or_else(|other| resume_unwind(other)).0;
            skipped
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((test.clone(), why.clone()));
            Ok(Completion::ignored_with(why))
        });
        trial.with_ignored_flag(ignored)
    };
    let conclusion = libtest_mimic::run(&args, tests.into_iter().map(trial).collect());
    let mut times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
    times.retain(|(took, _)| *took >= SLOW);
    if !times.is_empty() {
        times.sort_by(|a, b| b.cmp(a));
        println!("the slowest tests:");
        times.iter().take(SLOWEST).for_each(|(took, test)| println!("  {took:>6.1?} {test}"));
    }
    if !args.list {
        let skipped = std::mem::take(&mut *skipped.lock().unwrap_or_else(PoisonError::into_inner));
        skipped::leave(skipped);
    }
    conclusion.exit_code()
}
