//! The skipped tests of all programs of one run of `cargo test`: each program leaves a list, and
//! the last one prints them all.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The directory with a file for each program, with a line for each test that it skipped.
fn lists() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped")
}

/// Writes this program's list: names and reasons.
pub(super) fn leave(mut skipped: Vec<(String, String)>) {
    skipped.sort();
    let lines: String = skipped.iter().map(|(test, why)| format!("{test}\t{why}\n")).collect();
    let file = lists().join(env!("CARGO_CRATE_NAME"));
    let written = fs::create_dir_all(lists()).and_then(|()| fs::write(&file, lines));
    if let Err(error) = written {
        eprintln!("cannot write {}: {error}", file.display());
    }
}

/// The skipped tests of all programs, by reason. Removes the lists: a program that does not run
/// next time has skipped no test then.
pub(crate) fn summary() -> String {
    let mut reasons: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in fs::read_dir(lists()).into_iter().flatten().flatten() {
        let list = fs::read_to_string(entry.path()).unwrap_or_default();
        for (test, why) in list.lines().filter_map(|line| line.split_once('\t')) {
            reasons.entry(why.to_owned()).or_default().push(test.to_owned());
        }
    }
    let _ = fs::remove_dir_all(lists());
    let count: usize = reasons.values().map(Vec::len).sum();
    if count == 0 {
        return "no test was skipped\n".to_owned();
    }
    let mut text = format!("{count} tests were skipped, and are not among those that passed:\n");
    for (why, mut tests) in reasons {
        tests.sort();
        text += &format!("  {why}\n");
        tests.iter().for_each(|test| text += &format!("    {test}\n"));
    }
    text
}
