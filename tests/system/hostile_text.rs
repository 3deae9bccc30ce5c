//! Every Unicode character, in every field that carries a peer's text: no control character reaches
//! a terminal, a log or the history. Controls steer the terminal, break a line or reverse its
//! order. These tests read the text on its way out; `terminal` reads the terminal itself. The
//! modules that read files have tests for the text in a file.

#[cfg(target_os = "linux")]
mod terminal;

use chatagram::client::Format;
use chatagram::client::session::{self, Event, Session, Transport};
use chatagram::decode;
use chatagram::history::{History, Record, Verify};
use chatagram::hub::{self, Capacity, Destination, Hub, Line, Past, Path};
use chatagram::protocol::limits::{JOIN_SIZE, MAX_DATAGRAM};
use chatagram::protocol::{
    About, ClientMessage, Datagram, DatagramWriter, Delivery, Flags, Frame, Header, Join,
    LeaveReason, LiveLine, PastLine, Refusal, RollEntry, RollWriter, Say, ServerMessage, Welcome,
    Whisper, decode_message, encode_message,
};
use chatagram::time::{Now, Timestamp, WallTime};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Ids of the client's first questions.
const WHO: u16 = 1;
const PING: u16 = 2;

/// Every character, in texts as long as fit a datagram as a name and as a text.
fn every_character() -> impl Iterator<Item = String> {
    let characters: Vec<char> = ('\0'..=char::MAX).collect();
    let texts: Vec<String> = characters.chunks(120).map(|some| some.iter().collect()).collect();
    assert_eq!(texts.concat().chars().count(), 0x11_0000 - 0x800, "all but the surrogates");
    texts.into_iter()
}

/// The characters that must not appear, listed independently of the code: C0, DEL, C1, the
/// separators, the controls of UAX #9.
fn is_control(ch: char) -> bool {
    matches!(
        ch,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

fn assert_clean(text: &str) {
    assert_eq!(text.chars().find(|ch| is_control(*ch)), None, "{text:?}");
}

/// Each of these controls, followed by a letter.
fn dangerous() -> String {
    ('\0'..=char::MAX).filter(|ch| is_control(*ch)).flat_map(|ch| [ch, 'x']).collect()
}

fn now() -> Now {
    Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1_800_000_000_000_000) }
}

fn later(now: &mut Now, time: Duration) {
    now.mono = now.mono + time;
    now.wall.0 += time.as_micros() as u64;
}

fn server() -> SocketAddr {
    ([10, 0, 0, 1], 2428).into()
}

fn datagram(header: &Header, frame: &Frame<'_>, size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    assert!(writer.push(frame));
    writer.pad_to(size);
    writer.finish(header);
    bytes
}

/// A client that has sent its `Join`, and its nonce.
fn client(now: Now) -> (Session, u64) {
    let config = session::Config {
        nickname: "alice".to_owned(),
        transport: Transport::Udp,
        delivery: Delivery::ReliableUnordered,
        give_up: Duration::from_secs(60),
        shown: Vec::new(),
    };
    let mut session = Session::new(config, vec![server()], [7; 32], now);
    let mut buffer = Vec::new();
    session.poll_transmit(&mut buffer, now).unwrap();
    let frame = Datagram::decode(&buffer).unwrap().frames().next();
    let Some(Frame::Join(Join { nonce, .. })) = frame else { panic!("{frame:?}") };
    (session, nonce)
}

/// Every message in which a server can put a text, with the ids that the client expects.
fn server_messages(position: u64, text: &str) -> Vec<Vec<u8>> {
    let (peer, number, next, peers) = (3, position as u16, position as u16, 2);
    let (at, own, upstream, to) = (1, false, 0, text);
    let (from, detail) = (text, text);
    // The client ignores an entry with its own name, which is `text` (proto.md §7.17).
    let nickname = &*format!("z{text}");
    let about = |nickname| {
        ServerMessage::About(About {
            number: WHO,
            left: 0,
            peer,
            nickname,
            transport: Transport::Udp,
            delivery: Delivery::Unreliable,
            rtt_us: 1,
            silent_ms: 1,
            sent: 1,
            lost: 1,
            received: 1,
            missing: 1,
        })
    };
    let reason = LeaveReason::Quit;
    let [came, went] = [next, next + 100].map(|next| {
        let mut roll = RollWriter::default();
        roll.push(&RollEntry { peer, nickname, next });
        roll.push(&RollEntry { peer: peer + 1, nickname, next });
        roll
    });
    [
        ServerMessage::Present { roll: came.roll() },
        ServerMessage::History(PastLine { position, at, own, number, from, text }),
        ServerMessage::Joined { peers, roll: came.roll() },
        ServerMessage::Line(LiveLine {
            position: position + 1,
            at,
            upstream,
            peer,
            number: number + 7,
            from,
            text,
        }),
        ServerMessage::Left { peers, reason, roll: went.roll() },
        ServerMessage::Whisper { at, upstream, peer, from, text },
        ServerMessage::Whispered { number, at, to, text },
        ServerMessage::NotHere { number, to },
        ServerMessage::Notice { text },
        about(text),
        ServerMessage::Ponged { number: PING, from },
        ServerMessage::Closing { reason, detail },
    ]
    .iter()
    .map(encode_message)
    .collect()
}

