//! A Redis that an attacker controls. It behaves until a test has it lie once; the server then
//! connects again, to a Redis that behaves.

use super::servers::Server;
use crate::program::DEADLINE;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

/// Memory that a server may have had, kB. `Attach` may answer with 32 MB.
const MOST_MEMORY: u64 = 256 * 1_024;
const ENTRIES: usize = 512;

/// Which command gets the lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The reader's `XREAD`.
    Read,
    /// The writer's scripts: lines and renewals.
    Script,
}

/// A false answer.
#[derive(Clone, Debug)]
enum Lie {
    Reply(Vec<u8>),
    /// This, and then these bytes until the server has closed the connection.
    Endless(Vec<u8>, Vec<u8>),
}

#[derive(Default)]
struct State {
    epoch: String,
    /// The entries, each as the list of its fields.
    log: Vec<String>,
    lie: Option<(On, Lie)>,
    /// Times that a server has attached.
    attached: usize,
    /// `XREAD`s that are answered with as many lines as fit.
    flood: usize,
}

impl State {
    fn append(&mut self, server: &str, request: &str, change: &[&str]) {
        let fields = ["chain", "0a", "before", "0a", "server", server, "request", request];
        let fields: Vec<_> = fields.iter().chain(change).map(|it| bulk(it)).collect();
        self.log.push(list(&fields));
    }
}

struct Fake {
    port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Fake {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = State { epoch: "00000000000000ff".to_owned(), ..State::default() };
        let shared = Arc::new((Mutex::new(state), Condvar::new()));
        let its = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let its = its.clone();
                thread::spawn(move || Connection { stream, loaded: 0, shared: its }.serve());
            }
        });
        Self { port, shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Waits until this holds.
    fn until(&self, what: &str, holds: impl Fn(&State) -> bool) {
        let wait = |state: &mut State| !holds(state);
        let waited = self.shared.1.wait_timeout_while(self.state(), DEADLINE, wait).unwrap();
        assert!(!waited.1.timed_out(), "not within the deadline: {what}");
    }

    /// Has it lie once, and waits until the server has attached on a new connection.
    fn lie(&self, on: On, lie: &Lie) {
        let before = self.state().attached;
        self.state().lie = Some((on, lie.clone()));
        self.shared.1.notify_all();
        self.until(&format!("{on:?} {lie:.60?}"), |it| it.lie.is_none() && it.attached > before);
    }
}

