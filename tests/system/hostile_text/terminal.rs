//! The bytes that reach a terminal: the program runs in a terminal of its own (script(1)), a
//! hostile server sends every character in every field, and the test pastes every character.

use super::{dangerous, every_character, is_control, server_messages, welcome};
use crate::needs::needs;
use crate::program::Server;
use chatagram::protocol::{
    About, ClientMessage, Delivery, Flags, Frame, Join, LeaveReason, LiveLine, Piece, Preface,
    RollEntry, RollWriter, Say, ServerMessage, StreamReader, decode_message, encode_message,
    write_record,
};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Limit of each wait. Only a failing test takes this long.
const DEADLINE: Duration = Duration::from_secs(60);
/// Lines sent at a time: a client that cannot write to its terminal drops lines.
const BATCH: usize = 100;

/// A program, and its output to its terminal.
struct Screen {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    seen: Vec<u8>,
}

impl Screen {
    fn start(args: &str) -> Self {
        needs(&["script", "sh", "stty"]);
        let program = env!("CARGO_BIN_EXE_chatagram");
        let script = format!("stty cols 100 rows 50; exec '{program}' {args}");
        let mut command = Command::new("script");
        command.args(["-qec", &script, "/dev/null"]).env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, output) = channel();
        let mut stdout = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 65_536];
            while let Ok(count @ 1..) = stdout.read(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        let keys = child.stdin.take().unwrap();
        Self { child, keys, output, seen: Vec::new() }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for these bytes after the first `from` bytes; returns where they end.
    fn until(&mut self, from: usize, words: &str) -> usize {
        let deadline = Instant::now() + DEADLINE;
        let mut looked = from;
        loop {
            let place =
                self.seen[looked..].windows(words.len()).position(|it| it == words.as_bytes());
            if let Some(place) = place {
                return looked + place + words.len();
            }
            looked = looked.max(self.seen.len().saturating_sub(words.len()));
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(_) => {
                    let last = &self.seen[self.seen.len().saturating_sub(3_000)..];
                    panic!("no {words:?} after {from}: ... {:?}", String::from_utf8_lossy(last));
                }
            }
        }
    }

    /// The same until the editor reads again. From then on it marks pastes.
    fn until_it_reads(&mut self, from: usize) -> usize {
        self.until(from, "\u{1b}[?2004h")
    }

    /// The whole output, once the program has ended.
    fn end(mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.seen.extend(bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the program does not end"),
            }
        }
        String::from_utf8(std::mem::take(&mut self.seen)).unwrap()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Closing its terminal ends the program.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts that the program uses every sequence that moves the cursor, paints or erases: only `ESC
/// [` with numbers and a letter, carriage returns, line feeds, and the tabs of a draft.
fn assert_own(output: &str) {
    let context = |at: usize| {
        let begin = output.floor_char_boundary(at.saturating_sub(60));
        &output[begin..output.ceil_char_boundary((at + 60).min(output.len()))]
    };
    let mut chars = output.char_indices();
    while let Some((at, ch)) = chars.next() {
        if ch == '\u{1b}' {
            let rest = &output[at + 1..];
            let length = own_sequence(rest)
                .unwrap_or_else(|| panic!("an unknown sequence: {:?}", context(at)));
            chars.by_ref().take(length).for_each(drop);
        } else {
            let bad = is_control(ch) && !matches!(ch, '\r' | '\n' | '\t');
            assert!(!bad, "{ch:?} in {:?}", context(at));
        }
    }
}

/// The characters after the escape of one of the program's own sequences.
fn own_sequence(rest: &str) -> Option<usize> {
    let figures = rest.strip_prefix('[')?;
    let end = figures.find(|ch: char| !matches!(ch, '0'..='9' | ';' | '?'))?;
    // No terminal has 66,000 rows.
    let letter = figures[end..].chars().next()?;
    ("ACHJKhlm".contains(letter) && !figures[..end].contains("66666")).then_some(end + 2)
}

/// A hostile server for one client, over TCP.
struct HostileServer {
    stream: TcpStream,
    reader: StreamReader,
}

impl HostileServer {
    fn listen() -> TcpListener {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        listener
    }

