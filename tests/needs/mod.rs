//! What a test needs of the machine beyond Rust and a C linker, and how a test without it is
//! skipped.
//!
//! A test program with such tests declares `harness = false` in `Cargo.toml` and lists its tests in
//! [`tests!`]. A test that cannot run calls [`needs`] or [`skip`]: it is then neither passed nor
//! failed, but ignored with a reason. If `CI` is set, it fails. `tests/zz_skipped.rs` runs last and
//! prints all skipped tests.
#![allow(dead_code, clippy::panic)]

mod amount;

use amount::is_all;
use libtest_mimic::{Arguments, Completion, Trial};
use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::{env, fs};

/// Defines `main` with these tests, each with its `#[cfg]`. `@role NAME` is not a test: a child of
/// this program runs it when started with `--role NAME`.
macro_rules! tests {
    ($($(#[$when:meta])* $test:path,)+ $(@role $role:path,)*) => {
        pub(crate) fn main() -> std::process::ExitCode {
            let roles: &[(&str, fn())] = &[$((stringify!($role), $role)),*];
            if let Some(code) = $crate::needs::play(roles) {
                return code;
            }
            let tests: &[(&str, fn())] = &[$($(#[$when])* (stringify!($test), $test)),+];
            $crate::needs::run(tests.iter().copied())
        }
    };
}

/// The directory with a file for each program, with a line for each test that it skipped.
pub(crate) fn lists() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped")
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

/// The `main` of a program whose tests need another system.
pub(crate) fn not_here(why: &'static str) -> ExitCode {
    run([("all", move || skip(why))])
}

/// Runs the role for which this process was started, if any.
pub(crate) fn play(roles: &[(&str, fn())]) -> Option<ExitCode> {
    let mut args = env::args().skip(1);
    let role = args.next().filter(|arg| arg == "--role").and_then(|_| args.next())?;
    let (_, play) = roles.iter().find(|(name, _)| *name == role)?;
    play();
    Some(ExitCode::SUCCESS)
}

/// The `main` of a test program, with the usual options.
pub(crate) fn run<N: Into<String>, F: Fn() + Send + 'static>(
    tests: impl IntoIterator<Item = (N, F)>,
) -> ExitCode {
    run_with(env::args_os(), None, tests)
}

/// The same with these arguments, of which the first is the program's name. The arguments,
/// `threads` and `RUST_TEST_THREADS`, in this order, set the number of concurrent tests.
pub(crate) fn run_with<N: Into<String>, F: Fn() + Send + 'static>(
    args: impl IntoIterator<Item = OsString>,
    threads: Option<usize>,
    tests: impl IntoIterator<Item = (N, F)>,
) -> ExitCode {
    let mut args = Arguments::from_iter(args);
    let usual = || env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    args.test_threads = args.test_threads.or(threads).or_else(usual);
    let skipped = Arc::new(Mutex::new(Vec::new()));
    let trial = |(name, test): (N, F)| {
        let (name, skipped) = (name.into(), Arc::clone(&skipped));
        Trial::ignorable_test(name.clone(), move || {
            // The harness turns any other payload into a failure.
            let Err(payload) = catch_unwind(AssertUnwindSafe(test)) else {
                return Ok(Completion::Completed);
            };
            let why = payload.downcast::<Skipped>().unwrap_or_else(|other| resume_unwind(other)).0;
            let line = format!("{name}\t{why}\n");
            skipped.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            Ok(Completion::ignored_with(why))
        })
    };
    let trials = tests.into_iter().map(trial).collect();
    let conclusion = libtest_mimic::run(&args, trials);
    if !args.list {
        let mut lines =
            std::mem::take(&mut *skipped.lock().unwrap_or_else(PoisonError::into_inner));
        lines.sort();
        leave(&lines.concat());
    }
    conclusion.exit_code()
}

/// Writes the list for `tests/zz_skipped.rs`.
fn leave(list: &str) {
    let file = lists().join(env!("CARGO_CRATE_NAME"));
    let written = fs::create_dir_all(lists()).and_then(|()| fs::write(&file, list));
    if let Err(error) = written {
        eprintln!("cannot write {}: {error}", file.display());
    }
}
