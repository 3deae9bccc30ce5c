//! `kill -9` of a server that fifty clients talk to, at any moment, again and again. What must hold after
//! each kill:
//!
//! - no line that its sender was told is in the room is missing from the history, and none is in it twice;
//! - what is damaged in the history is said at the next start;
//! - all fifty are back within ten seconds, and none of them was shown a line twice.
//!
//! This is about the death of the process: the kernel keeps what was written. What a power cut takes
//! with it, the history does not promise (README, Limits).
//!
//! `CHATAGRAM_KILLS=1000` kills that often (3 by default, 25 with `CHATAGRAM_TESTS=all`), and
//! `CHATAGRAM_SEED=17` at other moments.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "needs/amount.rs"]
mod amount;
#[path = "simulation/dice.rs"]
mod dice;
mod program;
#[path = "kills/room.rs"]
mod room;

use amount::amount;
use dice::Dice;
use program::{Program, free_port};
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
/// How long all may take to be back.
const BACK: Duration = Duration::from_secs(10);
/// How long the room is talked in before the next kill, at most.
const TALK: Duration = Duration::from_millis(400);
/// What a kill in the middle of a write can leave: the kernel stops between two pages of the file.
const HALF_A_LINE: &[u8] = br#"{"at":"2026-11-20T20:18:13.0000"#;

#[test]
fn nothing_acknowledged_is_lost_and_everybody_comes_back_however_often_the_server_is_killed() {
    let kills = amount("CHATAGRAM_KILLS", KILLS[0], KILLS[1]);
    let seed = amount("CHATAGRAM_SEED", 1, 1);
    let mut dice = Dice::new(seed);
    let mut keeper = Keeper::new();
    let mut server = keeper.start();
    let mut room = Room::new(keeper.address);
    room.come(BACK);
    let mut slowest = Duration::ZERO;
    let mut torn = 0;
    for kill in 0..kills {
        let case = format!("kill {kill} of seed {seed}");
        room.talk_for(dice.within(TALK));
        server.kill();
        // What was on its way when the server died still counts: it was said by a server that knew.
        room.take_in();
        if dice.chance(200) {
            keeper.tear();
            torn += 1;
        }
        let damaged = keeper.is_torn();
        keeper.check(&room, &case);
        room.talk_for(dice.within(TALK / 4));
        server = keeper.start();
        if damaged {
            server.has_said("the word about a torn line", |line| {
                line.contains("the last line was torn")
            });
        }
        // Now and then it dies again while they are still coming back.
        if dice.chance(800) {
            slowest = slowest.max(room.come_back(BACK, &case));
        }
    }
    slowest = slowest.max(room.come_back(BACK, "the last kill"));
    room.settle(BACK);
    server.signal("INT");
    assert_eq!(server.wait(), Some(0));
    room.take_in();
    keeper.check(&room, "the end");
    keeper.nothing_else_is_damaged(torn);
    assert!(!server.output().contains("history line"), "{}", server.output());
    println!(
        "{kills} kills, {} lines said, {} acknowledged, {} in the history, {} reported as doubtful, \
         {torn} lines torn; all were back within {slowest:.1?}",
        room.said(),
        room.acknowledged().len(),
        keeper.history.len(),
        room.doubtful(),
    );
    assert!(room.acknowledged().len() as u64 > kills, "they hardly talked");
}

/// The server's machine: its history outlives it.
struct Keeper {
    dir: tempfile::TempDir,
    address: SocketAddr,
    /// Every text read from the history so far, and how far that was.
    history: HashMap<String, u64>,
    read: u64,
}

impl Keeper {
    fn new() -> Self {
        let address = ([127, 0, 0, 1], free_port()).into();
        let dir = tempfile::tempdir().unwrap();
        Self { dir, address, history: HashMap::new(), read: 0 }
    }

    /// With the timers that users have.
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

    /// Leaves in the file what a kill in the middle of a write would leave there.
    fn tear(&self) {
        OpenOptions::new().append(true).open(self.path()).unwrap().write_all(HALF_A_LINE).unwrap();
    }

    fn is_torn(&self) -> bool {
        let bytes = read_from(&self.path(), self.read);
        bytes.last().is_some_and(|last| *last != b'\n')
    }

    /// Reads what is new in the history, and looks for what was acknowledged.
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

    /// What was torn lies beside the history, whole, and nothing but what this test has torn.
    fn nothing_else_is_damaged(&self, torn: usize) {
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

/// How long something took, for a deadline that is only looked at when it matters.
fn since(start: Instant) -> Duration {
    start.elapsed()
}
