//! The layering rules of `src/lib.rs` that the compiler cannot check: the core names no socket,
//! thread, clock or file type of the standard library, dependencies between its modules point one
//! way, and one module uses the codec. Crates that do I/O are kept out by features:
//! `cargo check --lib --no-default-features`.

use std::fs;
use std::path::{Path, PathBuf};

mod pages;

/// Names from the standard library that the core must not use.
const SHELL_ONLY: [&str; 9] = [
    "std::thread",
    "std::fs",
    "std::io",
    "Instant",
    "SystemTime",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "println!",
];

/// A part of the core, and the other parts that it may use.
const MAY_USE: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("percentile", &[]),
    ("prefetch", &[]),
    ("protocol", &["time"]),
    ("quantity", &["time"]),
    ("ticket", &["protocol"]),
    ("impair", &["time", "quantity"]),
    ("decode", &["time", "protocol"]),
    ("discovery", &["time", "protocol"]),
    ("link", &["time", "percentile", "prefetch", "protocol"]),
    ("bucket", &["time", "protocol"]),
    ("path", &[]),
    ("registry", &["time", "protocol", "path"]),
    ("room", &["time", "protocol", "link", "registry"]),
    ("engine", &["time", "protocol", "registry", "room"]),
    (
        "hub",
        &[
            "time", "prefetch", "quantity", "protocol", "link", "bucket", "path", "registry",
            "room", "engine",
        ],
    ),
    ("client/session", &["time", "protocol", "link", "bucket"]),
];

#[test]
fn the_core_names_no_socket_thread_clock_or_file() {
    for (part, _) in MAY_USE.iter().copied() {
        for (path, text) in sources(part) {
            for forbidden in SHELL_ONLY {
                assert!(!text.contains(forbidden), "{} names {forbidden}", path.display());
            }
        }
    }
}

#[test]
fn dependencies_point_one_way() {
    for (part, allowed) in MAY_USE.iter().copied() {
        for (path, text) in sources(part) {
            for used in text.split("crate::").skip(1) {
                let used: String =
                    used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let own = part == used || (part.starts_with("client") && used == "client");
                assert!(own || allowed.contains(&used.as_str()), "{} uses {used}", path.display());
            }
        }
    }
}

#[test]
fn one_module_knows_bincode_and_the_three_with_checksums_know_crc32() {
    const OWNERS: [(&str, &[&str]); 2] = [
        ("bincode::", &["protocol/codec.rs"]),
        ("crc32fast::", &["protocol/codec.rs", "history/record.rs", "lab/record/sum.rs"]),
    ];
    for (path, text) in sources("") {
        for (library, owners) in OWNERS {
            let owner = owners.iter().any(|owner| path.ends_with(owner));
            assert!(owner || !text.contains(library), "{} uses {library}", path.display());
        }
    }
}

/// The catalogue of vectors is a table.
#[test]
fn no_file_has_more_than_450_lines_except_a_table() {
    let mut files = Vec::new();
    for place in ["src", "tests"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(place), &["rs"], &mut files);
    }
    for path in files.iter().filter(|path| !path.ends_with("vectors/catalogue.rs")) {
        let lines = fs::read_to_string(path).unwrap().lines().count();
        assert!(lines <= 450, "{} has {lines} lines: split it by what it owns", path.display());
    }
}

/// With `harness = false`, the compiler drops functions marked `#[test]`. And it knows nothing of a
/// file that no module declares.
#[test]
fn programs_with_a_main_of_their_own_lose_no_test() {
    for program in ["memory", "system"] {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(program);
        let main = fs::read_to_string(directory.join("main.rs")).unwrap();
        let mut files = Vec::new();
        collect(&directory, &["rs"], &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            let lost = text.lines().any(|line| line.trim() == concat!("#[", "test]"));
            assert!(!lost, "{}: list the test in tests! instead of #[test]", file.display());
            let name = file.file_stem().unwrap().to_str().unwrap();
            let declared = file.parent() != Some(&*directory)
                || name == "main"
                || main.contains(&format!("\nmod {name};\n"));
            assert!(declared, "{}: declare the module in main.rs", file.display());
        }
    }
}

/// Files and directories of unit tests.
const TESTS: [&str; 2] = ["tests", "tests.rs"];

/// The code of a part of `src`, tests and comments left out.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(part);
    for path in [path.with_extension("rs"), path] {
        if path.exists() {
            collect(&path, &["rs"], &mut files);
        }
    }
    let is_test =
        |path: &PathBuf| path.components().any(|c| TESTS.iter().any(|test| c.as_os_str() == *test));
    files.retain(|path| !is_test(path));
    assert!(!files.is_empty(), "src has no {part}: change the tables of this test");
    files.into_iter().map(|path| (path.clone(), code(&path))).collect()
}

/// All files below a directory with one of these endings, or the file itself.
fn collect(path: &Path, endings: &[&str], files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), endings, files);
        }
    } else if path.extension().is_some_and(|it| endings.iter().any(|ending| it == *ending)) {
        files.push(path.to_owned());
    }
}

/// A file without its unit tests and without lines of comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}
