//! The golden vectors as values. The files in this directory hold the bytes; the test compares
//! both, and writes the files anew if `CHATAGRAM_BLESS` is set.

use crate::format::{Group, Vector, vector};
use chatagram::protocol::limits::{JOIN_SIZE, MAX_DATAGRAM, PART_SIZE, PROBE_SIZE};
use chatagram::protocol::{
    About, ClientMessage, DatagramWriter, Delivery, Flags, Frame, HEADER_LEN, Header, Join,
    LeaveReason, LiveLine, Part, PastLine, Refusal, RollEntry, RollWriter, Say, ServerCounters,
    ServerList, ServerMessage, Token, Transport, Welcome, Whisper, encode_message,
};

/// The session of all examples.
const SESSION: u64 = 0x0123_4567_89ab_cdef;
const NONCE: u64 = 0x1122_3344_5566_7788;
/// 2026-01-31T12:00:00Z in microseconds.
const NOON: u64 = 1_769_860_800_000_000;
const COOKIE: [u8; 20] = *b"\x00\x00\x30\x39 sixteen of HMAC";
const TOKEN: Token = *b"a resuming token";
/// The epoch of a log.
const EPOCH: u64 = 0xfeed_0000_1234_5678;
/// One letter of four bytes, and one of three: Deseret capital long I, Georgian letter Hae.
const WIDE: &str = "\u{10400}";
const THREE: &str = "\u{10f0}";

/// All groups of vectors.
pub(crate) fn groups() -> Vec<Group> {
    vec![
        Group {
            file: "handshake",
            about: "Datagrams of session zero: getting in, or not (section 7.2).",
            vectors: handshake(),
        },
        Group {
            file: "frames",
            about: "Every frame that a session carries, and acknowledgments (sections 5 and 7.3).",
            vectors: frames(),
        },
        Group {
            file: "client-messages",
            about: "Every message of a client (section 6.1).",
            vectors: client_messages(),
        },
        Group {
            file: "server-messages",
            about: "Every message of a server (section 6.2).",
            vectors: server_messages(),
        },
        Group {
            file: "unreadable-messages",
            about: "Valid datagrams with a message that is not one: the datagram is acknowledged,\n\
                    the message is ignored (section 8.3).",
            vectors: unreadable_messages(),
        },
        Group {
            file: "invalid",
            about: "Datagrams to be dropped, in the order of the checks of section 8.1.",
            vectors: invalid(),
        },
    ]
}

