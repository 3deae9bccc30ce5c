//! The page of a room, as a browser sees it: its files, what it is told, and the chat. The client's
//! end of the WebSockets is this test's own.

mod socket;

use crate::program::{DEADLINE, Program, Server, free_port};
use chatagram::protocol::{Datagram, DatagramWriter, Frame as ChatFrame, Header};
use serde_json::{Value, json};
use socket::{Frame, Socket, ask, bridge};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use tempfile::TempDir;

/// A server with its page, and the token that it printed.
struct Room {
    server: Server,
    web: SocketAddr,
    token: String,
}

impl Room {
    fn start(args: &[&str]) -> Self {
        Self::start_at("127.0.0.1:0", "127.0.0.1:0", tempfile::tempdir().unwrap(), args)
    }

    fn start_at(bind: &str, web: &str, dir: TempDir, args: &[&str]) -> Self {
        let usual = ["server", "--bind", bind, "--web", web, "--heartbeat", "200ms"];
        let mut program = Program::start(dir.path(), &[&usual[..], args].concat());
        let line = program.line("address", |line| line.starts_with("listening on "));
        let address = line["listening on ".len()..].parse().unwrap();
        let line = program.line("token", |line| line.contains("#token="));
        let (start, token) = line.rsplit_once("#token=").unwrap();
        let web = start.rsplit_once("http://").unwrap().1.trim_end_matches('/').parse().unwrap();
        Self { server: Server { program, address, dir }, web, token: token.to_owned() }
    }

    fn board(&self) -> Socket {
        Socket::open(self.web, "/board")
    }

    /// A client of the program that joins through the page's WebSocket.
    fn guest(&self, name: &str, args: &[&str]) -> Program {
        let to = bridge(self.web).to_string();
        let usual = ["client", &to, "--nick", name, "--output", "json", "--transport", "tcp"];
        let stay = ["--no-cache", "--stay", "forever"];
        Program::start(self.server.dir.path(), &[&usual[..], &stay, args].concat())
    }
}