struct Connection {
    stream: TcpStream,
    /// Scripts loaded; the hash of each is its number.
    loaded: usize,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Connection {
    fn serve(mut self) {
        let mut from = BufReader::new(self.stream.try_clone().unwrap());
        while let Some(words) = command(&mut from) {
            let on = match words[0].as_str() {
                "XREAD" => Some(On::Read),
                "EVALSHA" if words[1] != "0" => Some(On::Script),
                _ => None,
            };
            let reply = self.reply(&words);
            let mut state = self.shared.0.lock().unwrap();
            let lie = state.lie.take_if(|(its, _)| Some(*its) == on);
            drop(state);
            self.shared.1.notify_all();
            let done = match lie {
                None => self.stream.write_all(reply.as_bytes()),
                Some((_, Lie::Reply(bytes))) => self.stream.write_all(&bytes),
                Some((_, Lie::Endless(first, rest))) => {
                    let mut done = self.stream.write_all(&first);
                    while done.is_ok() {
                        done = self.stream.write_all(&rest);
                    }
                    done
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn reply(&mut self, words: &[String]) -> String {
        let word = |at: usize| words[at].as_str();
        let mut state = self.shared.0.lock().unwrap();
        match word(0) {
            "INFO" => bulk("redis_version:7.0.15\r\nrole:master\r\nrun_id:x\r\n"),
            "TYPE" => "+none\r\n".to_owned(),
            "SCRIPT" => {
                self.loaded += 1;
                bulk(&(self.loaded - 1).to_string())
            }
            "XREVRANGE" => "*0\r\n".to_owned(),
            "EVALSHA" => {
                let (server, request) = (word(4), word(6));
                match word(1) {
                    "0" => {
                        state.attached += 1;
                        // The room begins anew each time.
                        state.epoch = format!("{:016x}", 0xff + state.attached);
                        state.append(server, request, &["change", "began"]);
                        let position = state.log.len().to_string();
                        let epoch = bulk(&state.epoch);
                        list(&[
                            bulk("fresh"),
                            bulk("1000"),
                            list(&[]),
                            epoch,
                            bulk(&position),
                            bulk("0a"),
                            bulk(&position),
                            list(&[]),
                        ])
                    }
                    "1" => list(&[bulk("renewed"), bulk("1000"), list(&[])]),
                    "2" => {
                        let joined = ["change", "joined", "nickname", word(8), "owner", word(10)];
                        let next = ["next", word(11), "replaces", ""];
                        state.append(server, request, &[&joined[..], &next].concat());
                        list(&[bulk("kept")])
                    }
                    "4" => {
                        let author = ["change", "said", "fence", word(7), "owner", word(8)];
                        let said = ["number", word(9), "at", word(10), "upstream", word(11)];
                        let text = ["from", word(12), "text", word(13)];
                        state.append(server, request, &[&author[..], &said, &text].concat());
                        list(&[bulk("kept")])
                    }
                    _ => list(&[bulk("kept")]),
                }
            }
            "XREAD" => {
                let after: usize = word(8).split('-').next().unwrap().parse().unwrap();
                let wait = Duration::from_millis(200);
                let idle =
                    |it: &mut State| it.log.len() <= after && it.flood == 0 && it.lie.is_none();
                let (mut state, _) = self.shared.1.wait_timeout_while(state, wait, idle).unwrap();
                if state.flood > 0 && after > 0 {
                    state.flood -= 1;
                    let line = state.log[after - 1].clone();
                    state.log.resize(after + ENTRIES, line);
                }
                let entries = state.log.iter().enumerate().skip(after).take(ENTRIES);
                let item = |(at, it): (usize, &String)| {
                    list(&[bulk(&format!("{}-0", at + 1)), it.clone()])
                };
                let entries: Vec<_> = entries.map(item).collect();
                if entries.is_empty() {
                    "*-1\r\n".to_owned()
                } else {
                    list(&[list(&[bulk(word(6)), list(&entries)])])
                }
            }
            other => format!("-ERR unknown command {other}\r\n"),
        }
    }
}

/// The words of the next command.
fn command(from: &mut impl BufRead) -> Option<Vec<String>> {
    let number = |from: &mut dyn BufRead| {
        let mut line = String::new();
        from.read_line(&mut line).ok()?;
        line.trim_end().get(1..)?.parse::<usize>().ok()
    };
    let count = number(from)?;
    let word = |_| {
        let mut bytes = vec![0; number(from)? + 2];
        from.read_exact(&mut bytes).ok()?;
        bytes.truncate(bytes.len() - 2);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    (0..count).map(word).collect()
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

fn list(items: &[String]) -> String {
    let mut all = format!("*{}\r\n", items.len());
    items.iter().for_each(|it| write!(all, "{it}").unwrap());
    all
}

/// The most memory that a process has had, kB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

pub(crate) fn a_redis_that_lies_harms_no_server() {
    let fake = Fake::start();
    let mut server = Server::start(&format!("redis://127.0.0.1:{}/r", fake.port), &["-v"]);
    let mut alice = server.join("alice");
    let reply = |text: &str| Lie::Reply(text.as_bytes().to_vec());
    let evil = "\u{1b}]0;evil\u{7}\u{1b}[2J\u{9b}31m";
    let megabyte = vec![b'x'; 1 << 20];
    let pairs = "*1\r\n".repeat(50_000);
    for lie in [
        // Giants: strings, lists, lines, lists in lists, and bytes without end.
        Lie::Endless(b"$1099511627776\r\n".to_vec(), megabyte.clone()),
        Lie::Endless(b"+".to_vec(), megabyte),
        Lie::Endless(b"*400000\r\n".to_vec(), b"$0\r\n\r\n".repeat(10_000)),
        reply("*9223372036854775807\r\n"),
        reply(&pairs),
        reply("$4\r\nhuh!\r\n"),
        // No Redis.
        reply("HTTP/1.1 400 Bad Request\r\n\r\n"),
        reply("\u{0}\u{1b}[2J\r\n"),
        reply(&format!("-ERR {evil}\r\n")),
        reply(&format!("-{evil} {evil}\r\n")),
    ] {
        fake.lie(On::Read, &lie);
    }
    for lie in [
        Lie::Endless(b"$1099511627776\r\n".to_vec(), vec![b'x'; 1 << 20]),
        reply("*1\r\n$4\r\nhuh!\r\n"),
        reply(&format!("-ERR {evil}\r\n")),
    ] {
        fake.lie(On::Script, &lie);
    }
    let mut bob = server.join("bob");
    alice.type_line("healed");
    bob.hear("healed");
    let program = server.program.as_mut().unwrap();
    let memory = peak(program.id());
    assert!(memory < MOST_MEMORY, "{memory} kB");
    program.signal("INT");
    assert_eq!(program.wait(), Some(0));
    for output in [program.output(), alice.output()] {
        let bad = output.chars().find(|it| it.is_control() && *it != '\n');
        assert_eq!(bad, None, "{output}");
    }
}

pub(crate) fn contents_that_somebody_writes_reach_no_terminal_and_leave_the_room_running() {
    let fake = Fake::start();
    let mut server = Server::start(&format!("redis://127.0.0.1:{}/r", fake.port), &["-v"]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let evil = "\u{1b}]0;evil\u{7}\u{1b}[2J\u{9b}31m\u{202e}";
    let (said, joined) = ("said", "joined");
    let line = |text| ["change", said, "fence", "2", "owner", "0c", "number", "900", "text", text];
    let rest = ["at", "18446744073709551615", "upstream", "-2147483648", "from", evil];
    let long = "\u{20ac}".repeat(20_000);
    let join = |name| ["change", joined, "nickname", name, "owner", "0d", "next", "0"];
    {
        let mut state = fake.state();
        state.append("0b", "1", &join(evil));
        state.append("0b", "2", &join("mallory"));
        state.append("0b", "3", &join("mallory"));
        state.append("0b", "4", &["change", "left", "fence", "999999", "reason", "timeout"]);
        state.append("0b", "5", &[&line(&long)[..], &rest].concat());
        state.append("0b", "6", &[&line(evil)[..], &rest].concat());
        state.flood = 100;
    }
    fake.shared.1.notify_all();
    fake.until("the flood is read", |it| it.flood == 0);
    // A malformed entry is a gap, and the room begins anew after it.
    let before = fake.state().attached;
    fake.state().append("", "", &["change", "sung"]);
    fake.state().append("0b", "7", &join("carol"));
    fake.shared.1.notify_all();
    fake.until("the gap is noticed", |it| it.attached > before);
    alice.status("may be missing");
    alice.type_line("and healed");
    bob.line("the line, now or in the replay", |line| line.contains("and healed"));
    let program = server.program.as_mut().unwrap();
    let memory = peak(program.id());
    assert!(memory < MOST_MEMORY, "{memory} kB");
    program.signal("INT");
    assert_eq!(program.wait(), Some(0));
    for output in [program.output(), alice.output(), bob.output()] {
        let bad = output.chars().find(|it| (it.is_control() && *it != '\n') || *it == '\u{202e}');
        assert_eq!(bad, None, "{output:.2000}");
    }
}
