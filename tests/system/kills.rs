//! `kill -9` of a server with fifty clients, at random moments, repeatedly. After each kill:
//!
//! - the history holds every line whose sender received an acknowledgment, and no line twice;
//! - the next start reports any damage to the history;
//! - all fifty clients are back within ten seconds, and none of them was shown a line twice.
//!
//! These tests are about the death of the process: the kernel keeps what the process wrote. The
//! history does not promise to survive a power cut (README, Limits).
//!
//! `CHATAGRAM_KILLS=1000` sets the number of kills (3 by default, 25 with `CHATAGRAM_TESTS=all`),
//! and `CHATAGRAM_SEED=17` their moments.

mod room;

use crate::dice::Dice;
use crate::needs::amount;
use crate::program::{Program, free_port};
use room::Room;
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Kills in a usual run, and in a run of all tests.
const KILLS: [u64; 2] = [3, 25];
/// Time in which all clients have to be back.
const RETURN_LIMIT: Duration = Duration::from_secs(10);
/// Longest talk before the next kill.
const TALK: Duration = Duration::from_millis(400);
/// A kill during a write can leave this: the kernel stops between two pages of the file.
const HALF_A_LINE: &[u8] = br#"{"at":"2026-11-20T20:18:13.0000"#;

fn no_acknowledged_line_is_lost_and_every_client_returns_after_kills() {
    let kills = amount("CHATAGRAM_KILLS", KILLS[0], KILLS[1]);
    let seed = amount("CHATAGRAM_SEED", 1, 1);
    let mut dice = Dice::new(seed);
    let mut machine = Machine::new();
    let mut server = machine.start();
    let mut room = Room::new(machine.address);
    room.come(RETURN_LIMIT);
    let mut slowest = Duration::ZERO;
    let mut torn = 0;
    for kill in 0..kills {
        let case = format!("kill {kill} of seed {seed}");
        room.talk_for(dice.within(TALK));
        server.kill();
        // What the server sent before it died still counts.
        room.take_in();
        if dice.chance(200) {
            machine.tear();
            torn += 1;
        }
        let damaged = machine.is_torn();
        machine.check(&room, &case);
        room.talk_for(dice.within(TALK / 4));
        server = machine.start();
        if damaged {
            server.has_said("message about the torn line", |line| {
                line.contains("the last line was torn")
            });
        }
        // In some rounds the server dies again while the clients are still coming back.
        if dice.chance(800) {
            slowest = slowest.max(room.come_back(RETURN_LIMIT, &case));
        }
    }
    slowest = slowest.max(room.come_back(RETURN_LIMIT, "the last kill"));
    room.settle(RETURN_LIMIT);
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
    room.take_in();
    machine.check(&room, "the end");
    machine.assert_nothing_else_is_damaged(torn);
    assert!(!server.output().contains("history line"), "{}", server.output());
    println!(
        "{kills} kills, {} lines said, {} acknowledged, {} in the history, {} reported as \
         doubtful, {torn} lines torn; all were back within {slowest:.1?}",
        room.said(),
        room.acknowledged().len(),
        machine.history.len(),
        room.uncertain(),
    );
    assert!(room.acknowledged().len() as u64 > kills, "the clients hardly talked");
}

/// The server's address and its history, which outlives the process.
struct Machine {
    dir: tempfile::TempDir,
    address: SocketAddr,
    /// Every text read from the history so far, with the offset from which it was read.
    history: HashMap<String, u64>,
    read: u64,
}

impl Machine {
    fn new() -> Self {
        let address = ([127, 0, 0, 1], free_port()).into();
        let dir = tempfile::tempdir().unwrap();
        Self { dir, address, history: HashMap::new(), read: 0 }
    }

    /// Starts a server with the default timers.
    fn start(&self) -> Program {
        let bind = self.address.to_string();
        let args = ["server", "--bind", &bind, "--history", "h.jsonl", "--no-discovery", "-q"];
        let mut server = Program::start(self.dir.path(), &args);
        server.line("address", |line| line.starts_with("listening on "));
        server
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("h.jsonl")
    }

    /// Appends what a kill during a write would leave in the file.
    fn tear(&self) {
        OpenOptions::new().append(true).open(self.path()).unwrap().write_all(HALF_A_LINE).unwrap();
    }

    fn is_torn(&self) -> bool {
        let bytes = read_from(&self.path(), self.read);
        bytes.last().is_some_and(|last| *last != b'\n')
    }

    /// Reads the new part of the history, and checks that it holds every acknowledged line.
    fn check(&mut self, room: &Room, case: &str) {
        let bytes = read_from(&self.path(), self.read);
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            let record: Value = serde_json::from_slice(line)
                .unwrap_or_else(|error| panic!("{case}: {error} in {:?}", line.escape_ascii()));
            let text = record["text"].as_str().unwrap().to_owned();
            let before = self.history.insert(text, self.read);
            assert_eq!(before, None, "{case}: {record} is in the history twice");
        }
        self.read += whole as u64;
        for text in room.acknowledged() {
            assert!(self.history.contains_key(text), "{case}: {text:?} was acknowledged and lost");
        }
    }

    /// Asserts that the torn lines lie whole beside the history, and that this test tore all of
    /// them.
    fn assert_nothing_else_is_damaged(&self, torn: usize) {
        assert!(!self.is_torn(), "the history ends in the middle of a line");
        let beside = fs::read(self.dir.path().join("h.jsonl.torn")).unwrap_or_default();
        let pieces = beside.split_inclusive(|byte| *byte == b'\n');
        let ours = pieces.filter(|piece| piece.strip_suffix(b"\n") == Some(HALF_A_LINE)).count();
        assert_eq!(ours, torn, "{}", beside.escape_ascii());
    }
}

fn read_from(path: &Path, offset: u64) -> Vec<u8> {
    let mut file = fs::File::open(path).unwrap();
    file.seek(SeekFrom::Start(offset)).unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The time since `start`.
fn since(start: Instant) -> Duration {
    start.elapsed()
}

tests! {
    no_acknowledged_line_is_lost_and_every_client_returns_after_kills,
}
