//! Piped input: which lines reach the room, which a single peer, and which stay in the client.

use crate::needs::needs_time;
use crate::program::{Program, Server};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Pipes these bytes into a client. Returns the client and its exit code.
fn pipe(server: &Server, nick: &str, bytes: &[u8]) -> (Program, Option<i32>) {
    let mut client = server.client(nick, &["--no-cache"]);
    client.write(bytes);
    client.end_input();
    let code = client.wait();
    (client, code)
}

/// All messages until one with the text `last`.
fn heard(listener: &mut Program, last: &str) -> Vec<Value> {
    listener.events_until("message", |event| event["text"] == last)
}

fn invisible_characters_before_a_whisper_do_not_make_it_public() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let [mut bob, mut eve] = ["bob", "eve"].map(|name| server.join(name));
    let mut input = Vec::new();
    let unseen = [
        "", "\u{feff}", "\u{200b}", "\u{200d}", "\u{200e}", "\u{202e}", "\u{2066}", "\u{a0}",
        "\u{2003}", "\u{3000}", "\t", " ", "\u{ad}", "\u{3164}", "\0",
    ];
    let sigils = ["@", "＠", "/msg ", "／msg "];
    let mut secrets = Vec::new();
    for before in unseen {
        for sigil in sigils {
            for space in ["", " "] {
                secrets.push(format!("secret {}", secrets.len()));
                let secret = &secrets[secrets.len() - 1];
                input.extend(format!("{space}{before}{space}{sigil}bob {secret}\n").bytes());
                // A misspelt command or an absent addressee: an error, and no line.
                input.extend(format!("{space}{before}{sigil}:bob:secret\n").bytes());
                input.extend(format!("{space}{before}{sigil}nobody secret\n").bytes());
            }
        }
    }
    input.extend("//@bob is no secret\nto all\n".bytes());
    let (alice, code) = pipe(&server, "alice", &input);
    assert_eq!(code, Some(0), "{}", alice.output());
    let texts: Vec<_> =
        heard(&mut eve, "to all").iter().map(|event| event["text"].clone()).collect();
    assert_eq!(texts, ["@bob is no secret", "to all"]);
    let whispered = heard(&mut bob, "to all");
    let whispered = whispered.iter().filter(|event| event["private"] == true);
    assert_eq!(whispered.map(|event| event["text"].clone()).collect::<Vec<_>>(), secrets);
    let refused = alice.events("error");
    assert_eq!(refused.len(), 2 * secrets.len(), "{refused:#?}");
}

fn invisible_characters_before_a_farewell_are_ignored() {
    let server = Server::start(&["--no-history"]);
    let mut eve = server.join("eve");
    let farewells = ["\u{feff}exit", "\u{200b} ＱＵＩＴ\u{200e}", "\u{a0}/quit", "\u{3000}выход\r"];
    for (count, farewell) in farewells.into_iter().enumerate() {
        let (nick, said) = (format!("a{count}"), format!("line {count}"));
        let input = format!("{said}\n{farewell}\nnot to be said\n");
        assert_eq!(pipe(&server, &nick, input.as_bytes()).1, Some(0), "{farewell:?}");
    }
    let texts: Vec<_> =
        heard(&mut eve, "line 3").iter().map(|event| event["text"].clone()).collect();
    assert_eq!(texts, ["line 0", "line 1", "line 2", "line 3"]);
}

fn input_in_another_encoding_is_refused_with_code_1_and_a_remedy() {
    let server = Server::start(&["--no-history"]);
    let mut eve = server.join("eve");
    let utf16 = |text: &str, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(order).collect()
    };
    let (little, big) =
        (u16::to_le_bytes as fn(u16) -> [u8; 2], u16::to_be_bytes as fn(u16) -> [u8; 2]);
    for (count, (bytes, way_out)) in [
        (utf16("\u{feff}@bob secret\nexit\n", little), "iconv -f UTF-16 "),
        (utf16("\u{feff}привет\n", big), "iconv -f UTF-16 "),
        (utf16("@bob secret\nmore\n", little), "iconv -f UTF-16LE "),
        (utf16("привет\nмир", big), "iconv -f UTF-16BE "),
        (b"\xcf\xf0\xe8\xe2\xe5\xf2\n".to_vec(), "iconv -f CP1251 "),
        (b"d\xe9j\xe0 vu\n".to_vec(), "iconv -f ISO-8859-1 "),
    ]
    .into_iter()
    .enumerate()
    {
        let (client, code) = pipe(&server, &format!("a{count}"), &bytes);
        assert_eq!(code, Some(1), "{}", client.output());
        let errors = client.events("error");
        assert!(errors[0]["message"].as_str().unwrap().contains(way_out), "{errors:?}");
    }
    let (_, code) = pipe(&server, "last", "\u{feff}the end\n".as_bytes());
    assert_eq!(code, Some(0));
    assert_eq!(heard(&mut eve, "the end").len(), 1);
}

