//! Debian's `redis-server` on a free port, started by the test.

use crate::needs::needs;
use crate::program::{DEADLINE, free_port};
use redis::{Client, Value, cmd};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A Redis with an append-only file in a directory of its own.
pub(crate) struct Redis {
    pub(crate) port: u16,
    pub(crate) dir: TempDir,
    args: Vec<String>,
    child: Option<Child>,
}

impl Redis {
    /// Starts one with these options of its command line.
    pub(crate) fn start(args: &[&str]) -> Self {
        needs(&["redis-server"]);
        let args = args.iter().map(|it| (*it).to_owned()).collect();
        let dir = tempfile::tempdir().unwrap();
        let mut redis = Self { port: free_port(), dir, args, child: None };
        redis.resume();
        redis
    }

    /// Starts it again, with the files that it left.
    pub(crate) fn resume(&mut self) {
        let log = File::options().create(true).append(true).open(self.dir.path().join("log"));
        let child = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .args(["--appendonly", "yes", "--repl-diskless-sync-delay", "0"])
            .arg("--dir")
            .arg(self.dir.path())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(log.unwrap())
            .spawn();
        self.child = Some(child.unwrap());
        let start = Instant::now();
        while self.try_ask(&["INFO"]).is_none_or(|info| info.contains("loading:1")) {
            assert!(start.elapsed() < DEADLINE, "redis-server does not start: {}", self.log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends it at once; its files stay.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// The URL of a room.
    pub(crate) fn url(&self, room: &str) -> String {
        format!("redis://127.0.0.1:{}/{room}", self.port)
    }

    /// Where the append-only files are.
    pub(crate) fn files(&self) -> PathBuf {
        self.dir.path().join("appendonlydir")
    }

    /// The reply to a command.
    pub(crate) fn ask(&self, words: &[&str]) -> Value {
        self.ask_at(&format!("redis://127.0.0.1:{}", self.port), words)
    }

    /// The reply to a command, with a password.
    pub(crate) fn ask_as(&self, password: &str, words: &[&str]) -> Value {
        self.ask_at(&format!("redis://:{password}@127.0.0.1:{}", self.port), words)
    }

    fn ask_at(&self, url: &str, words: &[&str]) -> Value {
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let client = Client::open(url).unwrap();
        command.query(&mut client.get_connection_with_timeout(DEADLINE).unwrap()).unwrap()
    }

    fn try_ask(&self, words: &[&str]) -> Option<String> {
        let client = Client::open(("127.0.0.1", self.port)).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        // A Redis that wants a password, or is a replica, runs too.
        let reply: Result<String, _> = cmd(words[0]).arg(&words[1..]).query(&mut connection);
        Some(reply.unwrap_or_default())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// Checks that in a room's log no name is taken by two at once. A long log has lost its oldest
    /// entries.
    pub(crate) fn check_names(&self, room: &str) {
        let log = self.ask(&["XRANGE", &format!("chatagram:{{{room}}}:log"), "-", "+"]);
        let (mut names, mut joined) = (BTreeMap::new(), 0);
        let mut oldest = None;
        for entry in list(&log) {
            let [id, fields] = list(entry) else { panic!("{entry:?}") };
            let position: u64 = text(id).split('-').next().unwrap().parse().unwrap();
            let oldest = *oldest.get_or_insert(position);
            let fields: BTreeMap<_, _> = list(fields)
                .as_chunks()
                .0
                .iter()
                .map(|[name, it]| (text(name), text(it)))
                .collect();
            match fields["change"].as_str() {
                "joined" => {
                    joined += 1;
                    let before = names.insert(fields["nickname"].clone(), position);
                    let replaced = fields["replaces"].parse().ok();
                    let known = replaced.filter(|fence: &u64| *fence >= oldest);
                    assert!(before == known || before == replaced, "{before:?}: {fields:?}");
                }
                "left" => names.retain(|_, fence| fence.to_string() != fields["fence"]),
                _ => {}
            }
        }
        assert!(joined > 0, "the log is empty");
    }

    /// The keys whose names or contents have this text.
    pub(crate) fn keys_with(&self, wanted: &str) -> Vec<String> {
        let keys = self.ask(&["KEYS", "*"]);
        let has = |key: &String| {
            let read: &[&str] = match &*text(&self.ask(&["TYPE", key])) {
                "string" => &["GET", key],
                "hash" => &["HGETALL", key],
                "set" => &["SMEMBERS", key],
                "zset" => &["ZRANGE", key, "0", "-1"],
                "stream" => &["XRANGE", key, "-", "+"],
                // It has just expired.
                "none" => return false,
                other => panic!("{key} is a {other}"),
            };
            key.contains(wanted) || holds(&self.ask(read), wanted)
        };
        list(&keys).iter().map(text).filter(has).collect()
    }

    /// The append-only files, which have to be written by now.
    pub(crate) fn written(&self) -> String {
        let files = fs::read_dir(self.files()).unwrap();
        let texts = files.map(|file| fs::read(file.unwrap().path()).unwrap());
        texts.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).collect()
    }

    /// The texts of all lines in a room's log, in order, with their positions.
    pub(crate) fn lines(&self, room: &str) -> Vec<(u64, String)> {
        let log = self.ask(&["XRANGE", &format!("chatagram:{{{room}}}:log"), "-", "+"]);
        let Value::Array(entries) = log else { return Vec::new() };
        entries.iter().filter_map(said).collect()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The position and text of an entry, if it is a line.
fn said(entry: &Value) -> Option<(u64, String)> {
    let [id, fields] = list(entry) else { return None };
    let field = list(fields).as_chunks().0.iter().find(|[name, _]| text(name) == "text");
    let position = text(id).split('-').next().unwrap().parse().unwrap();
    field.map(|[_, value]| (position, text(value)))
}

fn list(value: &Value) -> &[Value] {
    let Value::Array(items) = value else { panic!("{value:?}") };
    items
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|it| holds(it, wanted)),
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).contains(wanted),
        _ => false,
    }
}
