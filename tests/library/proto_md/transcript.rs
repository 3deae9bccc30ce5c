//! The conversation in Part I of `proto.md`: a client that does exactly what Part I says talks to
//! the real server, both without sockets, with virtual time and fixed seeds. The text has to equal
//! what they send. `CHATAGRAM_BLESS=1 cargo test --test library proto_md` writes it anew.

use super::{read, root};
use crate::format::{flag_names, frame_line};
use chatagram::hub::{Capacity, Config, Destination, Hub, Limit, Line, Past, Path};
use chatagram::protocol::limits::{HEARTBEAT, JOIN_SIZE, MAX_DATAGRAM, MESSAGE_WINDOW};
use chatagram::protocol::{
    ClientMessage, Datagram, DatagramWriter, Flags, Frame, Header, Join, LeaveReason, Mark, Say,
    ServerMessage, decode_message, encode_message,
};
use chatagram::time::{Now, Timestamp, WallTime};
use std::fmt::Write;
use std::time::Duration;

const NONCE: u64 = 0x1122_3344_5566_7788;
/// Delay each way.
const ONE_WAY: Duration = Duration::from_millis(10);
/// The pause after which Part I sends a message again.
const RESEND: Duration = Duration::from_secs(1);
/// 2026-01-31T12:00:00Z in microseconds.
const NOON: u64 = 1_769_860_800_000_000;
const WIDTH: usize = 96;

/// The state of a client of Part I.
#[derive(Default)]
struct Client {
    cookie: Vec<u8>,
    session: u64,
    sequence: u32,
    largest: u32,
    /// Bit i: `largest - 1 - i` has arrived.
    bitmap: u64,
    /// The smallest message id not received.
    next: u16,
    /// The server's messages, in order.
    told: Vec<String>,
    closed: bool,
}

struct World {
    hub: Hub,
    client: Client,
    path: Path,
    now: Now,
    began: Timestamp,
    count: usize,
    text: String,
}