fn the_rest_of_an_overlong_line_is_text_and_no_command() {
    let server = Server::start(&["--no-history", "--rate-limit", "off"]);
    let [mut bob, mut eve] = ["bob", "eve"].map(|name| server.join(name));
    let long = "小".repeat(65_535 / 3);
    for rest in ["exit", "@bob secret", "/msg bob secret"] {
        let input = format!("{long}{rest}\n@bob {long}@eve {rest}\nlast of {rest}\n");
        let (alice, code) = pipe(&server, "alice", input.as_bytes());
        assert_eq!(code, Some(0), "{}", alice.output());
        let last = format!("last of {rest}");
        let of_bob = heard(&mut bob, &last);
        let texts = |events: &[Value], private: bool| -> String {
            let events = events.iter().filter(|event| event["private"] == private);
            events.map(|event| event["text"].as_str().unwrap()).collect()
        };
        let whispered = texts(&of_bob, true);
        assert!(whispered.ends_with(&format!("{long}@eve {rest}")), "stays a whisper");
        let said = texts(&heard(&mut eve, &last), false);
        assert!(said.ends_with(&format!("{long}{rest}{last}")), "a long line is said to the room");
        assert!(texts(&heard_so_far(&eve), true).is_empty());
    }
}

fn heard_so_far(listener: &Program) -> Vec<Value> {
    listener.events("message")
}

fn without_input_the_client_does_not_say_that_lines_wait() {
    // No server answers, and no message says that the client waits for one to take its input.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    for (typed, waits) in [("", false), ("hello\n", true)] {
        let args = ["client", &address, "--nick", "alice", "--no-cache"];
        let mut client = Program::start(dir.path(), &args);
        client.write(typed.as_bytes());
        client.end_input();
        assert_eq!(client.wait(), Some(3), "{}", client.output());
        assert_eq!(
            client.output().contains("to take what was typed"),
            waits,
            "{}",
            client.output()
        );
    }
}

/// A relay between a client and a server over TCP. Once `deaf` is set, it discards what the client
/// sends.
fn relay(server: SocketAddr) -> (SocketAddr, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let deaf = Arc::new(AtomicBool::new(false));
    let swallows = deaf.clone();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let server = TcpStream::connect(server).unwrap();
        let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        let (mut client, mut server) = (client, server);
        let mut buffer = [0; 65_536];
        while let Ok(count @ 1..) = client.read(&mut buffer) {
            if !swallows.load(Relaxed) && server.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    });
    (address, deaf)
}

fn a_server_that_accepts_no_line_is_given_up_however_many_lines_wait() {
    needs_time();
    // With timers so slow that the server never expires the client.
    let dir = tempfile::tempdir().unwrap();
    let slow = ["--bind", "127.0.0.1:0", "--heartbeat", "60s", "--expiry", "10m"];
    let mut server = Program::start(dir.path(), &[&["server", "--no-history"], &slow[..]].concat());
    let listening = server.line("address", |line| line.starts_with("listening on "));
    let server_address = listening["listening on ".len()..].parse().unwrap();
    for lines in [1, 5_000] {
        let (address, deaf) = relay(server_address);
        let mut client = Command::new(env!("CARGO_BIN_EXE_chatagram"))
            .args(["client", &address.to_string(), "--nick", &format!("a{lines}")])
            .args(["--transport", "tcp", "--no-cache"])
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = std::io::BufReader::new(client.stdout.take().unwrap());
        let mut welcome = String::new();
        std::io::BufRead::read_line(&mut output, &mut welcome).unwrap();
        assert!(welcome.contains("welcome"), "{welcome}");
        deaf.store(true, Relaxed);
        let mut stdin = client.stdin.take().unwrap();
        std::thread::spawn(move || (0..lines).all(|i| writeln!(stdin, "line {i}").is_ok()));
        let read = std::thread::spawn(move || std::io::read_to_string(output));
        let deadline = Instant::now() + Duration::from_secs(120);
        let code = loop {
            if let Some(status) = client.try_wait().unwrap() {
                break status.code();
            }
            if Instant::now() > deadline {
                client.kill().unwrap();
                panic!("{lines} lines: the client does not end: {}", read.join().unwrap().unwrap());
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        assert_eq!(code, Some(5), "{lines} lines: {}", read.join().unwrap().unwrap());
    }
}

tests! {
    invisible_characters_before_a_whisper_do_not_make_it_public,
    invisible_characters_before_a_farewell_are_ignored,
    input_in_another_encoding_is_refused_with_code_1_and_a_remedy,
    the_rest_of_an_overlong_line_is_text_and_no_command,
    without_input_the_client_does_not_say_that_lines_wait,
    a_server_that_accepts_no_line_is_given_up_however_many_lines_wait,
}