/// A welcome to a room, and under a name, of this text.
fn welcome(nonce: u64, text: &str, expiry: Duration) -> Vec<u8> {
    encode_message(&ServerMessage::Welcome(Welcome {
        nonce,
        peer: 1,
        token: [1; 16],
        nickname: text,
        room: text,
        heartbeat_ms: expiry.as_millis() as u32 / 5,
        expiry_ms: expiry.as_millis() as u32,
        burst: 0,
        rate: 0,
        peers: 2,
        replay: 0,
        complete: true,
        epoch: 1,
        latest: 0,
        newest: 0,
        taken: &[],
        sure: true,
    }))
}

fn text_from_a_server_is_shown_without_controls() {
    let (mut kinds, mut shown) = (std::collections::BTreeSet::new(), 0);
    for text in every_character() {
        let mut now = now();
        for refused in [false, true] {
            let (mut session, nonce) = client(now);
            let mut sequence = 0;
            let mut tell = |session: &mut Session, frame: &Frame<'_>, number: u64, now: Now| {
                sequence += 1;
                let header = Header {
                    flags: Flags::FROM_SERVER,
                    session: number,
                    sequence,
                    window: 200,
                    ..Header::default()
                };
                session.handle_datagram(server(), &datagram(&header, frame, 0), now);
            };
            if refused {
                let (reason, detail) = (Refusal::RoomFull, &*text);
                tell(&mut session, &Frame::Refused { nonce, reason, detail }, 0, now);
            } else {
                let welcome = welcome(nonce, &text, Duration::from_secs(10));
                tell(&mut session, &Frame::Ordered { id: 0, payload: &welcome }, 9, now);
                assert!(session.ask_who(now));
                session.ping("bob", now);
                for (id, payload) in (1..).zip(server_messages(10, &text)) {
                    tell(&mut session, &Frame::Ordered { id, payload: &payload }, 9, now);
                }
                later(&mut now, Duration::from_secs(20));
                session.handle_timeout(now);
            }
            while let Some(event) = session.poll_event() {
                kinds.insert(format!("{event:?}").split([' ', '(']).next().unwrap().to_owned());
                let lines = match &event {
                    Event::Who { peers, server } => peers.len() + 1 + usize::from(server.is_some()),
                    _ => 1,
                };
                let Some(line) = Format::Text.plain(&event) else { continue };
                assert_eq!(line.split('\n').count(), lines, "{line:?}");
                line.split('\n').for_each(assert_clean);
                Format::Json.plain(&event).unwrap().split('\n').for_each(assert_clean);
                shown += 1;
            }
        }
    }
    for kind in [
        "Welcome", "Message", "History", "Present", "Joined", "Left", "Gap", "Error", "Who",
        "Pong", "Status", "Closed",
    ] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    assert!(shown > 100_000, "{shown}");
}

/// A hub with a listener at port 1 and a speaker at port 2.
struct Room {
    hub: Hub,
    now: Now,
    session: u64,
    sequence: u32,
    next: u16,
    lines: Vec<Rc<Line>>,
}

impl Room {
    fn new(past: Past) -> Self {
        let now = now();
        let capacity = Capacity { peers: 9, peers_per_ip: 9, expiry: Duration::from_secs(3_600) };
        let config = hub::Config {
            room: "lab".to_owned(),
            heartbeat: Duration::from_secs(2),
            capacity,
            replay: 1_000,
            discovery: None,
            limit: None,
        };
        let hub = Hub::new(config, past, [1; 32], now);
        let mut room = Self { hub, now, session: 0, sequence: 0, next: 0, lines: Vec::new() };
        room.join(1, "listener");
        room.join(2, "speaker");
        room
    }

    fn join(&mut self, port: u16, nickname: &str) {
        let mut proof = Vec::new();
        for _ in 0..2 {
            let join = Frame::Join(Join {
                nonce: port.into(),
                cookie: &proof,
                nickname,
                ..Join::default()
            });
            let bytes = datagram(&Header::default(), &join, JOIN_SIZE);
            self.hub.handle_datagram(path(port), &bytes, self.now);
            if let Some(cookie) = self.check_output() {
                proof = cookie;
            }
        }
    }

    fn say(&mut self, message: &ClientMessage<'_>) {
        self.sequence += 1;
        let header = Header {
            flags: Flags::ACK,
            session: self.session,
            sequence: self.sequence,
            ack_bitmap: u64::MAX,
            window: u16::MAX,
            ..Header::default()
        };
        let payload = encode_message(message);
        let frame = Frame::Ordered { id: self.next, payload: &payload };
        self.next = self.next.wrapping_add(1);
        self.hub.handle_datagram(path(2), &datagram(&header, &frame, 0), self.now);
        self.check_output();
    }

