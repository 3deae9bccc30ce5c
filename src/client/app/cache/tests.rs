//! The cache on real files.

use std::ffi::OsString;
use std::fs;

use tempfile::TempDir;

use super::*;

fn line(number: u64) -> CachedLine {
    CachedLine {
        epoch: number.is_multiple_of(3).then_some(number << 40),
        id: number.is_multiple_of(2).then_some(u64::MAX - number),
        at: WallTime(1_700_000_000_000_000 + number),
        from: "ann".to_owned(),
        text: format!("line {number} \"\u{1f600}\n"),
    }
}

/// A directory, and a path in a missing subdirectory.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("below").join("lines.json");
    (directory, path)
}

fn open(path: &Path) -> Cache {
    let (cache, warning) = Cache::open(path);
    assert!(warning.is_none(), "{warning:?}");
    cache
}

fn save(path: &Path, server: &str, number: u64) {
    let mut cache = open(path);
    cache.push(server, line(number));
    cache.save().unwrap();
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn aside(path: &Path) -> PathBuf {
    path.with_extension("json.damaged")
}

fn files_beside(path: &Path) -> Vec<OsString> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    names
}

#[test]
fn the_last_five_lines_of_each_server_are_restored() {
    let (_directory, path) = place();
    let mut cache = open(&path);
    assert!(cache.lines("a:1").is_empty());
    (0..8).for_each(|number| cache.push("a:1", line(number)));
    cache.push("b:2", line(9));
    let expected: Vec<_> = (3..8).map(line).collect();
    assert_eq!(cache.lines("a:1"), expected);
    cache.save().unwrap();
    let cache = open(&path);
    assert_eq!(cache.lines("a:1"), expected);
    assert_eq!(cache.lines("b:2"), [line(9)]);
    assert_eq!(files_beside(&path), ["lines.json"]);
}

#[test]
fn the_file_has_the_documented_form() {
    let (_directory, path) = place();
    save(&path, "chat.example:4000", 1);
    let content: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let line = serde_json::json!({
        "epoch": null,
        "id": null,
        "at": "2023-11-14T22:13:20.000001Z",
        "from": "ann",
        "text": line(1).text,
    });
    let expected = serde_json::json!({"servers": {"chat.example:4000": [line]}});
    assert_eq!(content, expected);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, path) = place();
    save(&path, "a:1", 1);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_least_recently_used_server_is_evicted_first() {
    let (_directory, path) = place();
    for number in 0..32 {
        save(&path, &format!("{number:02}"), number);
    }
    save(&path, "00", 50);
    save(&path, "new", 51);
    let cache = open(&path);
    assert!(cache.lines("01").is_empty());
    assert_eq!(cache.lines("00"), [line(0), line(50)]);
    assert_eq!(cache.lines("02"), [line(2)]);
    assert_eq!(cache.lines("new"), [line(51)]);
}

#[test]
fn two_clients_that_share_a_file_keep_each_others_servers() {
    let (_directory, path) = place();
    save(&path, "old", 0);
    let (mut one, mut two) = (open(&path), open(&path));
    one.push("one", line(1));
    two.push("two", line(2));
    two.push("old", line(3));
    one.save().unwrap();
    two.save().unwrap();
    one.push("one", line(4));
    one.save().unwrap();
    assert_eq!(one.lines("one"), [line(1), line(4)]);
    let cache = open(&path);
    assert_eq!(cache.lines("one"), [line(1), line(4)]);
    assert_eq!(cache.lines("two"), [line(2)]);
    assert_eq!(cache.lines("old"), [line(0), line(3)]);
    assert_eq!(one.lines("two"), [line(2)]);
}

#[test]
fn clients_that_save_at_once_never_leave_a_damaged_file() {
    let (_directory, path) = place();
    std::thread::scope(|scope| {
        for client in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..20 {
                    save(path, &format!("{client}"), number);
                }
            });
        }
    });
    open(&path);
    assert_eq!(files_beside(&path), ["lines.json"]);
}

#[test]
fn an_erased_file_is_not_restored() {
    let (_directory, path) = place();
    save(&path, "secret", 1);
    let mut cache = open(&path);
    fs::remove_file(&path).unwrap();
    cache.push("other", line(2));
    cache.save().unwrap();
    assert!(open(&path).lines("secret").is_empty());
}

#[test]
fn a_damaged_file_is_moved_aside_and_named() {
    let mut huge = b"{\"servers\": {}}".to_vec();
    huge.resize(CACHE_BYTES + 1, b' ');
    let damaged: [&[u8]; 8] = [
        b"",
        b"{",
        b"\0\0\0",
        b"{}",
        b"{\"servers\": {\"a\": [{\"id\": -1}]}}",
        b"{\"servers\": {\"a\": [{\"id\":1,\"at\":\"now\",\"from\":\"\",\"text\":\"\"}]}}",
        b"{\"servers\": {}} trailing",
        &huge,
    ];
    for content in damaged {
        let (_directory, path) = place();
        write(&path, content);
        let (mut cache, warning) = Cache::open(&path);
        let warning = warning.expect("a warning");
        assert_eq!(warning.moved_to, Some(aside(&path)));
        assert!(warning.to_string().contains("lines.json.damaged"));
        assert!(!path.exists());
        assert!(fs::read(aside(&path)).unwrap() == content);
        cache.push("a:1", line(1));
        cache.save().unwrap();
        assert_eq!(open(&path).lines("a:1"), [line(1)]);
    }
}