    /// Admits a client to any room and under any name.
    fn accept(listener: &TcpListener, text: &str) -> Self {
        let deadline = Instant::now() + DEADLINE;
        let stream = loop {
            match listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(Instant::now() < deadline, "no client connects");
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(error) => panic!("{error}"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        let mut server = Self { stream, reader: StreamReader::default() };
        let nonce = server.wait(|frame| match frame {
            Frame::Join(Join { nonce, .. }) => Some(*nonce),
            _ => None,
        });
        let preface = Preface { flags: Flags::FROM_SERVER, session: 9 };
        server.stream.write_all(&preface.encode()).unwrap();
        server.say(&[welcome(nonce, text, DEADLINE)]);
        server
    }

    /// Reads until a frame that `wanted` accepts.
    fn wait<T>(&mut self, wanted: impl Fn(&Frame<'_>) -> Option<T>) -> T {
        let mut buffer = [0; 4_096];
        loop {
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the client closed the connection");
            let (mut bytes, mut found) = (&buffer[..count], None);
            while let Some(piece) = self.reader.next(&mut bytes).unwrap() {
                if let Piece::Frame(frame) = piece {
                    found = found.or_else(|| wanted(&frame));
                }
            }
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// Waits for a message.
    fn hear<T>(&mut self, wanted: impl Fn(ClientMessage<'_>) -> Option<T>) -> T {
        self.wait(|frame| match frame {
            Frame::Once { payload } => decode_message(payload).ok().and_then(&wanted),
            _ => None,
        })
    }

    /// The number of the client's next `Who`.
    fn asked_who(&mut self) -> u16 {
        self.hear(|message| match message {
            ClientMessage::Who { number } => Some(number),
            _ => None,
        })
    }

    /// Ends the session with a reason.
    fn let_go(mut self) {
        self.hear(|message| matches!(message, ClientMessage::Leave { .. }).then_some(()));
        let detail = dangerous();
        let closing = ServerMessage::Closing { reason: LeaveReason::Quit, detail: &detail };
        self.say(&[encode_message(&closing)]);
    }

    fn say(&mut self, messages: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for payload in messages {
            assert!(write_record(&Frame::Once { payload }, &mut bytes));
        }
        self.stream.write_all(&bytes).unwrap();
    }
}

fn line(number: u16, from: &str, text: &str) -> Vec<u8> {
    let id = 1_800_000_000_000_000 + u64::from(number);
    encode_message(&ServerMessage::Line(LiveLine {
        position: id,
        at: id,
        upstream: 0,
        peer: 3,
        number,
        from,
        text,
    }))
}

/// Text that would be visible if a terminal obeyed it, in every sequence that could.
fn sequences() -> String {
    let mut all = String::from("xyzzy");
    for csi in ["\u{1b}[", "\u{9b}"] {
        for heeded in ["66666;66666H", "66666A", "2J", "?1049h", "31m", "6n", ">0q", "c"] {
            all.push_str(&format!("{csi}{heeded}"));
        }
    }
    all + "\u{1b}]0;xyzzy\u{7}\u{1b}]52;c;eHl6enk=\u{1b}\\\u{9d}0;xyzzy\u{9c}\u{1b}P$qm\
           \u{1b}\\\u{90}q\u{9c}\u{1b}c\u{1b}Z"
}

pub(crate) fn a_server_or_a_paste_cannot_control_the_editors_terminal() {
    let listener = HostileServer::listen();
    let address = listener.local_addr().unwrap();
    let args = format!("client {address} --transport tcp --nick alice --no-cache --bell off");
    let mut screen = Screen::start(&args);
    let mut server = HostileServer::accept(&listener, &dangerous());
    for text in [dangerous(), sequences()] {
        let mut messages = server_messages(10, &text);
        // The last line ends the session.
        messages.pop();
        server.say(&messages);
    }
    let mut at = screen.until(0, "xyzzy");
    let texts: Vec<String> = every_character().collect();
    let mut number = 100_u16;
    for (batch, some) in texts.chunks(BATCH).enumerate() {
        let lines = some.iter().map(|text| {
            number = number.wrapping_add(1);
            line(number, &text[..text.ceil_char_boundary(100)], text)
        });
        let mut lines: Vec<_> = lines.collect();
        number = number.wrapping_add(1);
        lines.push(line(number, "bob", &format!("that was batch {batch}.")));
        server.say(&lines);
        at = screen.until(at, &format!("that was batch {batch}."));
    }
    // Completion lists names.
    for (peer, nickname) in [(7, dangerous() + "xyzzy"), (8, sequences())] {
        let mut roll = RollWriter::default();
        roll.push(&RollEntry { peer, nickname: &nickname, next: 1 });
        server.say(&[encode_message(&ServerMessage::Present { roll: roll.roll() })]);
    }
    server.say(&[line(number.wrapping_add(1), "bob", "that were two.")]);
    at = screen.until(at, "that were two.");
    screen.press("@\t");
    at = screen.until(at, "xyzzy");
    // Ctrl-C clears the draft.
    screen.press("\u{3}");
    at = screen.until_it_reads(at);
    // The editor takes an escape in a paste for a key, so the pasted text has none.
    for (round, text) in [dangerous(), sequences()].iter().enumerate() {
        let text = text.replace('\u{1b}', "");
        screen.press(&format!("\u{1b}[200~{text}pasted {round}.\u{1b}[201~"));
        at = screen.until(at, &format!("pasted {round}."));
        screen.press("\r");
        at = screen.until(at, &format!("pasted {round}."));
        at = screen.until_it_reads(at);
    }
    // Typed character by character, and one inserted with Ctrl-V.
    screen.press("typed \u{2028}\u{202e}\u{9b}31m\u{16}\u{1b}[66666A\u{16}\u{7} this.");
    at = screen.until(at, " this.");
    screen.press("\r");
    at = screen.until_it_reads(at);
    screen.press("/who\r");
    server.asked_who();
    screen.until_it_reads(at);
    // Ctrl-C on an empty line: the server never acknowledges the lines, which the client would wait
    // for.
    screen.press("\u{3}");
    server.let_go();
    let output = screen.end();
    assert!(!output.contains("were not shown"), "the client dropped lines");
    assert!(output.contains("\u{fffd}[66666A"), "hostile text is shown without effect");
    assert_own(&output);
}

pub(crate) fn a_server_cannot_control_the_screen_of_watch() {
    let listener = HostileServer::listen();
    let address = listener.local_addr().unwrap();
    let args = format!("watch {address} --transport tcp --nick alice --interval 100ms");
    let mut screen = Screen::start(&args);
    let mut server = HostileServer::accept(&listener, &dangerous());
    // Names have 18 columns there.
    let bad: Vec<char> = dangerous().chars().filter(|ch| is_control(*ch)).collect();
    let mut names: Vec<String> = bad.chunks(8).map(|some| some.iter().collect()).collect();
    names.push("\u{1b}[66666A\u{9b}31mxyzzy".to_owned());
    for round in 0..3 {
        let asked = server.asked_who();
        let text = format!("{}{}", dangerous(), sequences());
        let number = 200 + round;
        server.say(&[
            line(number, &text, "hello"),
            line(number, "eve", &text),
            encode_message(&ServerMessage::Notice { text: &text }),
        ]);
        let about = |(place, name): (usize, &String)| {
            encode_message(&ServerMessage::About(About {
                number: asked,
                left: (names.len() - place - 1) as u16,
                peer: place as u16,
                nickname: name,
                transport: chatagram::client::session::Transport::Udp,
                delivery: Delivery::Unreliable,
                rtt_us: u32::MAX,
                silent_ms: u32::MAX,
                sent: u64::MAX,
                lost: 1,
                received: 1,
                missing: 1,
            }))
        };
        server.say(&names.iter().enumerate().map(about).collect::<Vec<_>>());
    }
    screen.until(0, "xyzzy");
    screen.press("q");
    server.let_go();
    let output = screen.end();
    assert!(output.contains("\u{fffd}[66666A\u{fffd}31mxyzzy"), "hostile text is shown");
    assert_own(&output);
}

/// Joins over TCP under this name, and says these texts unchanged.
fn speak(server: SocketAddr, nickname: &str, texts: &[String]) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    let delivery = Delivery::ReliableOrdered;
    let join = Frame::Join(Join { nonce: 1, nickname, delivery, ..Join::default() });
    let mut bytes = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    assert!(write_record(&join, &mut bytes));
    for (number, text) in (0..).zip(texts) {
        let payload = encode_message(&ClientMessage::Say(Say { number, sent: 0, text }));
        assert!(write_record(&Frame::Once { payload: &payload }, &mut bytes));
    }
    // A refused client is disconnected meanwhile.
    let _ = stream.write_all(&bytes);
    stream
}

/// A server's log is read on a terminal too. It contains lines and refused names.
pub(crate) fn members_cannot_control_a_terminal_that_shows_the_log() {
    let mut server = Server::start(&["--no-history", "--rate-limit", "off", "-v"]);
    let mut texts: Vec<String> = every_character().collect();
    texts.extend([sequences(), "that was all".to_owned()]);
    let names = [&dangerous()[..30], "\u{1b}[2J", "mallory"];
    let _streams = names.map(|name| speak(server.address, name, &texts));
    server.program.line("the last line", |line| line.ends_with("mallory: that was all"));
    let said = server.program.output();
    said.split('\n').for_each(super::assert_clean);
    let lines = said.lines().filter(|line| line.contains("mallory: ")).count();
    assert!(lines > texts.len() - 10, "{lines} of {}", texts.len());
}
