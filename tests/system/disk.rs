//! The built program with its history on a disk that is full, read-only, failing or corrupt. The
//! chat goes on, peers are told, and no acknowledged line is lost silently.
//!
//! A disk of its own needs root and mount(8).

use crate::needs::{needs, skip};
use crate::program::{Program, Server, history_texts};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn a_full_disk_is_reported_to_every_peer_and_used_again_when_it_has_space() {
    let disk = Disk::mount(&["-t", "tmpfs", "-o", "size=64k", "chatagram-test"]);
    let (file, ballast) = (disk.path().join("h.jsonl"), disk.path().join("ballast"));
    fs::write(&ballast, vec![0; 48 * 1024]).unwrap();
    let mut server = Server::start(&["--history", file.to_str().unwrap()]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let long = "x".repeat(900);
    (0..40).for_each(|_| alice.type_line(&long));
    // Longer than those lines: it does not fit either.
    let not_kept = format!("not kept {long}");
    alice.type_line(&not_kept);
    for client in [&mut alice, &mut bob] {
        let words = client.status("the chat goes on, but the history does not");
        assert!(words.contains("check that the disk has room"), "{words}");
    }
    bob.hear(&not_kept);
    server.program.line("error in the log", |line| line.contains("[ERROR] the chat goes on"));
    // A new peer is told at once.
    server.join("carl").status("the history does not");

    let kept = history_texts(&file).len();
    fs::remove_file(&ballast).unwrap();
    alice.type_line("kept again");
    let words = format!("the history is being written again; {} lines are not in it", 41 - kept);
    bob.hear("kept again");
    for client in [&mut alice, &mut bob] {
        client.status(&words);
    }
    alice.type_line("and so on");
    bob.hear("and so on");
    assert_eq!(&history_texts(&file)[kept..], ["kept again", "and so on"]);
    let mut dora = server.join("dora");
    dora.type_line("nothing is wrong");
    alice.hear("nothing is wrong");
    assert!(!dora.output().contains("the history"), "{}", dora.output());
}

fn the_chat_goes_on_with_a_read_only_disk_and_every_peer_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let image = dir.path().join("image");
    fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
    needs(&["mkfs.ext4"]);
    let made = Command::new("mkfs.ext4").arg("-q").arg(&image).status().unwrap();
    assert!(made.success());
    let disk = Disk::mount(&["-o", "loop", image.to_str().unwrap()]);
    let file = disk.path().join("h.jsonl");
    let server = Server::start(&["--history", file.to_str().unwrap()]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.type_line("kept");
    bob.hear("kept");
    // ext4 does this after an error (mount -o errors=remount-ro).
    let status =
        Command::new("mount").args(["-o", "remount,abort"]).arg(disk.path()).status().unwrap();
    assert!(status.success());
    alice.type_line("said all the same");
    bob.hear("said all the same");
    for client in [&mut alice, &mut bob] {
        client.status("Read-only file system");
    }
    assert_eq!(history_texts(&file), ["kept"]);
    drop(server);
}

fn a_server_does_not_start_with_an_unwritable_history() {
    let disk = Disk::mount(&["-t", "tmpfs", "chatagram-test"]);
    let file = disk.path().join("h.jsonl");
    // cp writes the file: a child that another test starts could inherit a descriptor of this
    // process, and a disk with a file open for writing cannot become read-only.
    let content = tempfile::NamedTempFile::new().unwrap();
    fs::write(content.path(), record(1)).unwrap();
    needs(&["cp"]);
    let copied = Command::new("cp").arg(content.path()).arg(&file).status().unwrap();
    assert!(copied.success());
    disk.remount("ro");
    for path in [&file, &disk.path().join("new.jsonl")] {
        let args = ["server", "--bind", "127.0.0.1:0", "--history", path.to_str().unwrap()];
        let dir = tempfile::tempdir().unwrap();
        let mut server = Program::start(dir.path(), &args);
        assert_eq!(server.wait(), Some(1), "{}", server.output());
        assert!(server.output().contains("Read-only file system"), "{}", server.output());
        assert!(server.output().contains("name another file"), "{}", server.output());
    }
    assert_eq!(fs::read(&file).unwrap(), record(1));
}

fn a_torn_last_line_is_reported_and_saved_wherever_it_ends() {
    let whole: Vec<u8> = (0..5).flat_map(record).collect();
    let ends: Vec<usize> = (0..=5).map(|n| (0..n).map(|it| record(it).len()).sum()).collect();
    for cut in ends[2]..whole.len() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("h.jsonl");
        fs::write(&file, &whole[..cut]).unwrap();
        let output = served(dir.path());
        let complete = *ends.iter().rev().find(|end| **end <= cut).unwrap();
        let lacks_its_end = ends.contains(&(cut + 1));
        let torn = &whole[complete..cut];
        let beside = fs::read(dir.path().join("h.jsonl.torn")).ok();
        if torn.is_empty() || lacks_its_end {
            assert!(!output.contains("torn") && beside.is_none(), "cut at {cut}: {output}");
            let kept = if lacks_its_end { cut + 1 } else { cut };
            assert_eq!(fs::read(&file).unwrap(), whole[..kept], "cut at {cut}");
        } else {
            let words = format!("the last line was torn; its {} bytes were moved to", torn.len());
            assert!(output.contains(&words), "cut at {cut}: {output}");
            assert_eq!(beside.unwrap(), [torn, b"\n"].concat(), "cut at {cut}");
            assert_eq!(fs::read(&file).unwrap(), whole[..complete], "cut at {cut}");
        }
    }
}