fn the_page_is_served_with_fields_that_keep_other_pages_out() {
    let room = Room::start(&[]);
    let host = format!("Host: {}", room.web);
    let answer = ask(room.web, "GET / HTTP/1.1", &[&host]);
    assert_eq!(answer.status, 200, "{}", answer.head);
    for field in [
        "Content-Type: text/html; charset=utf-8",
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cache-Control: no-store",
    ] {
        assert!(answer.head.lines().any(|line| line == field), "no {field} in {}", answer.head);
    }
    // Others cannot reach a page on loopback: there is no code with its address.
    for (line, wanted) in [
        ("HEAD / HTTP/1.1", 200),
        ("GET /join.svg HTTP/1.1", 404),
        ("GET /metrics HTTP/1.1", 404),
        ("GET /../Cargo.toml HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("GET /board HTTP/1.1", 426),
        ("GET /chat HTTP/1.1", 426),
    ] {
        assert_eq!(ask(room.web, line, &[&host]).status, wanted, "{line}");
    }
}

fn a_hostile_host_or_origin_is_refused() {
    let room = Room::start(&[]);
    let port = room.web.port();
    let upgrade = [
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version: 13",
    ];
    let own = format!("127.0.0.1:{port}");
    for (host, origin, wanted) in [
        (own.as_str(), Some(format!("http://{own}")), 101),
        (own.as_str(), None, 101),
        (own.as_str(), Some("http://evil.example".to_owned()), 403),
        (own.as_str(), Some("null".to_owned()), 403),
        (own.as_str(), Some(format!("http://127.0.0.1:{}", port ^ 1)), 403),
        (own.as_str(), Some(format!("http://localhost:{port}")), 403),
        ("rebind.evil.example", Some("http://rebind.evil.example".to_owned()), 421),
        ("rebind.evil.example", None, 421),
    ] {
        for path in ["/board", "/chat"] {
            let (host, origin) = (format!("Host: {host}"), origin.clone());
            let origin = origin.map(|origin| format!("Origin: {origin}"));
            let fields: Vec<&str> =
                upgrade.iter().copied().chain([host.as_str()]).chain(origin.as_deref()).collect();
            let status = ask(room.web, &format!("GET {path} HTTP/1.1"), &fields).status;
            assert_eq!(status, wanted, "{path} {host} {origin:?}");
        }
    }
    let host = "Host: rebind.evil.example";
    assert_eq!(ask(room.web, "GET / HTTP/1.1", &[host]).status, 421);
}

/// A peer as the board and as `/who` tell it, without the figures that change between two answers.
fn essence(peer: &Value, name: &str) -> Value {
    json!([peer[name], peer["peer"], peer["transport"], peer["delivery"]])
}

fn the_board_has_the_figures_of_who() {
    let room = Room::start(&["--room", "lab 3"]);
    let mut alice = room.server.join("alice");
    let mut bob = room.server.client("bob", &["--no-cache", "--transport", "tcp"]);
    bob.next("welcome");
    let mut carol = room.guest("carol", &[]);
    carol.next("welcome");
    let mut board = room.board();
    let hello = board.hear("hello");
    assert_eq!((&hello["room"], &hello["chat"]), (&json!("lab 3"), &json!(true)));
    assert_eq!(hello["page"], Value::Null);
    assert!(hello["join"][0].as_str().unwrap().starts_with("chatagram client 127.0.0.1:"));
    // Figures grow: those of `/who` lie between two of the board's.
    let all = |message: &Value| message["peers"].as_array().unwrap().len() == 3;
    let before = board.hear_where("state", all);
    alice.type_line("/who");
    let who = alice.next("who");
    board.hear("state");
    let after = board.hear("state");
    let told = |state: &Value| -> Vec<Value> {
        state["peers"].as_array().unwrap().iter().map(|it| essence(it, "name")).collect()
    };
    let asked = who["peers"].as_array().unwrap();
    let wanted: Vec<Value> = asked.iter().map(|it| essence(it, "nickname")).collect();
    assert_eq!((told(&before), told(&after)), (wanted.clone(), wanted));
    assert_eq!(
        asked.iter().map(|it| it["transport"].as_str().unwrap()).collect::<Vec<_>>(),
        ["udp", "tcp", "web"]
    );
    for (place, peer) in asked.iter().enumerate() {
        for (direction, figure) in
            [("up", "received"), ("up", "missing"), ("down", "sent"), ("down", "lost")]
        {
            let [least, most] =
                [&before, &after].map(|state| state["peers"][place][direction][figure].as_u64());
            let figure = peer[figure].as_u64();
            // A kernel reports about a new connection after a while.
            if least.is_some() || most.is_none() {
                assert!(least <= figure && figure <= most, "{before} {who} {after}");
            }
        }
        assert!(peer["silent_ms"].as_u64().unwrap() < 3_000);
    }
    assert!(before["drops"]["alien"].is_u64(), "{before}");
}

fn a_page_talks_with_a_terminal_and_gets_the_history() {
    let mut room = Room::start(&[]);
    let mut alice = room.server.join("alice");
    alice.type_line("before");
    let mut bob = room.guest("bob", &[]);
    bob.next_where("history", |event| event["text"] == "before");
    alice.next_where("joined", |event| event["nickname"] == "bob");
    let joined =
        |line: &str| line.contains("bob joined from") && line.contains(" over web, 2 here");
    room.server.program.has_said("log", joined);
    bob.type_line("from the page");
    alice.hear("from the page");
    alice.type_line("to the page");
    bob.hear("to the page");
    alice.type_line("/msg bob psst");
    bob.next_where("message", |event| event["text"] == "psst" && event["private"] == true);
    let long = "x".repeat(1_000);
    bob.type_line(&long);
    alice.hear(&long);
    assert_eq!(bob.leave(), Some(0));
    alice.next_where("left", |event| event["nickname"] == "bob" && event["reason"] == "quit");
}

fn after_a_kill_of_the_server_a_page_gets_each_line_once() {
    let (port, web) = (free_port(), free_port());
    let (bind, at) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{web}"));
    let dir = tempfile::tempdir().unwrap();
    let history = dir.path().join("history.jsonl");
    let args = ["--history", history.to_str().unwrap()];
    let room = Room::start_at(&bind, &at, tempfile::tempdir().unwrap(), &args);
    let mut alice = room.server.join("alice");
    let mut bob = room.guest("bob", &[]);
    bob.next("welcome");
    for n in 0..5 {
        alice.type_line(&format!("line {n}"));
    }
    bob.hear("line 4");
    room.server.program.kill();
    bob.status("");
    bob.type_line("said meanwhile");
    let _room = Room::start_at(&bind, &at, tempfile::tempdir().unwrap(), &args);
    // As a message or, if alice is back later than bob, in the history.
    alice.line("bob's line", |line| line.contains("said meanwhile"));
    alice.type_line("the last");
    bob.hear("the last");
    let count = |kind: &str, program: &Program| {
        let all = program.events(kind);
        all.iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let heard = count("message", &bob);
    assert_eq!(heard, ["line 0", "line 1", "line 2", "line 3", "line 4", "the last"]);
    assert_eq!(count("history", &bob), [""; 0]);
    let heard = [count("history", &alice), count("message", &alice)].concat();
    assert_eq!(heard, ["said meanwhile"]);
}

fn connections_that_do_not_behave_are_bounded_and_the_page_is_served_all_the_same() {
    let room = Room::start(&[]);
    let mut alice = room.server.join("alice");
    let idle: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(room.web).unwrap()).collect();
    let host = format!("Host: {}", room.web);
    assert_eq!(ask(room.web, "GET / HTTP/1.1", &[&host]).status, 200);
    drop(idle);
    // Boards from one address.
    let mut boards: Vec<Socket> = (0..16).map(|_| room.board()).collect();
    boards.iter_mut().for_each(|board| drop(board.hear("hello")));
    assert_eq!(room.board().closing(), 1_013);
    drop(boards.pop());
    // Chats that never join: the oldest are closed for newer ones.
    let mut chats: Vec<Socket> = (0..70).map(|_| Socket::open(room.web, "/chat")).collect();
    assert_eq!(chats[0].next(), Frame::Close(1_000));
    let mut guest = room.guest("guest", &[]);
    guest.next("welcome");
    guest.type_line("still here");
    alice.hear("still here");
    drop(chats);

    let board = &mut boards[0];
    board.send(0x89, b"alive?").unwrap();
    while board.next() != Frame::Pong(b"alive?".to_vec()) {}
    for (first, payload, code) in [
        (0x82, &b"binary"[..], 1_003),
        (0x81, &[b'x'; 5_000][..], 1_009),
        (0x81, &b"\xff"[..], 1_007),
        (0x83, &b""[..], 1_002),
        (0x88, &[0x03, 0xE8][..], 1_000),
    ] {
        let mut board = boards.pop().unwrap();
        board.send(first, payload).unwrap();
        assert_eq!(board.closing(), code, "{first:#x}");
    }
    let mut flood = boards.pop().unwrap();
    (0..500).for_each(|_| drop(flood.send(0x89, b"")));
    assert_eq!(flood.closing(), 1_008);
    let mut text = Socket::open(room.web, "/chat");
    text.send(0x81, b"hello").unwrap();
    assert_eq!(text.closing(), 1_003);
    alice.type_line("the end");
    guest.hear("the end");
}

fn three_wrong_tokens_close_the_connection() {
    let room = Room::start(&[]);
    let mut board = room.board();
    for id in 1..=3 {
        board.say(&json!({ "type": "script", "id": id, "token": "0".repeat(32) }));
        let answer = board.hear("error");
        assert_eq!(answer["id"], id);
        assert!(answer["text"].as_str().unwrap().contains("token is wrong"), "{answer}");
    }
    assert_eq!(board.closing(), 1_008);
    assert_eq!(room.token.len(), 32);
}

/// Sends numbered datagrams of sessions that do not exist. The server answers each that it gets.
fn send(socket: &UdpSocket, room: &Room, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let mut bytes = Vec::new();
        let mut writer = DatagramWriter::new(&mut bytes);
        writer.push(&ChatFrame::Heartbeat);
        writer.finish(&Header { session: number + 1, ..Header::default() });
        socket.send_to(&bytes, room.server.address).unwrap();
    }
}