    /// Checks everything that the hub sends and reports. Returns the cookie of a challenge.
    fn check_output(&mut self) -> Option<Vec<u8>> {
        while let Some(event) = self.hub.poll_event() {
            match event {
                hub::Event::Line(line) => {
                    assert_clean(&line.from);
                    assert_clean(&line.text);
                    self.lines.push(line);
                }
                hub::Event::Refused { detail, .. } => assert_clean(&detail),
                hub::Event::Joined { nickname, .. }
                | hub::Event::Left { nickname, .. }
                | hub::Event::Moved { nickname, .. } => assert_clean(&nickname),
                hub::Event::Moderated { done } => assert_clean(&done.to_string()),
                hub::Event::Renamed { from, to } => {
                    [from, to].iter().for_each(|name| assert_clean(name));
                }
                event => panic!("unchecked: {event:?}"),
            }
        }
        let (mut buffer, mut proof) = (Vec::new(), None);
        while let Some(to) = self.hub.poll_transmit(&mut buffer, self.now) {
            let Destination::Datagram(to) = to else { panic!("{to:?}") };
            for bytes in buffer.chunks(MAX_DATAGRAM) {
                let datagram = Datagram::decode(bytes).unwrap();
                for frame in datagram.frames() {
                    match frame {
                        Frame::Challenge { cookie, .. } => proof = Some(cookie.to_vec()),
                        Frame::Refused { detail, .. } => assert_clean(detail),
                        Frame::Ordered { payload, .. } => {
                            if to.remote.port() == 2 {
                                self.session = datagram.header.session;
                            }
                            check_message(payload);
                        }
                        _ => {}
                    }
                }
            }
        }
        proof
    }
}

fn path(port: u16) -> Path {
    Path::routed(0, ([10, 0, 1, 1], port).into())
}

/// Checks what the hub sends to other members.
fn check_message(payload: &[u8]) {
    match decode_message(payload).unwrap() {
        ServerMessage::History(PastLine { from, text, .. })
        | ServerMessage::Line(LiveLine { from, text, .. })
        | ServerMessage::Whisper { from, text, .. }
        | ServerMessage::Whispered { to: from, text, .. } => {
            assert_clean(from);
            assert_clean(text);
        }
        ServerMessage::NotHere { to: text, .. }
        | ServerMessage::Notice { text }
        | ServerMessage::Closing { detail: text, .. } => assert_clean(text),
        ServerMessage::Present { roll } | ServerMessage::Joined { roll, .. } => {
            roll.entries().for_each(|entry| assert_clean(entry.nickname));
        }
        _ => {}
    }
}

fn text_from_a_member_is_relayed_and_stored_without_controls() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("history.jsonl");
    let (mut lines, mut number) = (0, 0);
    let mut history = History::open(&file, 0).unwrap().history;
    let texts: Vec<String> = every_character().collect();
    for some in texts.chunks(20) {
        let mut room = Room::new(Past::default());
        for (index, text) in some.iter().enumerate() {
            number += 1;
            room.say(&ClientMessage::Say(Say { number, sent: 0, text }));
            room.say(&ClientMessage::Whisper(Whisper { number, sent: 0, to: "listener", text }));
            room.say(&ClientMessage::Whisper(Whisper { number, sent: 0, to: text, text: "hi" }));
            room.say(&ClientMessage::Ping { number, to: text });
            // The refusal repeats the name.
            room.join(10 + index as u16, &text.chars().take(3).collect::<String>());
            later(&mut room.now, Duration::from_secs(1));
            room.hub.handle_timeout(room.now);
            room.check_output();
        }
        room.hub.warn(&some.concat());
        room.check_output();
        for line in room.lines {
            let (at, from, text) = (line.at, line.from.clone(), line.text.clone());
            let record = Record { at, from, text, ..Record::default() };
            history.append(&record).unwrap();
            lines += 1;
        }
    }
    assert!(lines > texts.len() - 10, "{lines} of {}", texts.len());
    let content = std::fs::read_to_string(&file).unwrap();
    assert_eq!(content.split_terminator('\n').count(), lines);
    content.split('\n').for_each(assert_clean);
    assert_eq!(Verify::open(&file).unwrap().count(), 0);
}

fn decode_shows_text_without_controls() {
    for text in every_character() {
        let header = Header { flags: Flags::FROM_SERVER, ..Header::default() };
        for payload in server_messages(1, &text) {
            let bytes = datagram(&header, &Frame::Once { payload: &payload }, 0);
            decode::datagram(&bytes).text.split('\n').for_each(assert_clean);
        }
    }
}

tests! {
    text_from_a_server_is_shown_without_controls,
    text_from_a_member_is_relayed_and_stored_without_controls,
    decode_shows_text_without_controls,
    #[cfg(target_os = "linux")]
    terminal::a_server_or_a_paste_cannot_control_the_editors_terminal,
    #[cfg(target_os = "linux")]
    terminal::a_server_cannot_control_the_screen_of_watch,
    #[cfg(target_os = "linux")]
    terminal::members_cannot_control_a_terminal_that_shows_the_log,
}