impl World {
    fn new() -> Self {
        let began = Timestamp::from_micros(1_000_000);
        let now = Now { mono: began, wall: WallTime(NOON) };
        let line = Line {
            mark: Mark { epoch: 0xfeed_0000_1234_5678, position: 1 },
            at: WallTime(NOON - 60_000_000),
            from: "bob".to_owned(),
            text: "is anybody there?".to_owned(),
            identity: None,
        };
        let config = Config {
            room: "the room".to_owned(),
            heartbeat: HEARTBEAT,
            capacity: Capacity { peers: 8, peers_per_ip: 8, expiry: 5 * HEARTBEAT },
            replay: 10,
            limit: Some(Limit::USUAL),
            discovery: None,
        };
        Self {
            hub: Hub::new(config, Past::from(vec![line]), [7; 32], now),
            client: Client::default(),
            // Over IPv6, so that there is no search for a larger datagram (§7.16).
            path: Path::routed(0, "[2001:db8::2]:40000".parse().unwrap()),
            now,
            began,
            count: 0,
            text: String::new(),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall.0 += time.as_micros() as u64;
    }

    /// The client sends these frames. With `note`, the datagram is lost.
    fn send(&mut self, frames: &[Frame<'_>], note: &str) {
        let client = &mut self.client;
        let mut header = Header::default();
        if client.session != 0 {
            client.sequence += 1;
            header = Header {
                flags: Flags::ACK,
                session: client.session,
                sequence: client.sequence,
                acknowledgment: client.largest,
                ack_bitmap: client.bitmap,
                window: client.next + MESSAGE_WINDOW as u16 - 1,
                ..header
            };
        }
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        for frame in frames {
            assert!(writer.push(frame));
        }
        if header.session == 0 {
            writer.pad_to(JOIN_SIZE);
        }
        writer.finish(&header);
        self.write("client to server", note, &bytes);
        if note.is_empty() {
            self.pass(ONE_WAY);
            self.hub.handle_datagram(self.path, &bytes, self.now);
        }
    }

    /// Lets the server send for `time` and the client answer. Returns the server's datagrams that
    /// carried a message.
    fn run(&mut self, time: Duration) -> Vec<Vec<u8>> {
        let until = self.now.mono + time;
        let mut with_messages = Vec::new();
        loop {
            while self.hub.poll_event().is_some() {}
            let mut buffer = Vec::new();
            if let Some(to) = self.hub.poll_transmit(&mut buffer, self.now) {
                assert_eq!(to, Destination::Datagram(self.path));
                for bytes in buffer.chunks(MAX_DATAGRAM) {
                    self.write("server to client", "", bytes);
                    self.pass(ONE_WAY);
                    if self.receive(bytes) {
                        with_messages.push(bytes.to_vec());
                    }
                }
                continue;
            }
            match self.hub.poll_timeout().filter(|at| *at <= until) {
                Some(at) => {
                    self.pass(at.since(self.now.mono));
                    self.hub.handle_timeout(self.now);
                }
                None => break,
            }
        }
        self.pass(until.since(self.now.mono));
        with_messages
    }

    /// A datagram of the server arrives. Returns true if it carried a message.
    fn receive(&mut self, bytes: &[u8]) -> bool {
        let datagram = Datagram::decode(bytes).unwrap();
        let header = datagram.header;
        assert!(header.flags.contains(Flags::FROM_SERVER));
        let frames: Vec<_> = datagram.frames().collect();
        if header.session == 0 {
            let [Frame::Challenge { nonce: NONCE, cookie }] = frames[..] else {
                panic!("{frames:?}")
            };
            self.client.cookie = cookie.to_vec();
            return false;
        }
        let client = &mut self.client;
        if client.session == 0 {
            (client.session, client.largest) = (header.session, header.sequence - 1);
        }
        assert_eq!(header.session, client.session);
        let step = header.sequence.wrapping_sub(client.largest);
        let new = (1..1 << 31).contains(&step);
        if new {
            let first = u64::from(client.sequence > 0) << (step - 1);
            client.bitmap = client.bitmap << step | first;
            client.largest = header.sequence;
        }
        let mut messages = false;
        for frame in &frames {
            if let Frame::Ordered { id, payload } = frame {
                messages = true;
                if *id == client.next {
                    client.next += 1;
                    let message = decode_message::<ServerMessage<'_>>(payload).unwrap();
                    let closing =
                        matches!(message, ServerMessage::Closing { reason: LeaveReason::Quit, .. });
                    client.closed |= closing;
                    let name = format!("{message:?}");
                    client.told.push(name.split([' ', '(', '{']).next().unwrap().to_owned());
                }
            }
        }
        if frames.iter().any(|frame| !matches!(frame, Frame::Padding(_))) {
            self.send(&[], "");
        }
        messages
    }

    fn say(&mut self, id: u16, message: &ClientMessage<'_>, note: &str) {
        let payload = encode_message(message);
        self.send(&[Frame::Ordered { id, payload: &payload }], note);
    }

    fn join(&mut self) {
        let cookie = self.client.cookie.clone();
        self.send(
            &[Frame::Join(Join {
                nonce: NONCE,
                cookie: &cookie,
                nickname: "alice",
                ..Join::default()
            })],
            "",
        );
    }

    fn write(&mut self, direction: &str, note: &str, bytes: &[u8]) {
        self.count += 1;
        let at = self.now.mono.since(self.began).as_millis();
        let separator = if self.count == 1 { "" } else { "\n" };
        let (count, size) = (self.count, bytes.len());
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        writeln!(self.text, "{separator}{count}. {at} ms, {direction}, {size} bytes{note}")
            .unwrap();
        let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
        let shown = if zeros > 64 { bytes.len() - zeros } else { bytes.len() };
        for row in bytes[..shown].chunks(32) {
            let groups = row
                .chunks(4)
                .map(|group| group.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
            writeln!(self.text, "   {}", groups.collect::<Vec<_>>().join(" ")).unwrap();
        }
        if shown < bytes.len() {
            writeln!(self.text, "   and {zeros} bytes 00").unwrap();
        }
        for line in meaning(bytes) {
            wrap(&mut self.text, &line);
        }
    }
}

/// A line for the header and one for each frame.
fn meaning(bytes: &[u8]) -> Vec<String> {
    let datagram = Datagram::decode(bytes).unwrap();
    let Header {
        flags,
        session,
        sequence,
        acknowledgment,
        ack_bitmap,
        timestamp,
        ack_delay,
        window,
    } = datagram.header;
    let mut lines = vec![format!(
        "= flags [{}], session {session:#x}, sequence {sequence}, acknowledgment {acknowledgment}, \
         ack_bitmap {ack_bitmap:#x}, timestamp {timestamp}, ack_delay {ack_delay}, window {window}",
        flag_names(flags)
    )];
    let from_server = flags.contains(Flags::FROM_SERVER);
    lines.extend(datagram.frames().map(|frame| format!("= {}", frame_line(&frame, from_server))));
    lines
}

/// Wraps a line between words.
fn wrap(text: &mut String, line: &str) {
    let mut row = String::from("  ");
    for word in line.split(' ') {
        if row.len() + 1 + word.len() > WIDTH {
            writeln!(text, "{row}").unwrap();
            row = "    ".to_owned();
        }
        row += " ";
        row += word;
    }
    writeln!(text, "{row}").unwrap();
}

/// The transcript of both ends, from the first `Join` to the acknowledgment of `Closing`.
fn conversation() -> String {
    let mut world = World::new();
    world.join();
    world.run(ONE_WAY);
    world.join();
    world.run(Duration::from_millis(100));
    assert_eq!(world.client.told, ["Welcome", "History", "Joined"]);

    let hello = ClientMessage::Say(Say { number: 0, sent: 0, text: "hello" });
    world.say(0, &hello, "lost");
    world.run(RESEND);
    world.say(0, &hello, "");
    let answers = world.run(Duration::from_millis(100));
    assert_eq!(world.client.told, ["Welcome", "History", "Joined", "Accepted"]);

    let [answer] = &answers[..] else { panic!("{} answers", answers.len()) };
    world.write("server to client", "the network delivers number 8 again", answer);
    world.receive(answer);
    world.run(HEARTBEAT);
    world.send(&[Frame::Heartbeat], "");
    world.run(Duration::from_millis(100));

    world.say(1, &ClientMessage::Leave { next: 1 }, "");
    world.run(Duration::from_millis(100));
    assert!(world.client.closed);
    assert_eq!(world.client.told.last().map(String::as_str), Some("Closing"));
    assert_eq!(world.hub.sessions(), 0, "the server has forgotten the session");
    world.text
}

#[test]
fn the_conversation_of_part_one_is_what_both_ends_send() {
    let said = conversation();
    assert_eq!(said, conversation(), "the same calls give the same output");
    let text = read("proto.md");
    let (before, rest) = text.split_once("```text transcript\n").expect("the transcript");
    let (written, after) = rest.split_once("```").expect("its end");
    if std::env::var_os("CHATAGRAM_BLESS").is_some() {
        let text = format!("{before}```text transcript\n{said}```{after}");
        std::fs::write(root().join("proto.md"), text).unwrap();
    } else {
        assert_eq!(
            written, said,
            "CHATAGRAM_BLESS=1 cargo test --test library proto_md writes it anew"
        );
    }
}
