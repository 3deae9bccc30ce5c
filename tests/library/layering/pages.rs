//! The pages for people: the README is short, lines fit a screen as those of all sources do, and
//! links lead somewhere.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};

/// Limit of the README in bytes: a reader has ten minutes.
const README: usize = 12 * 1_024;
const COLUMNS: usize = 100;
/// The endings of sources whose lines are as short as those of the pages.
const SOURCES: [&str; 9] = ["rs", "py", "lua", "sh", "c", "toml", "css", "html", "js"];

/// The pages, as paths from the root of the repository.
fn pages() -> Vec<String> {
    let docs = std::fs::read_dir(root().join("src/docs")).unwrap();
    let docs = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let docs = docs.map(|name| format!("src/docs/{name}"));
    let others = ["README.md", "proto.md", "scripts/exercises.md"].map(str::to_owned);
    others.into_iter().chain(docs).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap()
}

/// The lines outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n```").step_by(2).flat_map(str::lines)
}

/// The targets of a page's links and images, without those that leave the repository.
fn links(text: &str) -> Vec<&str> {
    let inline = prose(text).flat_map(|line| line.split("](").skip(1));
    let inline = inline.filter_map(|rest| Some(rest.split_once(')')?.0));
    let definitions = prose(text).filter(|line| line.starts_with('['));
    let definitions = definitions.filter_map(|line| Some(line.split_once("]: ")?.1));
    inline.chain(definitions).filter(|target| !target.contains("://")).collect()
}

/// The anchors that GitHub gives a page's headings: lower case, hyphens for spaces, no punctuation.
fn anchors(text: &str) -> HashSet<String> {
    let mut anchors = HashSet::new();
    for heading in prose(text).filter(|line| line.starts_with('#')) {
        let title = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|ch| ch.is_alphanumeric() || " -_".contains(*ch));
        let anchor = kept.collect::<String>().replace(' ', "-");
        let again = (1..).map(|nth| format!("{anchor}-{nth}"));
        let free = std::iter::once(anchor.clone()).chain(again).find(|it| !anchors.contains(it));
        anchors.extend(free);
    }
    anchors
}

/// The path of a link in this page, from the root of the repository.
fn resolve(page: &str, target: &str) -> String {
    let mut path = PathBuf::new();
    for part in Path::new(page).parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: {target} leaves the repository"),
            other => path.push(other),
        }
    }
    path.to_str().unwrap().to_owned()
}

#[test]
fn the_readme_is_short() {
    let length = read("README.md").len();
    assert!(length <= README, "README.md has {length} bytes: move the long parts to src/docs");
}

#[test]
fn lines_fit_a_screen_except_in_tables_and_with_addresses() {
    let mut files: Vec<_> = pages().iter().map(|page| root().join(page)).collect();
    for place in ["src", "tests", "scripts", "Cargo.toml"] {
        super::collect(&root().join(place), &SOURCES, &mut files);
    }
    for path in files {
        for (line, nth) in std::fs::read_to_string(&path).unwrap().lines().zip(1..) {
            let columns = line.chars().count();
            let free = line.starts_with('|') || line.contains("://");
            let path = path.display();
            assert!(free || columns <= COLUMNS, "{path}:{nth} has {columns} columns: {line}");
        }
    }
}

#[test]
fn every_relative_link_and_anchor_resolves() {
    let mut count = 0;
    for page in pages() {
        for link in links(&read(&page)) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let file = if target.is_empty() { page.clone() } else { resolve(&page, target) };
            let exists = root().join(&file).exists();
            assert!(exists, "{page}: no file for {link}");
            let known = anchor.is_empty() || anchors(&read(&file)).contains(anchor);
            assert!(known, "{page}: no heading for {link}");
            count += 1;
        }
    }
    assert!(count >= 40, "{count} links");
}

/// A page names a test as `--lib FILTER`, `--bin NAME FILTER` or `--test PROGRAM FILTER`. The name
/// of a test, or of its file, has to contain the filter.
#[test]
fn every_test_that_a_page_names_exists() {
    let mut named = 0;
    for page in pages() {
        let text = read(&page);
        for words in text.split('`').map(|code| code.split(' ').collect::<Vec<_>>()) {
            let Some(at) = words.iter().position(|it| ["--lib", "--bin", "--test"].contains(it))
            else {
                continue;
            };
            let (sources, filter) = match (words[at], &words[at + 1..]) {
                ("--lib", [filter, ..]) => (names("src"), *filter),
                ("--bin", [name, filter, ..]) => (names(&format!("src/bin/{name}")), *filter),
                ("--test", [name, rest @ ..]) => {
                    let sources =
                        [names(&format!("tests/{name}.rs")), names(&format!("tests/{name}"))]
                            .concat();
                    assert!(!sources.is_empty(), "{page}: there is no test program {name}");
                    (sources, rest.first().copied().unwrap_or_default())
                }
                _ => continue,
            };
            if filter.is_empty() || filter.starts_with('-') {
                continue;
            }
            named += 1;
            let last = filter.trim_end_matches("::").rsplit("::").next().unwrap();
            let found = sources.iter().any(|name| name.contains(last));
            assert!(found, "{page}: no test has {filter} in its name: {}", words.join(" "));
        }
    }
    assert!(named > 10, "{named}");
}

/// The names of the functions, modules and named checks in the sources at a path.
fn names(path: &str) -> Vec<String> {
    let mut files = Vec::new();
    let path = root().join(path);
    if path.exists() {
        super::collect(&path, &["rs"], &mut files);
    }
    let mut names = Vec::new();
    for path in files {
        names.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        let text = std::fs::read_to_string(path).unwrap();
        let functions = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
        names.extend(functions.map(str::to_owned));
        let checks = text.lines().filter_map(|line| line.trim().strip_prefix("(\""));
        names.extend(checks.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
    }
    names
}
