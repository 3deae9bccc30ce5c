//! The built program as a child process whose output is read line by line. Every wait has a
//! deadline; the failure's message has the output so far.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Limit of each wait for the program. Only a failing test takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Program {
    /// Starts the program in a directory and an environment of its own.
    pub(crate) fn start(dir: &Path, args: &[&str]) -> Self {
        Self::start_by(Command::new(env!("CARGO_BIN_EXE_chatagram")), dir, args)
    }

    /// The same with a command that executes the program.
    pub(crate) fn start_by(mut command: Command, dir: &Path, args: &[&str]) -> Self {
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
            command.env_remove(name);
        }
        command.env("HOME", dir).env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME");
        command.env("LC_ALL", "C.UTF-8").current_dir(dir).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let outputs: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for output in outputs {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        let stdin = child.stdin.take();
        Self { child, stdin, lines, seen: Vec::new() }
    }

    /// The next line of standard output or standard error that `wanted` accepts.
    pub(crate) fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("no {what} within the deadline: {:#?}", self.seen)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    panic!("the program ended before {what}: {:#?}", self.seen)
                }
            }
        }
    }

    /// Like `line`, but the line may have been read already.
    pub(crate) fn has_said(&mut self, what: &str, wanted: impl Fn(&str) -> bool) {
        if !self.seen.iter().any(|line| wanted(line)) {
            self.line(what, wanted);
        }
    }

    /// The next event of this kind from a program that prints JSON.
    pub(crate) fn next(&mut self, event: &str) -> Value {
        self.next_where(event, |_| true)
    }

    /// The next event of this kind that `wanted` accepts.
    pub(crate) fn next_where(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let parse = |line: &str| serde_json::from_str::<Value>(line).ok();
        let line = self.line(event, |line| {
            parse(line).is_some_and(|value| value["event"] == event && wanted(&value))
        });
        parse(&line).unwrap()
    }

    /// The text of the next status that contains these words.
    pub(crate) fn status(&mut self, words: &str) -> String {
        let says = |event: &Value| event["text"].as_str().unwrap_or_default().contains(words);
        self.next_where("status", says)["text"].as_str().unwrap().to_owned()
    }

    /// Waits for a line of the chat with this text.
    pub(crate) fn hear(&mut self, text: &str) {
        self.next_where("message", |event| event["text"] == text);
    }

    /// All events of this kind until one for which `last` is true, including those read before.
    pub(crate) fn events_until(
        &mut self,
        event: &str,
        last: impl Fn(&Value) -> bool,
    ) -> Vec<Value> {
        self.line(event, |line| serde_json::from_str(line).is_ok_and(|value| last(&value)));
        self.events(event)
    }

    /// All events of this kind read so far.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        let parsed = self.seen.iter().filter_map(|line| serde_json::from_str(line).ok());
        parsed.filter(|value: &Value| value["event"] == event).collect()
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    /// Writes bytes to the input. The program may have stopped reading.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        let _ = self.stdin.as_mut().unwrap().write_all(bytes);
    }

    pub(crate) fn end_input(&mut self) {
        self.stdin = None;
    }

    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, named without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Reads all output and returns the exit code.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => self.seen.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("the program does not end: {:#?}", self.seen)
                }
            }
        }
        self.child.wait().unwrap().code()
    }

    /// Types `/quit` and returns the exit code.
    pub(crate) fn leave(&mut self) -> Option<i32> {
        self.type_line("/quit");
        self.wait()
    }

    /// The output read so far.
    pub(crate) fn output(&self) -> String {
        self.seen.join("\n")
    }

    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process without kill(1), which a machine may lack.
#[cfg(unix)]
pub(crate) fn signal(process: u32, name: &str) {
    use rustix::process::{Pid, Signal, kill_process};
    let signal = match name {
        "CONT" => Signal::CONT,
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "KILL" => Signal::KILL,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        other => panic!("no signal {other}"),
    };
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), signal).unwrap();
}

#[cfg(not(unix))]
pub(crate) fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let status = Command::new("kill").args([&format!("-{name}"), &process]).status().unwrap();
    assert!(status.success());
}

/// A server on a port of its own, with short timers.
pub(crate) struct Server {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    pub(crate) dir: TempDir,
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", tempfile::tempdir().unwrap(), args)
    }

    pub(crate) fn start_at(bind: &str, dir: TempDir, args: &[&str]) -> Self {
        let mut all = vec!["server", "--bind", bind, "--heartbeat", "200ms", "--expiry", "3s"];
        all.extend(args);
        let mut program = Program::start(dir.path(), &all);
        let line = program.line("address", |line| line.starts_with("listening on "));
        let address = line["listening on ".len()..].parse().unwrap();
        Self { program, address, dir }
    }

    /// Starts a client that prints JSON and stays.
    pub(crate) fn client(&self, name: &str, args: &[&str]) -> Program {
        let address = self.address.to_string();
        let mut all = vec!["client", &address, "--nick", name, "--output", "json"];
        all.extend(args);
        Program::start(self.dir.path(), &all)
    }

    /// A client in the room.
    pub(crate) fn join(&self, name: &str) -> Program {
        let mut client = self.client(name, &["--no-cache", "--stay", "forever"]);
        client.next("welcome");
        client
    }
}

/// The texts in a history. Each of its lines has to be a record.
pub(crate) fn history_texts(file: &Path) -> Vec<String> {
    let content = std::fs::read_to_string(file).unwrap();
    let text =
        |line| serde_json::from_str::<Value>(line).unwrap()["text"].as_str().unwrap().to_owned();
    content.lines().map(text).collect()
}

/// A free port outside the ephemeral range, so that it stays free for a server that the test
/// restarts. It is looked for from other ports: a socket bound to it would live on in a child
/// that another test starts meanwhile, until that child's `exec`.
pub(crate) fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let first = std::process::id().wrapping_mul(7_919);
    let is_free = |port: &u16| refuses_datagrams(*port) && refuses_connections(*port);
    let next = || 10_000 + (first.wrapping_add(COUNT.fetch_add(1, Relaxed)) % 20_000) as u16;
    std::iter::repeat_with(next).take(20_000).find(is_free).unwrap()
}

fn refuses_datagrams(port: u16) -> bool {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let answer = socket.send(&[]).and_then(|_| socket.recv(&mut [0]));
    answer.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn refuses_connections(port: u16) -> bool {
    let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    connection.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}