fn a_flipped_bit_is_reported_with_its_offset_and_loses_one_line() {
    let mut content: Vec<u8> = (0..2_000).flat_map(record).collect();
    let at: usize = (0..1_200).map(|number| record(number).len()).sum();
    content[at] ^= 0x04;
    // Another letter, which keeps the line valid JSON.
    let text = content.windows(9).position(|it| it == b"line 1201").unwrap();
    content[text] ^= 0x01;
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("h.jsonl"), &content).unwrap();
    let mut server = Server::start_at("127.0.0.1:0", dir, &["--history", "h.jsonl"]);
    let words = format!("history line 1201 (byte {at}) is damaged and stays as it is: not JSON");
    server.program.has_said("message about the damaged line", |line| line.contains(&words));
    let words = "history line 1202 (byte ";
    server.program.has_said("message about the changed letter", |line| {
        line.contains(words) && line.contains("its checksum does not match")
    });
    let mut alice = server.join("alice");
    alice.next_where("history", |event| event["text"] == "line 1999");
    alice.type_line("still here");
    assert_eq!(alice.leave(), Some(0));
    let after = fs::read(server.dir.path().join("h.jsonl")).unwrap();
    assert_eq!(after[..content.len()], content);
    assert!(String::from_utf8_lossy(&after[content.len()..]).contains("still here"));
}

/// Flips each bit of the middle record of a server's history in turn. All resulting files,
/// concatenated, form a long history with that many damaged lines, and the next server reports each
/// of them.
fn every_flipped_bit_of_a_written_record_is_reported_and_loses_no_other_line() {
    let server = Server::start(&["--history", "h.jsonl"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    for text in ["the first", "a line in the middle", "the last"] {
        alice.type_line(text);
        bob.hear(text);
    }
    let written = fs::read(server.dir.path().join("h.jsonl")).unwrap();
    drop((alice, bob, server));
    let lines: Vec<&[u8]> = written.split_inclusive(|byte| *byte == b'\n').collect();
    let [first, middle, last] = lines[..] else { panic!("{} lines", lines.len()) };
    let (mut content, mut damaged) = (Vec::new(), Vec::new());
    for bit in 0..(middle.len() - 1) * 8 {
        let mut flipped = middle.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // A flipped bit that makes two lines of one damages both.
        content.extend_from_slice(first);
        damaged.push(content.len());
        if flipped[bit / 8] == b'\n' {
            damaged.push(content.len() + bit / 8 + 1);
        }
        content.extend(flipped);
        content.extend_from_slice(last);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("h.jsonl"), &content).unwrap();
    let mut server = Server::start_at("127.0.0.1:0", dir, &["--history", "h.jsonl"]);
    let last_of_them = format!("(byte {}) is damaged", damaged[damaged.len() - 1]);
    server.program.has_said("the last damage", |line| line.contains(&last_of_them));
    let said = server.program.output();
    let found: Vec<usize> = said
        .lines()
        .filter(|line| line.contains("is damaged and stays as it is"))
        .map(|line| {
            line.split_once("(byte ").unwrap().1.split_once(')').unwrap().0.parse().unwrap()
        })
        .collect();
    assert_eq!(found, damaged);
    assert!(
        said.contains("its checksum does not match") && said.contains("its checksum is missing")
    );
    assert_eq!(fs::read(server.dir.path().join("h.jsonl")).unwrap(), content);
}

fn record(number: usize) -> Vec<u8> {
    let second = number % 60;
    let fields = format!(
        "{{\"at\":\"2026-11-20T20:18:{second:02}.000000Z\",\"from\":\"a\",\
         \"text\":\"line {number}\""
    );
    let sum = crc32(fields.as_bytes());
    format!("{fields},\"crc\":\"{sum:08x}\"}}\n").into_bytes()
}

/// The CRC-32 of zip files, computed bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
        (0..8).fold(crc ^ u32::from(*byte), shift)
    })
}

/// Starts and stops a server with the history in this directory. Returns its output.
fn served(dir: &Path) -> String {
    let args = ["server", "--bind", "127.0.0.1:0", "--history", "h.jsonl", "--no-discovery"];
    let mut server = Program::start(dir, &args);
    server.line("address", |line| line.starts_with("listening on "));
    server.signal("TERM");
    assert_eq!(server.wait(), Some(0), "{}", server.output());
    server.output()
}

/// A mounted disk, unmounted when dropped.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount(args: &[&str]) -> Self {
        needs(&["mount", "umount"]);
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount").args(args).arg(dir.path()).output().unwrap();
        if !mounted.status.success() {
            let kind = args[..2].join(" ");
            skip(format!("a disk of its own (mount {kind}) is refused: not root?"));
        }
        Self(dir)
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let status =
            Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap();
        assert!(status.success());
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily, because the server may still have its file open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

tests! {
    a_full_disk_is_reported_to_every_peer_and_used_again_when_it_has_space,
    the_chat_goes_on_with_a_read_only_disk_and_every_peer_is_told,
    a_server_does_not_start_with_an_unwritable_history,
    a_torn_last_line_is_reported_and_saved_wherever_it_ends,
    a_flipped_bit_is_reported_with_its_offset_and_loses_one_line,
    every_flipped_bit_of_a_written_record_is_reported_and_loses_no_other_line,
}