#[test]
fn a_file_of_the_largest_size_is_read() {
    let (_directory, path) = place();
    let mut content = b"{\"servers\": {}}".to_vec();
    content.resize(CACHE_BYTES, b' ');
    write(&path, &content);
    open(&path);
}

#[test]
fn a_damaged_file_that_cannot_be_moved_is_never_written() {
    let (_directory, path) = place();
    write(&path, b"damaged");
    fs::create_dir(aside(&path)).unwrap();
    let (mut cache, warning) = Cache::open(&path);
    let warning = warning.expect("a warning");
    assert_eq!(warning.moved_to, None);
    assert!(warning.to_string().contains("left as it is"), "{warning}");
    cache.push("a:1", line(1));
    let error = cache.save().unwrap_err();
    assert!(matches!(error, CacheError::Damaged(_)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"damaged");
    assert_eq!(cache.lines("a:1"), [line(1)]);
}

#[test]
fn a_directory_in_place_of_the_file_is_left_alone() {
    let (_directory, path) = place();
    fs::create_dir_all(&path).unwrap();
    let (_, warning) = Cache::open(&path);
    assert_eq!(warning.expect("a warning").moved_to, None);
    assert!(path.is_dir());
}

#[test]
fn a_file_damaged_at_run_time_is_moved_aside_without_loss_of_lines() {
    let (_directory, path) = place();
    save(&path, "old", 0);
    let mut cache = open(&path);
    write(&path, b"damaged");
    cache.push("new", line(1));
    cache.save().unwrap();
    assert_eq!(fs::read(aside(&path)).unwrap(), b"damaged");
    let cache = open(&path);
    assert_eq!(cache.lines("old"), [line(0)]);
    assert_eq!(cache.lines("new"), [line(1)]);
}

#[test]
fn a_file_with_too_many_lines_is_cut_to_the_newest() {
    let (_directory, path) = place();
    let lines: Vec<_> = (0..9).map(|n| serde_json::to_value(line(n)).unwrap()).collect();
    let servers: Vec<_> =
        (0..40).map(|n| format!("\"{n}\": {}", serde_json::json!(lines))).collect();
    write(&path, format!("{{\"servers\": {{{}}}}}", servers.join(",")).as_bytes());
    let cache = open(&path);
    assert!(cache.lines("7").is_empty());
    for server in ["8", "39"] {
        assert_eq!(cache.lines(server), (4..9).map(line).collect::<Vec<_>>());
    }
}

#[test]
fn saved_files_can_be_read_again() {
    let (_directory, path) = place();
    let mut cache = open(&path);
    for server in 0..32 {
        for number in 0..5 {
            let text = "\u{1}".repeat(1200);
            cache.push(&format!("{server}"), CachedLine { text, ..line(number) });
        }
    }
    cache.save().unwrap();
    let cache = open(&path);
    assert_eq!(cache.lines("31").len(), 5);
    assert!(cache.lines("0").is_empty());
}

#[test]
fn a_directory_that_cannot_be_created_is_named_in_the_error() {
    let (directory, path) = place();
    fs::write(directory.path().join("below"), b"a file").unwrap();
    let (mut cache, _) = Cache::open(&path);
    cache.push("a:1", line(1));
    let error = cache.save().unwrap_err().to_string();
    assert!(error.contains("below"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_is_followed_and_kept() {
    let (directory, path) = place();
    let (link, far) = (directory.path().join("link"), directory.path().join("far"));
    // A link to a link to a missing file.
    std::os::unix::fs::symlink("below/lines.json", &far).unwrap();
    std::os::unix::fs::symlink("far", &link).unwrap();
    save(&link, "a:1", 1);
    save(&link, "b:2", 2);
    assert!(link.is_symlink() && far.is_symlink() && path.is_file() && !path.is_symlink());
    assert_eq!(open(&path).lines("a:1"), [line(1)]);
    write(&path, b"damaged");
    let (_, warning) = Cache::open(&link);
    assert_eq!(warning.unwrap().moved_to.unwrap().file_name(), aside(&path).file_name());
    assert!(link.is_symlink() && !path.exists());
}

/// A loop of links stands for an unreadable file, since the superuser can open all others.
#[cfg(unix)]
#[test]
fn an_unreadable_file_is_not_treated_as_damaged() {
    let (_directory, path) = place();
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let (mut cache, warning) = Cache::open(&path);
    assert_eq!(warning.expect("a warning").moved_to, None);
    cache.push("a:1", line(1));
    let error = cache.save().unwrap_err();
    assert!(matches!(error, CacheError::Damaged(_)), "{error}");
    assert_eq!(files_beside(&path), ["lines.json"]);
}