/// The numbers whose answers come, up to that of `last`, which is not lost.
fn answered(socket: &UdpSocket, last: u64) -> Vec<u64> {
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let (mut numbers, mut buffer) = (Vec::new(), [0; 2_000]);
    while numbers.last() != Some(&last) {
        let length = socket.recv(&mut buffer).unwrap();
        numbers.push(Datagram::decode(&buffer[..length]).unwrap().header.session - 1);
    }
    numbers
}

fn command(board: &mut Socket, room: &Room, mut command: Value) -> Value {
    command["token"] = json!(room.token);
    command["id"] = json!(9);
    board.say(&command);
    board.hear_where(if command["type"] == "script" { "script" } else { "ok" }, |it| it["id"] == 9)
}

/// The script, once the server has had this many datagrams.
fn script(board: &mut Socket, room: &Room, up: u64) -> String {
    loop {
        let answer = command(board, room, json!({ "type": "script" }));
        if answer["up"] == up {
            return answer["text"].as_str().unwrap().to_owned();
        }
        board.hear("state");
    }
}

fn a_recorded_script_loses_the_same_datagrams_again() {
    let room = Room::start(&["--seed", "77"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut board = room.board();
    let impair = |up: &str, down: &str| json!({ "type": "impair", "up": up, "down": down });
    send(&socket, &room, 0..50);
    script(&mut board, &room, 50);
    command(&mut board, &room, impair("loss 30%", ""));
    let state = board.hear_where("state", |it| !it["impair"]["everybody"].is_null());
    assert_eq!(state["impair"]["everybody"], json!({ "up": "loss 30%", "down": null }));
    send(&socket, &room, 50..100);
    script(&mut board, &room, 100);
    command(&mut board, &room, impair("loss 50% burst 3", "every 3"));
    send(&socket, &room, 100..150);
    script(&mut board, &room, 150);
    command(&mut board, &room, impair("", ""));
    send(&socket, &room, 150..200);
    let first = answered(&socket, 199);
    let recorded = script(&mut board, &room, 200);
    let of = |range: std::ops::Range<u64>| first.iter().filter(|it| range.contains(it)).count();
    assert_eq!((of(0..50), of(150..200)), (50, 50), "{first:?}");
    assert!((10..50).contains(&of(50..100)) && (1..34).contains(&of(100..150)), "{first:?}");
    let lines: Vec<&str> = recorded.lines().collect();
    let up: Vec<&str> = lines.iter().copied().filter(|line| line.starts_with("up ")).collect();
    let wanted = ["up 50 * loss 30%", "up 100 * loss 50% burst 3", "up 150 * none"];
    assert_eq!((lines[0], &up[..]), ("seed 77", &wanted[..]), "{recorded}");
    drop(board);
    drop(room);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("storm.txt");
    std::fs::write(&file, &recorded).unwrap();
    let replay = ["--impair-script", file.to_str().unwrap()];
    let room = Room::start(&replay);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    send(&socket, &room, 0..200);
    assert_eq!(answered(&socket, 199), first);
    assert_eq!(script(&mut room.board(), &room, 200), recorded);

    std::fs::write(&file, "seed 1\nup 0 * lose 5%\n").unwrap();
    let args = ["server", "--bind", "127.0.0.1:0", replay[0], replay[1]];
    let mut wrong = Program::start(dir.path(), &args);
    assert_eq!(wrong.wait(), Some(2));
    assert!(wrong.output().contains("storm.txt: line 2: lose"), "{}", wrong.output());
}

fn one_peer_loses_datagrams_and_the_others_do_not() {
    let room = Room::start(&[]);
    let (_alice, _bob) = (room.server.join("alice"), room.server.join("bob"));
    let mut carol = room.server.client("carol", &["--no-cache", "--transport", "tcp"]);
    carol.next("welcome");
    let mut board = room.board();
    command(&mut board, &room, json!({ "type": "impair", "peer": 1, "up": "loss 50%" }));
    let missing = |it: &Value, peer: usize| it["peers"][peer]["up"]["missing"].as_u64();
    let state = board.hear_where("state", |it| missing(it, 1) > Some(2));
    assert_eq!(missing(&state, 0), Some(0), "{state}");
    let wanted = json!({ "everybody": null, "peers": { "1": { "up": "loss 50%", "down": null } } });
    assert_eq!(state["impair"], wanted);
    for (peer, words) in [(2, "is on TCP"), (9, "has left")] {
        let wish = json!({ "type": "impair", "peer": peer, "up": "loss 5%", "token": room.token });
        board.say(&wish);
        let text = board.hear("error")["text"].as_str().unwrap().to_owned();
        assert!(text.contains(words), "{text}");
    }
    board.say(&json!({ "type": "impair", "up": "lose 5%", "token": room.token }));
    assert!(board.hear("error")["text"].as_str().unwrap().contains("did you mean loss"));
    command(&mut board, &room, json!({ "type": "impair", "peer": 1, "up": "" }));
    let state = board.hear("state");
    assert_eq!(state["impair"], json!({ "everybody": null, "peers": {} }));
}

fn the_token_moderates() {
    let room = Room::start(&[]);
    let mut bob = room.server.join("bob");
    let mut board = room.board();
    let orders = [
        ("error", "kick carol"),
        ("done", "topic losses"),
        ("done", "lock"),
        ("done", "/kick bob spam"),
    ];
    for (answer, order) in orders {
        board.say(&json!({ "type": "moderate", "order": order, "token": room.token }));
        board.hear(answer);
    }
    bob.next("closed");
    let state = board.hear_where("state", |it| it["locked"] == true);
    assert_eq!(state["topic"], "losses");
    board.say(&json!({ "type": "moderate", "order": "unlock", "token": "" }));
    assert!(board.hear("error")["text"].as_str().unwrap().contains("token is wrong"));
}

fn a_board_sees_lines_arrive() {
    let room = Room::start(&[]);
    let mut alice = room.server.join("alice");
    let mut bob = room.server.join("bob");
    let mut carol = room.guest("carol", &[]);
    carol.next("welcome");
    let mut board = room.board();
    board.hear("state");
    alice.type_line("hello");
    bob.hear("hello");
    let (mut said, mut shown) = (Vec::new(), Vec::new());
    let done = |shown: &[Value]| shown.iter().filter(|it| it["certain"] == true).count() == 2;
    while said.is_empty() || !done(&shown) {
        let lines = board.hear("lines");
        said.extend(lines["said"].as_array().unwrap().clone());
        shown.extend(lines["shown"].as_array().unwrap().clone());
    }
    assert_eq!((&said[0]["name"], &said[0]["text"]), (&json!("alice"), &json!("hello")));
    shown.sort_by_key(|it| it["peer"].as_u64());
    // What the page's transport took is certain when its kernel has an acknowledgment.
    assert_eq!(shown.len(), 3, "{shown:?}");
    for (row, peer, certain) in [(&shown[0], 1, true), (&shown[1], 2, false), (&shown[2], 2, true)]
    {
        assert_eq!((&row["peer"], &row["certain"]), (&json!(peer), &json!(certain)), "{row}");
        assert_eq!(row["position"], said[0]["position"]);
        assert!(row["after_ms"].as_f64().unwrap() < 5_000.0, "{row}");
    }
}

tests! {
    the_page_is_served_with_fields_that_keep_other_pages_out,
    a_hostile_host_or_origin_is_refused,
    the_board_has_the_figures_of_who,
    a_page_talks_with_a_terminal_and_gets_the_history,
    after_a_kill_of_the_server_a_page_gets_each_line_once,
    connections_that_do_not_behave_are_bounded_and_the_page_is_served_all_the_same,
    three_wrong_tokens_close_the_connection,
    a_recorded_script_loses_the_same_datagrams_again,
    one_peer_loses_datagrams_and_the_others_do_not,
    the_token_moderates,
    a_board_sees_lines_arrive,
}