fn datagram(header: &Header, frames: &[Frame<'_>]) -> Vec<u8> {
    padded(header, frames, 0)
}

fn padded(header: &Header, frames: &[Frame<'_>], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    for frame in frames {
        assert!(writer.push(frame), "{frame:?} does not fit");
    }
    writer.pad_to(size);
    writer.finish(header);
    bytes
}

/// The header of a client's first datagrams, outside of any session.
fn outside() -> Header {
    Header { timestamp: 1_000_000, ..Header::default() }
}

/// The header of a server's answer outside of any session.
fn stateless(session: u64) -> Header {
    Header { flags: Flags::FROM_SERVER, session, timestamp: 2_000_000, ..Header::default() }
}

fn of_moved_server(flags: Flags) -> Header {
    Header { flags, ..stateless(SESSION) }
}

fn from_client() -> Header {
    Header {
        flags: Flags::ACK,
        session: SESSION,
        sequence: 7,
        acknowledgment: 5,
        ack_bitmap: 0b1111,
        timestamp: 1_500_000,
        ack_delay: 0,
        window: 258,
    }
}

fn from_server() -> Header {
    Header {
        flags: Flags::FROM_SERVER.with(Flags::ACK),
        session: SESSION,
        sequence: 6,
        acknowledgment: 7,
        ack_bitmap: 0b11_1111,
        timestamp: 2_500_000,
        ack_delay: 12,
        window: 257,
    }
}

fn handshake() -> Vec<Vector> {
    let join = |cookie, resume, epoch, seen, next| {
        Frame::Join(Join {
            nonce: NONCE,
            cookie,
            nickname: "alice",
            delivery: Delivery::ReliableOrdered,
            resume,
            epoch,
            seen,
            next,
        })
    };
    let first = join(&[], &[], 0, 0, 0);
    let second = join(&COOKIE, &[], 0, 0, 0);
    let again = join(&COOKIE, &TOKEN, EPOCH, 1_000_007, 300);
    let challenge = Frame::Challenge { nonce: NONCE, cookie: COOKIE };
    let refused = Frame::Refused {
        nonce: NONCE,
        reason: Refusal::NameTaken,
        detail: "the nickname alice is in use",
    };
    let version = Frame::Refused {
        nonce: 0,
        reason: Refusal::Version,
        detail: "this server speaks version 1, not 2",
    };
    vec![
        vector(
            "join-first",
            "A first Join, without a cookie, padded to 512 bytes.",
            padded(&outside(), &[first], JOIN_SIZE),
        ),
        vector(
            "challenge",
            "The answer: a cookie, in a datagram much smaller than the Join.",
            datagram(&stateless(0), &[challenge]),
        ),
        vector(
            "join-cookie",
            "The second Join brings the cookie back.",
            padded(&outside(), &[second], JOIN_SIZE),
        ),
        vector(
            "join-resume",
            "A Join of a client that was here: with its token, the last line it saw, and the\n\
             number of its next line.",
            padded(&outside(), &[again], JOIN_SIZE),
        ),
        vector("refused", "The name is taken.", datagram(&stateless(0), &[refused])),
        vector(
            "refused-version",
            "The answer to a Join of version 2. Its nonce is zero: the server cannot read \
             the Join's.",
            datagram(&stateless(0), &[version]),
        ),
        vector(
            "probe",
            "Is there a server? Padded to 256 bytes, to everybody near.",
            padded(&outside(), &[Frame::Probe { nonce: NONCE }], PROBE_SIZE),
        ),
        vector(
            "found",
            "Here is one, and never more bytes than the probe had.",
            datagram(
                &stateless(0),
                &[Frame::Found {
                    nonce: NONCE,
                    server: SESSION,
                    port: 2428,
                    peers: 3,
                    room: "the room",
                }],
            ),
        ),
    ]
}

fn frames() -> Vec<Vector> {
    let say = encode_message(&ClientMessage::Say(Say { number: 1, sent: NOON, text: "hello" }));
    let whisper = encode_message(&ClientMessage::Whisper(Whisper {
        number: 0,
        sent: NOON,
        to: "bob",
        text: "psst",
    }));
    let accepted = encode_message(&ServerMessage::Accepted { number: 1, position: 1_000_008 });
    let line = |position, number, text| {
        let (at, upstream, peer, from) = (NOON + position, 1_500, 1, "bob");
        let message =
            ServerMessage::Line(LiveLine { position, at, upstream, peer, number, from, text });
        encode_message(&message)
    };
    let (one, two) = (line(9, 8, "one"), line(10, 9, "two"));
    let unacknowledged = Header {
        flags: Flags::default(),
        acknowledgment: 0,
        ack_bitmap: 0,
        sequence: 1,
        window: 255,
        ..from_client()
    };
    let holes = Header {
        sequence: u32::MAX,
        acknowledgment: 70,
        ack_bitmap: 0xffff_ffff_ffff_fffa,
        ack_delay: 250,
        ..from_client()
    };
    let wrapped = Header {
        acknowledgment: 1,
        ack_bitmap: 0b1011,
        ack_delay: u16::MAX,
        window: 254,
        ..from_server()
    };
    let line = "x".repeat(1_000);
    let long = encode_message(&ClientMessage::Say(Say { number: 0, sent: NOON, text: &line }));
    let part = |index: u16| Frame::Part {
        id: 2,
        ordered: true,
        part: Part {
            index,
            count: 3,
            payload: long.chunks(PART_SIZE).nth(index.into()).unwrap_or_default(),
        },
    };
    vec![
        vector(
            "heartbeat",
            "A Heartbeat, padded to the size of a PathChallenge.",
            padded(&from_client(), &[Frame::Heartbeat], 49),
        ),
        vector(
            "heartbeat-first",
            "Before anything was received there is nothing to acknowledge: no ACK flag.",
            padded(&unacknowledged, &[Frame::Heartbeat], 49),
        ),
        vector(
            "ack-only",
            "No frame at all: an acknowledgment, which asks for none.",
            datagram(&from_server(), &[]),
        ),
        vector(
            "ack-with-holes",
            "70 and 6 to 69 arrived, but 69 and 67 did not. The largest sequence number.",
            datagram(&holes, &[]),
        ),
        vector(
            "ack-across-wrap",
            "Datagrams 1, 0, 4294967295 and 4294967293 arrived, 4294967294 did not.",
            datagram(&wrapped, &[]),
        ),
        vector(
            "padding-empty",
            "Padding of no bytes.",
            datagram(&from_client(), &[Frame::Padding(&[])]),
        ),
        vector(
            "padding-251",
            "Padding whose length takes three bytes. What the bytes are does not matter.",
            datagram(&from_client(), &[Frame::Padding(&[0xa5; 251])]),
        ),
        vector(
            "once",
            "A line sent once.",
            datagram(&from_client(), &[Frame::Once { payload: &say }]),
        ),
        vector(
            "unordered",
            "A line for immediate use. The id takes three bytes from 251 on.",
            datagram(&from_client(), &[Frame::Unordered { id: 251, payload: &say }]),
        ),
        vector(
            "ordered",
            "A line for use in order, with the largest id that takes one byte.",
            datagram(&from_client(), &[Frame::Ordered { id: 250, payload: &say }]),
        ),
        vector(
            "ordered-wrap",
            "The id before the one that is 0 again.",
            datagram(&from_client(), &[Frame::Ordered { id: u16::MAX, payload: &whisper }]),
        ),
        vector(
            "path-challenge",
            "A known session came by a new path. Sequence zero, no ACK, like all that is sent\n\
             outside of a session's state.",
            datagram(&stateless(SESSION), &[Frame::PathChallenge(*b"pathpath")]),
        ),
        vector(
            "path-response",
            "The client's answer from there, an ordinary datagram of the session.",
            datagram(&from_client(), &[Frame::PathResponse(*b"pathpath")]),
        ),
        vector(
            "path-challenge-to-server",
            "A known session came from another address of the server. Outside of the session's\n\
             state too.",
            datagram(&of_moved_server(Flags::default()), &[Frame::PathChallenge(*b"moved it")]),
        ),
        vector(
            "path-response-from-server",
            "The server's answer from there, as long as the question, and outside of the state.",
            datagram(&of_moved_server(Flags::FROM_SERVER), &[Frame::PathResponse(*b"moved it")]),
        ),
        vector("reset", "No such session.", datagram(&stateless(SESSION), &[Frame::Reset])),
        vector(
            "three-frames",
            "What is ready together travels together: an answer and two lines.",
            datagram(
                &from_server(),
                &[
                    Frame::Ordered { id: 3, payload: &accepted },
                    Frame::Ordered { id: 4, payload: &one },
                    Frame::Ordered { id: 5, payload: &two },
                ],
            ),
        ),
        vector(
            "part-first",
            "496 bytes of a line of 1,000 letters x: the first of its three parts. A datagram of \
             548 bytes has room\nfor no more.",
            datagram(&from_client(), &[part(0)]),
        ),
        vector(
            "part-second",
            "The second part, of as many bytes: they are those behind the first.",
            datagram(&from_client(), &[part(1)]),
        ),
        vector(
            "part-last",
            "What is left of it, and the message that follows.",
            datagram(&from_client(), &[part(2), Frame::Ordered { id: 3, payload: &say }]),
        ),
        vector(
            "part-unordered",
            "A part of a message for immediate use, with the largest id.",
            datagram(
                &from_client(),
                &[Frame::Part {
                    id: u16::MAX,
                    ordered: false,
                    part: Part { index: 2, count: 3, payload: &long[2 * PART_SIZE..] },
                }],
            ),
        ),
        vector(
            "once-part",
            "The last part of a line sent once, the third that was sent so.",
            datagram(
                &from_client(),
                &[Frame::OncePart {
                    number: 2,
                    part: Part { index: 2, count: 3, payload: &long[2 * PART_SIZE..] },
                }],
            ),
        ),
        vector(
            "path-probe",
            "A Heartbeat, padded to the largest size, to see whether that passes.",
            padded(&from_client(), &[Frame::Heartbeat], MAX_DATAGRAM),
        ),
    ]
}

fn client_message(message: &ClientMessage<'_>) -> Vec<u8> {
    datagram(&from_client(), &[Frame::Ordered { id: 2, payload: &encode_message(message) }])
}

fn client_messages() -> Vec<Vector> {
    let wide_name = WIDE.repeat(29) + THREE;
    let longest = "x".repeat(1_000);
    let largest = ClientMessage::Whisper(Whisper {
        number: u16::MAX,
        sent: NOON,
        to: &wide_name,
        text: &longest,
    });
    vec![
        vector(
            "say",
            "A line for the room.",
            client_message(&ClientMessage::Say(Say { number: 1, sent: NOON, text: "hello" })),
        ),
        vector(
            "say-unicode",
            "Text is UTF-8; its length counts bytes. A sender without a clock says 0.",
            client_message(&ClientMessage::Say(Say {
                number: 300,
                sent: 0,
                text: "Привет, 世界 👋🏽",
            })),
        ),
        vector(
            "whisper",
            "A line for one peer.",
            client_message(&ClientMessage::Whisper(Whisper {
                number: 0,
                sent: NOON,
                to: "bob",
                text: "psst",
            })),
        ),
        vector(
            "whisper-largest",
            "32 letters of four bytes and 1,000 bytes of text fit.",
            datagram(
                &Header { sequence: u32::MAX, ack_bitmap: u64::MAX, ..from_client() },
                &[Frame::Ordered { id: u16::MAX, payload: &encode_message(&largest) }],
            ),
        ),
        vector("leave", "Goodbye.", client_message(&ClientMessage::Leave { next: 2 })),
        vector(
            "deliver-unreliable",
            "Send me each line once.",
            client_message(&ClientMessage::Deliver(Delivery::Unreliable)),
        ),
        vector(
            "deliver-unordered",
            "Send me lines until I have them.",
            client_message(&ClientMessage::Deliver(Delivery::ReliableUnordered)),
        ),
        vector(
            "deliver-ordered",
            "Send me lines until I have them; I put them in order.",
            client_message(&ClientMessage::Deliver(Delivery::ReliableOrdered)),
        ),
        vector("who", "Who is here?", client_message(&ClientMessage::Who { number: 1 })),
        vector(
            "ping",
            "How far is bob?",
            client_message(&ClientMessage::Ping { number: 2, to: "bob" }),
        ),
        vector(
            "pong",
            "The answer to peer 0, which asked with number 2.",
            client_message(&ClientMessage::Pong { peer: 0, number: 2 }),
        ),
        vector(
            "rename",
            "Call me alicia from now on.",
            client_message(&ClientMessage::Rename { nickname: "alicia" }),
        ),
        vector(
            "moderate",
            "The host removes bob.",
            client_message(&ClientMessage::Moderate { order: "kick bob too loud" }),
        ),
    ]
}

fn server_message(message: &ServerMessage<'_>) -> Vec<u8> {
    datagram(&from_server(), &[Frame::Ordered { id: 0, payload: &encode_message(message) }])
}

fn server_messages() -> Vec<Vector> {
    let wide_name = WIDE.repeat(29) + THREE;
    let longest = "x".repeat(1_000);
    let about = ServerMessage::About(About {
        number: 1,
        left: 1,
        peer: 1,
        nickname: "bob",
        transport: Transport::Udp,
        delivery: Delivery::ReliableOrdered,
        rtt_us: 48_500,
        silent_ms: 1_200,
        sent: 200,
        lost: 3,
        received: 180,
        missing: 1,
    });
    let largest = ServerMessage::Line(LiveLine {
        position: u64::MAX,
        at: u64::MAX,
        upstream: i32::MIN,
        peer: u16::MAX,
        number: u16::MAX,
        from: &wide_name,
        text: &longest,
    });
    let welcome = ServerMessage::Welcome(Welcome {
        nonce: NONCE,
        peer: 0,
        token: TOKEN,
        nickname: "alice",
        room: "chatagram",
        heartbeat_ms: 2_000,
        expiry_ms: 10_000,
        burst: 0,
        rate: 0,
        peers: 2,
        replay: 1,
        complete: false,
        epoch: EPOCH,
        latest: 7,
        newest: 0,
        taken: &[],
        sure: false,
    });
    let limited = ServerMessage::Welcome(Welcome {
        nonce: NONCE,
        peer: 0,
        token: TOKEN,
        nickname: "alice",
        room: "chatagram",
        heartbeat_ms: 2_000,
        expiry_ms: 10_000,
        burst: 20,
        rate: 10,
        peers: 2,
        replay: 1,
        complete: false,
        epoch: EPOCH,
        latest: 1_000_008,
        newest: 299,
        taken: &[0b1111_1011, 1],
        sure: true,
    });
    let line = |upstream, text| {
        ServerMessage::Line(LiveLine {
            position: 1_000_009,
            at: NOON + 2,
            upstream,
            peer: 1,
            number: 8,
            from: "bob",
            text,
        })
    };
    let (bob, text) = ("bob", "hello");
    let roll = |entries: &[(u16, &str, u16)]| {
        let mut roll = RollWriter::default();
        for (peer, nickname, next) in entries.iter().copied() {
            assert!(roll.push(&RollEntry { peer, nickname, next }));
        }
        roll
    };
    let gone = roll(&[(1, bob, 10)]);
    let left = |peers, reason| ServerMessage::Left { peers, reason, roll: gone.roll() };
    let some = roll(&[(1, bob, 8), (2, "ångström", 0), (300, "eve", u16::MAX)]);
    let long = "n".repeat(119);
    let mut full = RollWriter::default();
    while full.push(&RollEntry { peer: u16::MAX, nickname: &long, next: u16::MAX }) {}
    vec![
        vector("welcome", "The first message of a session.", server_message(&welcome)),
        vector(
            "present",
            "Bob was here before.",
            server_message(&ServerMessage::Present { roll: roll(&[(1, bob, 8)]).roll() }),
        ),
        vector(
            "present-three",
            "Three were here before.",
            server_message(&ServerMessage::Present { roll: some.roll() }),
        ),
        vector(
            "history",
            "A line from before.",
            server_message(&ServerMessage::History(PastLine {
                position: 7,
                at: NOON,
                own: false,
                number: 0,
                from: bob,
                text,
            })),
        ),
        vector(
            "history-own",
            "A line from before, of the client itself.",
            server_message(&ServerMessage::History(PastLine {
                position: 250,
                at: NOON,
                own: true,
                number: 299,
                from: "alice",
                text,
            })),
        ),
        vector(
            "joined",
            "Bob comes.",
            server_message(&ServerMessage::Joined { peers: 2, roll: roll(&[(1, bob, 0)]).roll() }),
        ),
        vector(
            "joined-three",
            "Three came since the last announcement; before them one was here.",
            server_message(&ServerMessage::Joined { peers: 4, roll: some.roll() }),
        ),
        vector(
            "left-largest",
            "Nine of the longest names and numbers: as much as fits into a message.",
            datagram(
                &Header { sequence: u32::MAX, ack_bitmap: u64::MAX, ..from_server() },
                &[Frame::Ordered {
                    id: u16::MAX,
                    payload: &encode_message(&ServerMessage::Left {
                        peers: u16::MAX,
                        reason: LeaveReason::Timeout,
                        roll: full.roll(),
                    }),
                }],
            ),
        ),
        vector("left-quit", "Bob goes.", server_message(&left(1, LeaveReason::Quit))),
        vector("left-timeout", "Bob is silent.", server_message(&left(251, LeaveReason::Timeout))),
        vector(
            "left-shutdown",
            "Bob is told to go.",
            server_message(&left(0, LeaveReason::Shutdown)),
        ),
        vector(
            "left-flood",
            "Bob said too much too fast, and did not wait.",
            server_message(&left(1, LeaveReason::Flood)),
        ),
        vector(
            "left-restart",
            "Bob is told to come back.",
            server_message(&left(0, LeaveReason::Restart)),
        ),
        vector("line", "A line, 1.5 ms after it was typed.", server_message(&line(1_500, text))),
        vector(
            "line-ahead",
            "A line whose author's clock is 63 us ahead: -63 is 125 in zigzag, one byte.",
            server_message(&line(-63, text)),
        ),
        vector(
            "line-largest",
            "119 bytes of name and 1,000 of text fit, with every number at its longest.",
            datagram(
                &Header { sequence: u32::MAX, ack_bitmap: u64::MAX, ..from_server() },
                &[Frame::Ordered { id: u16::MAX, payload: &encode_message(&largest) }],
            ),
        ),
        vector(
            "accepted",
            "Line 1 is in the log.",
            server_message(&ServerMessage::Accepted { number: 1, position: 1_000_008 }),
        ),
        vector(
            "whisper-from-bob",
            "Bob whispers.",
            server_message(&ServerMessage::Whisper {
                at: NOON + 4,
                upstream: i32::MAX,
                peer: 1,
                from: bob,
                text: "psst",
            }),
        ),
        vector(
            "whispered",
            "The echo of a whisper to bob.",
            server_message(&ServerMessage::Whispered {
                number: 0,
                at: NOON + 5,
                to: bob,
                text: "psst",
            }),
        ),
        vector(
            "not-here",
            "Nobody is called eve.",
            server_message(&ServerMessage::NotHere { number: 1, to: "eve" }),
        ),
        vector(
            "notice",
            "For everybody.",
            server_message(&ServerMessage::Notice { text: "the history is not being written" }),
        ),
        vector(
            "closing-quit",
            "The answer to Leave.",
            server_message(&ServerMessage::Closing { reason: LeaveReason::Quit, detail: "" }),
        ),
        vector(
            "closing-shutdown",
            "The server closes.",
            server_message(&ServerMessage::Closing {
                reason: LeaveReason::Shutdown,
                detail: "the server is closing",
            }),
        ),
        vector(
            "closing-flood",
            "The client said too much too fast, and did not wait.",
            server_message(&ServerMessage::Closing {
                reason: LeaveReason::Flood,
                detail: "dropped for flooding",
            }),
        ),
        vector(
            "closing-restart",
            "The server is started again: the client comes back by itself.",
            server_message(&ServerMessage::Closing {
                reason: LeaveReason::Restart,
                detail: "the server is restarting",
            }),
        ),
        vector(
            "about",
            "Bob is on UDP, 48.5 ms away; 3 of 200 datagrams to him were lost.",
            server_message(&about),
        ),
        vector(
            "about-tcp",
            "Eve is the last one, on TCP, and nothing is known of her yet.",
            server_message(&ServerMessage::About(About {
                number: 1,
                left: 0,
                peer: 2,
                nickname: "eve",
                transport: Transport::Tcp,
                delivery: Delivery::Unreliable,
                rtt_us: 0,
                silent_ms: 0,
                sent: 0,
                lost: 0,
                received: 0,
                missing: 0,
            })),
        ),
        vector(
            "pinged",
            "Peer 0 wants to know how far this client is.",
            server_message(&ServerMessage::Pinged { peer: 0, number: 2 }),
        ),
        vector(
            "ponged",
            "Bob answered.",
            server_message(&ServerMessage::Ponged { number: 2, from: bob }),
        ),
        vector(
            "ponged-nobody",
            "Nobody of that name is here.",
            server_message(&ServerMessage::Ponged { number: 2, from: "" }),
        ),
        vector(
            "welcome-limited",
            "20 messages at once, and 10 a second after that.",
            server_message(&limited),
        ),
        vector(
            "slow",
            "Say nothing for 1.5 s.",
            server_message(&ServerMessage::Slow { wait_ms: 1_500 }),
        ),
        vector(
            "counters",
            "The server's kernel had no room for 4,000 of the datagrams sent to it.",
            server_message(&ServerMessage::Counters {
                number: 1,
                server: ServerCounters {
                    received: 1 << 32,
                    alien: 1,
                    other_version: 2,
                    corrupt: 250,
                    malformed: 251,
                    unknown_session: 65_535,
                    unread: 4_000,
                    refused: 3,
                    left_out: 0,
                },
            }),
        ),
        vector(
            "servers",
            "The room is on two other servers too; clients reach one of them over IPv6.",
            servers(&["192.0.2.7:2428", "[2001:db8::7]:65535"]),
        ),
        vector("servers-none", "This server is the only one of the room now.", servers(&[])),
        vector(
            "servers-largest",
            "The longest list, with 16 servers.",
            servers(&["198.51.100.250:250"; 16]),
        ),
        vector(
            "renamed",
            "Peer 0, which was alice, is alicia from now on.",
            server_message(&ServerMessage::Renamed { peer: 0, from: "alice", to: "alicia" }),
        ),
        vector(
            "not-renamed",
            "This client cannot have that name: another peer has it.",
            server_message(&ServerMessage::NotRenamed {
                reason: Refusal::NameTaken,
                detail: "another peer has this nickname",
            }),
        ),
        vector(
            "topic",
            "The room has a topic.",
            server_message(&ServerMessage::Topic { text: "what a lost datagram costs" }),
        ),
        vector(
            "rejected",
            "Line 3 of this client was not passed on.",
            server_message(&ServerMessage::Rejected {
                number: 3,
                private: false,
                detail: "the moderator muted you for 58 s more",
            }),
        ),
        vector(
            "closing-kicked",
            "The moderator removed this client.",
            server_message(&ServerMessage::Closing {
                reason: LeaveReason::Kicked,
                detail: "the moderator removed you",
            }),
        ),
    ]
}

fn servers(addresses: &[&str]) -> Vec<u8> {
    let addresses: Vec<_> = addresses.iter().map(|it| it.parse().unwrap()).collect();
    let mut bytes = Vec::new();
    let servers = ServerList::encode(&addresses, &mut bytes);
    server_message(&ServerMessage::Servers { servers })
}

fn unreadable_messages() -> Vec<Vector> {
    let carried = |payload: &[u8]| datagram(&from_client(), &[Frame::Ordered { id: 0, payload }]);
    let told = |payload: &[u8]| datagram(&from_server(), &[Frame::Ordered { id: 0, payload }]);
    vec![
        vector("message-empty", "No message at all.", carried(b"")),
        vector("message-unknown", "No client's message has the number 200.", carried(b"\xc8\x00")),
        vector("message-truncated", "Say ends within its text.", carried(b"\x00\x01\x00\x05hell")),
        vector("message-trailing", "A byte follows Leave.", carried(b"\x02\x00\x00")),
        vector("message-delivery", "No delivery has the number 3.", carried(b"\x03\x03")),
        vector(
            "message-utf8",
            "Say with a text that is not UTF-8.",
            carried(b"\x00\x01\x00\x01\xff"),
        ),
        vector(
            "message-not-canonical",
            "Leave with next 2 in three bytes.",
            carried(b"\x02\xfb\x00\x02"),
        ),
        vector(
            "message-number-too-large",
            "Leave with next 65,536, which is no u16.",
            carried(b"\x02\xfc\x00\x01\x00\x00"),
        ),
        vector(
            "roll-truncated",
            "Present, whose second entry ends within its nickname.",
            told(b"\x01\x09\x01\x03bob\x08\x02\x03e"),
        ),
        vector(
            "roll-not-canonical",
            "Joined, whose entry has peer 1 in three bytes.",
            told(b"\x03\x02\x08\xfb\x00\x01\x03bob\x00"),
        ),
        vector(
            "roll-trailing",
            "Left, with a byte after its roll.",
            told(b"\x04\x01\x00\x06\x01\x03bob\x0a\x00"),
        ),
        vector(
            "servers-truncated",
            "Servers, whose entry ends within its port.",
            told(b"\x11\x11\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07\x09"),
        ),
        vector(
            "servers-too-many",
            "Servers, with 17 entries.",
            told(&[&b"\x11\xfb\x01\x32"[..], &[9; 17 * 18]].concat()),
        ),
    ]
}

/// A datagram with these bytes after the header, and a correct checksum.
fn raw(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut bytes = datagram(header, &[]);
    bytes.extend_from_slice(body);
    checksummed(bytes)
}

/// Corrects the checksum, computed bit by bit as section 3.2 says.
pub(crate) fn checksummed(mut bytes: Vec<u8>) -> Vec<u8> {
    let mut crc = u32::MAX;
    for byte in bytes[..4].iter().chain(&bytes[8..]) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    bytes[4..8].copy_from_slice(&(!crc).to_be_bytes());
    bytes
}

fn invalid() -> Vec<Vector> {
    let good = || padded(&from_client(), &[Frame::Heartbeat], 49);
    let changed = |at: usize, value: u8| {
        let mut bytes = good();
        bytes[at] = value;
        checksummed(bytes)
    };
    let mut too_short = good();
    too_short.truncate(HEADER_LEN - 1);
    let mut damaged = good();
    damaged[40] = 10;
    let mut too_long = good();
    too_long.resize(MAX_DATAGRAM + 1, 0);
    let mut zero_crc = good();
    zero_crc[4..8].fill(0);
    let broken = |body| raw(&from_client(), body);
    vec![
        vector("nothing", "An empty datagram.", vec![]),
        vector("too-short", "A header less its last byte.", too_short),
        vector("too-long", "1,201 bytes.", checksummed(too_long)),
        vector(
            "garbage",
            "What another protocol sends.",
            b"GET / HTTP/1.1\r\nHost: example.invalid\r\n\r\n".to_vec(),
        ),
        vector("magic", "The first byte is c.", changed(0, b'c')),
        vector("version", "Version 2, all else right.", changed(2, 2)),
        vector("checksum", "A Heartbeat that became a Reset on the way.", damaged),
        vector("checksum-zero", "A sender that left the checksum out.", zero_crc),
        vector("flags", "The bit 0x04 is set.", changed(3, 0b110)),
        vector(
            "frame-unknown",
            "No frame has the number 15, whatever follows it; here two bytes and a Heartbeat.",
            broken(b"\x0f\x02\x00\x00\x01"),
        ),
        vector(
            "frame-number-only",
            "The number of Once, and nothing of the frame.",
            broken(b"\x02"),
        ),
        vector("frame-truncated", "A Challenge of six bytes.", broken(b"\x06\x00\x01\x02\x03\x04")),
        vector("trailing", "A Heartbeat, and a byte that begins no frame.", broken(b"\x01\xff")),
        vector(
            "second-frame",
            "The first frame is good; the second ends too early. Nothing of the datagram is used.",
            broken(b"\x01\x04\x00\x05abc"),
        ),
        vector(
            "tag-not-canonical",
            "A Heartbeat's number in three bytes.",
            broken(b"\xfb\x00\x01"),
        ),
        vector(
            "length-not-canonical",
            "Padding of two bytes, its length written in three.",
            broken(b"\x00\xfb\x00\x02\x00\x00"),
        ),
        vector(
            "length-64-bit",
            "Padding of two bytes, its length written in nine.",
            broken(b"\x00\xfd\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00"),
        ),
        vector("tag-254", "254 begins no integer of this protocol.", broken(b"\xfe\x00\x00")),
        vector(
            "claims-256-gib",
            "A Once whose payload says it has 274,877,906,944 bytes.",
            broken(b"\x02\xfd\x00\x00\x00\x40\x00\x00\x00\x00hi"),
        ),
        vector(
            "claims-everything",
            "A Join whose nickname says it has 2^64 - 1 bytes.",
            raw(&outside(), b"\x05\x00\x00\xfd\xff\xff\xff\xff\xff\xff\xff\xffalice"),
        ),
        vector(
            "join-delivery",
            "A Join that wants the delivery 3, which does not exist.",
            raw(&outside(), b"\x05\x00\x00\x05alice\x03\x00\x00\x00\x00"),
        ),
        vector(
            "join-utf8",
            "A Join whose nickname is not UTF-8.",
            raw(&outside(), b"\x05\x00\x00\x02\xc3\x28\x02\x00\x00\x00\x00"),
        ),
    ]
}
