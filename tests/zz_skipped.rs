//! Prints the tests that were skipped, with reasons. Cargo runs test programs in alphabetical
//! order, so this one is the last.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
#[allow(unused_macros)]
mod needs;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let code = needs::run([("programs_without_a_harness_list_all_their_tests", no_test_is_lost)]);
    if !std::env::args().any(|arg| arg == "--list") {
        print!("{}", summary(&taken()));
    }
    code
}

/// The tests that were skipped, by reason. Removes the lists: a program that does not run next time
/// has skipped no test then.
fn taken() -> BTreeMap<String, Vec<String>> {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(needs::lists()).into_iter().flatten().flatten() {
        let program = entry.file_name().to_string_lossy().into_owned();
        let list = fs::read_to_string(entry.path()).unwrap_or_default();
        for (test, why) in list.lines().filter_map(|line| line.split_once('\t')) {
            reasons.entry(why.to_owned()).or_default().push(format!("{program}: {test}"));
        }
    }
    let _ = fs::remove_dir_all(needs::lists());
    reasons.values_mut().for_each(|tests| tests.sort());
    reasons
}

fn summary(reasons: &BTreeMap<String, Vec<String>>) -> String {
    let count: usize = reasons.values().map(Vec::len).sum();
    if count == 0 {
        return "no test was skipped\n".to_owned();
    }
    let mut text = format!("{count} tests were skipped, and are not among those that passed:\n");
    for (why, tests) in reasons {
        text += &format!("  {why}\n");
        tests.iter().for_each(|test| text += &format!("    {test}\n"));
    }
    text
}

/// With `harness = false`, the compiler drops functions marked `#[test]`.
fn no_test_is_lost() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table =
        fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let programs = manifest["test"].as_array().unwrap();
    let bare = programs.iter().filter(|it| it["harness"].as_bool() == Some(false));
    for program in bare {
        let name = program["name"].as_str().unwrap();
        let mut files = vec![root.join(format!("tests/{name}.rs"))];
        let modules = fs::read_dir(root.join("tests").join(name)).into_iter().flatten().flatten();
        files.extend(modules.map(|entry| entry.path()));
        for file in files.iter().filter(|file| file.extension().is_some_and(|it| it == "rs")) {
            let text = fs::read_to_string(file).unwrap();
            let lost = text.lines().any(|line| line.trim() == concat!("#[", "test]"));
            assert!(!lost, "{}: list the test in tests! instead of #[test]", file.display());
        }
    }
}
