//! The built program over loopback, as users run it.

mod endings;

use crate::program::{Program, Server, free_port};
use serde_json::{Value, json};
use std::fs;
use std::net::UdpSocket;
use std::process::Command;

fn a_line_reaches_every_other_client_and_departures_are_announced() {
    let names = ["alice", "Борис", "小明"];
    let mut server = Server::start(&[]);
    let mut clients = names.map(|name| server.join(name));
    for client in &mut clients[..2] {
        client.next_where("joined", |e| e["peers"] == 3);
    }
    for (client, name) in clients.iter_mut().zip(names) {
        client.type_line(&format!("here is {name}"));
    }
    for (client, name) in clients.iter_mut().zip(names) {
        let mut heard = [client.next("message"), client.next("message")].map(|e| {
            assert_eq!(e["private"], false);
            assert_eq!(e["text"], format!("here is {}", e["from"].as_str().unwrap()));
            e["from"].as_str().unwrap().to_owned()
        });
        heard.sort();
        let mut others: Vec<_> = names.into_iter().filter(|other| *other != name).collect();
        others.sort_unstable();
        assert_eq!(heard.to_vec(), others, "{name}");
    }
    let [mut alice, mut boris, mut ming] = clients;
    for (farewell, leaver) in [("выход", &mut boris), ("/quit", &mut ming)] {
        leaver.type_line(farewell);
        assert_eq!(leaver.next("closed")["reason"], "quit");
        assert_eq!(leaver.wait(), Some(0));
    }
    let left = alice.next_where("left", |e| e["nickname"] == "小明");
    assert_eq!((&left["peers"], &left["reason"]), (&json!(1), &json!("quit")));
    assert_eq!(alice.events("left")[0]["nickname"], "Борис");
    server.program.line("log line", |line| line.contains("Борис left, 2 here"));
    assert!(server.program.output().contains("alice: here is alice"));
}

fn a_join_replays_the_last_ten_lines_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let bind = format!("127.0.0.1:{port}");
    let history = ["--history", "history.jsonl"];
    let mut server = Server::start_at(&bind, dir, &history);
    let mut alice = server.client("alice", &["--no-cache"]);
    (0..15).for_each(|i| alice.type_line(&format!("line {i}")));
    alice.end_input();
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    let expect_replay = |server: &Server| {
        let mut newcomer = server.join("bob");
        let replay = newcomer.events_until("history", |e| e["text"] == "line 14");
        let texts: Vec<_> = replay.iter().map(|e| e["text"].clone()).collect();
        assert_eq!(texts, (5..15).map(|i| json!(format!("line {i}"))).collect::<Vec<_>>());
        assert_eq!(replay[0]["from"], "alice");
    };
    expect_replay(&server);
    server.program.signal("TERM");
    assert_eq!(server.program.wait(), Some(0));
    let file = fs::read_to_string(server.dir.path().join("history.jsonl")).unwrap();
    let records: Vec<Value> = file.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(records.len(), 15);
    assert!(records[0]["at"].as_str().unwrap().ends_with('Z'));
    let Server { dir, .. } = server;
    expect_replay(&Server::start_at(&bind, dir, &history));
}

fn a_history_line_dated_in_the_future_does_not_affect_later_lines() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = "{\"at\":\"2131-01-01T00:00:00Z\",\"from\":\"al\",\"text\":\"said then\"}\n";
    fs::write(dir.path().join("h.jsonl"), wrong).unwrap();
    let port = free_port();
    let bind = format!("127.0.0.1:{port}");
    let mut ids = Vec::new();
    let mut dir = Some(dir);
    for run in 0..2 {
        let mut server = Server::start_at(&bind, dir.take().unwrap(), &["--history", "h.jsonl"]);
        let mut bob = server.join("bob");
        let old = bob.next_where("history", |e| e["text"] == "said then");
        assert!(old["at"].as_str().unwrap().starts_with("2131-01-01"), "{old}");
        ids.extend(old["id"].as_u64().filter(|_| run == 0));
        let mut alice = server.join("alice");
        for line in ["one", "one"] {
            alice.type_line(line);
            let heard = bob.next("message");
            let now = jiff::Timestamp::now();
            let at: jiff::Timestamp = heard["at"].as_str().unwrap().parse().unwrap();
            assert!((now - at).total(jiff::Unit::Hour).unwrap().abs() < 1.0, "{heard}");
            ids.extend(heard["id"].as_u64());
        }
        server.program.signal("TERM");
        assert_eq!(server.program.wait(), Some(0));
        let warned = server.program.output().contains("the clock was wrong");
        assert!(warned, "{}", server.program.output());
        dir = Some(server.dir);
    }
    assert!(ids.len() == 5 && ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let file = fs::read_to_string(dir.unwrap().path().join("h.jsonl")).unwrap();
    let records: Vec<Value> = file.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    let epochs: Vec<_> = records[1..].iter().map(|record| &record["epoch"]).collect();
    assert!(epochs.len() == 4 && epochs.iter().all(|it| it.is_string() && *it == epochs[0]));
}

fn a_whisper_reaches_only_its_addressee_and_is_echoed() {
    let server = Server::start(&["--history", "h.jsonl"]);
    let [mut alice, mut bob, mut carl] = ["alice", "bob", "carl"].map(|name| server.join(name));
    alice.type_line("@BOB only you");
    alice.type_line("@nobody there?");
    alice.type_line("for all");
    let whisper = bob.next("message");
    assert_eq!((&whisper["text"], &whisper["private"]), (&json!("only you"), &json!(true)));
    let echo = alice.next("message");
    assert_eq!((&echo["from"], &echo["to"]), (&json!("alice"), &json!("bob")));
    let error = alice.next("error");
    assert!(error["message"].as_str().unwrap().contains("nobody"), "{error}");
    assert_eq!(carl.next("message")["text"], "for all");
    let history = fs::read_to_string(server.dir.path().join("h.jsonl")).unwrap();
    assert!(!history.contains("only you"), "{history}");
}

fn a_name_is_refused_with_a_reason_and_exit_code_4() {
    let server = Server::start(&["--max-peers", "2"]);
    let _alice = server.join("alice");
    for (name, reason) in [("ALICE", "in use"), ("a b", "space"), ("аlice", "")] {
        let mut refused = server.client(name, &["--no-cache"]);
        assert_eq!(refused.wait(), Some(4), "{name}: {}", refused.output());
        let message = refused.events("error")[0]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(reason), "{name}: {message}");
        assert_eq!(refused.events("closed")[0]["reason"], "refused");
    }
    let _bob = server.join("bob");
    let mut third = server.client("carl", &["--no-cache"]);
    assert_eq!(third.wait(), Some(4));
    assert!(third.output().contains("full"), "{}", third.output());
}

fn without_nick_a_piped_client_uses_the_user_name() {
    let server = Server::start(&["--no-history"]);
    let address = server.address.to_string();
    let arguments = ["client", &address, "--no-cache", "--output", "json"];
    let start = |user: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
        command.env_remove("USER").envs(user.map(|user| ("USER", user)));
        let mut client = Program::start_by(command, server.dir.path(), &arguments);
        client.end_input();
        client
    };
    let mut client = start(Some("dora"));
    assert_eq!(client.wait(), Some(0), "{}", client.output());
    assert_eq!(client.events("welcome")[0]["nickname"], "dora");
    for (user, words) in [(None, "is not set"), (Some(""), "is not set"), (Some("a b"), "a space")]
    {
        let mut client = start(user);
        assert_eq!(client.wait(), Some(2), "{user:?}: {}", client.output());
        let output = client.output();
        assert!(output.contains("--nick NAME") && output.contains(words), "{user:?}: {output}");
    }
    let _dora = server.join("dora");
    assert_eq!(start(Some("dora")).wait(), Some(4), "a name in use is refused");
}

fn a_date_precedes_the_first_line_of_another_day() {
    let dir = tempfile::tempdir().unwrap();
    let old = [("2020-02-20", "old"), ("2020-02-20", "as old"), ("2020-02-21", "younger")];
    let mut second = 0;
    let lines = old.map(|(day, text)| {
        second += 1;
        format!(r#"{{"at":"{day}T12:00:{second:02}.000000Z","from":"al","text":"{text}"}}"#)
    });
    fs::write(dir.path().join("h.jsonl"), lines.join("\n") + "\n").unwrap();
    let server = Server::start_at("127.0.0.1:0", dir, &["--history", "h.jsonl"]);
    let mut bob = server.join("bob");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatagram"));
    command.env("TZ", "UTC");
    let address = server.address.to_string();
    let arguments = ["client", &address, "--nick", "alice", "--no-cache", "--stay", "forever"];
    let mut alice = Program::start_by(command, server.dir.path(), &arguments);
    alice.line("history", |line| line.contains("younger"));
    bob.type_line("today");
    alice.line("line", |line| line.contains("bob: today"));
    let shown: Vec<String> = alice
        .output()
        .lines()
        .skip(1)
        .map(|line| line.split_once(' ').unwrap().1.to_owned())
        .collect();
    let [first, one, two, second, three, third, four] = &shown[..] else { panic!("{shown:#?}") };
    assert_eq!([&**first, &**second], ["2020-02-20, Thursday", "2020-02-21, Friday"]);
    assert_eq!(
        [&**one, &**two, &**three],
        ["al: old (earlier)", "al: as old (earlier)", "al: younger (earlier)"]
    );
    assert!(third.starts_with("20") && third.ends_with("day"), "{third}");
    assert_eq!(four, "bob: today");
}

fn piped_input_arrives_whole_and_in_order_and_then_the_client_leaves() {
    let server = Server::start(&["--rate-limit", "off"]);
    let mut bob = server.join("bob");
    let mut alice = server.client("alice", &["--no-cache"]);
    (0..2_000).for_each(|i| alice.type_line(&format!("{i}")));
    let long = "й".repeat(1_234);
    alice.type_line(&long);
    alice.end_input();
    assert_eq!(alice.wait(), Some(0), "{}", alice.output());
    bob.next_where("left", |e| e["nickname"] == "alice");
    let texts: Vec<_> =
        bob.events("message").iter().map(|e| e["text"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<_> = (0..2_000).map(|i| i.to_string()).collect();
    assert_eq!(texts[..2_000], expected);
    assert_eq!(texts[2_000..].concat(), long);
    assert!(texts[2_000..].iter().all(|piece| piece.len() <= 1_000));
}

fn mode_and_stats_commands_work_during_a_chat() {
    let server = Server::start(&[]);
    let mut bob = server.join("bob");
    for (transport, name) in [("udp", "alice"), ("tcp", "anna")] {
        let args = ["--no-cache", "--stay", "forever", "--transport", transport];
        let mut alice = server.client(name, &args);
        alice.next("welcome");
        alice.type_line("four");
        assert_eq!(bob.next("message")["text"], "four");
        bob.type_line("fiver");
        assert_eq!(alice.next("message")["text"], "fiver");
        alice.type_line("/mode fast");
        assert!(alice.next("error")["message"].as_str().unwrap().contains("reliable-unordered"));
        alice.type_line("/mode unreliable");
        alice.next_where("status", |e| e["text"] == "delivery: unreliable");
        alice.type_line("/stats");
        let stats = alice.next("stats");
        assert_eq!(stats["transport"], transport);
        assert_eq!(stats["delivery"], "unreliable");
        assert_eq!(stats["sent"]["text_bytes"], 4);
        assert_eq!(stats["received"]["text_bytes"], 5);
        assert!(stats["sent"]["bytes"].as_u64() > Some(4), "{stats}");
        let (lost, tcp) = (&stats["received"]["lost"], &stats["tcp"]);
        if transport == "udp" {
            assert!(lost == 0 && tcp.is_null(), "{stats}");
        } else {
            // Only the kernel numbers its segments; on Linux it tells.
            assert!(lost.is_null() && stats["sent"]["retransmitted"].is_null(), "{stats}");
            assert_eq!(tcp["rtt_ms"].is_number(), cfg!(target_os = "linux"), "{stats}");
            let control = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").ok();
            assert_eq!(tcp["congestion_control"].as_str(), control.as_deref().map(str::trim));
        }
        alice.type_line("once");
        assert_eq!(bob.next("message")["text"], "once");
        assert_eq!(alice.leave(), Some(0));
    }
}

fn piped_output_has_no_escape_codes_whatever_peers_say() {
    let server = Server::start(&[]);
    let mut bob = server.join("bob");
    let address = server.address.to_string();
    let args = ["client", &address, "--nick", "alice", "--no-cache", "--stay", "forever"];
    let mut alice = Program::start(server.dir.path(), &args);
    alice.line("welcome", |line| line.contains("welcome to the room, alice: 2 here"));
    bob.type_line("red \u{1b}[31m alert \u{202e} \u{9b}2J \u{7} ok 👩‍👩‍👧");
    let line = alice.line("line", |line| line.contains("ok"));
    assert!(line.contains("bob: red") && line.ends_with("👩‍👩‍👧"), "{line:?}");
    assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
}

fn the_last_five_cached_lines_are_shown_even_without_an_answer() {
    let server = Server::start(&[]);
    let mut alice = server.client("alice", &["--cache", "cache.json"]);
    (0..7).for_each(|i| alice.type_line(&format!("line {i}")));
    alice.end_input();
    assert_eq!(alice.wait(), Some(0));
    let again = server.client("alice", &["--cache", "cache.json"]);
    let check = |mut client: Program, code: i32, lines: std::ops::Range<i32>| {
        client.end_input();
        assert_eq!(client.wait(), Some(code), "{}", client.output());
        let history = client.events("history");
        let texts: Vec<_> = history.iter().map(|e| e["text"].as_str().unwrap()).collect();
        let expected: Vec<_> = lines.map(|i| format!("line {i}")).collect();
        assert_eq!(texts, expected, "in order, and each once");
    };
    // The server's history begins before the cached lines.
    check(again, 0, 0..7);
    let Server { program, address, dir } = server;
    program.kill();
    let address = address.to_string();
    let args = ["client", &address, "--nick", "alice", "--cache", "cache.json", "--output", "json"];
    check(Program::start(dir.path(), &args), 3, 2..7);
}

fn host_and_client_talk_with_one_command_each() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["host", "--nick", "alice", "--bind", "127.0.0.1:0", "--stay", "forever"];
    let mut host = Program::start(dir.path(), &args);
    let invitation =
        host.line("invitation", |line| line.starts_with("on this machine, join with: "));
    host.line("welcome", |line| line.contains("welcome"));
    let mut words = invitation["on this machine, join with: chatagram ".len()..].split(' ');
    let guest = [words.next().unwrap(), words.next().unwrap(), "--nick", "bob", "--no-cache"];
    let mut guest = Program::start(dir.path(), &guest);
    guest.type_line("hello host");
    host.line("line", |line| line.contains("bob: hello host"));
    host.type_line("hello guest");
    guest.line("line", |line| line.contains("alice: hello guest"));
    host.type_line("exit");
    assert_eq!(host.wait(), Some(0));
    guest.line("shutdown", |line| line.contains("the server has closed"));
    assert_eq!(guest.wait(), Some(0));
}

fn a_failed_start_names_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&["--history", "h.jsonl"]);
    fs::write(dir.path().join("notes.txt"), "dear diary\n".repeat(10)).unwrap();
    let address = server.address.to_string();
    let history = server.dir.path().join("h.jsonl");
    let history = history.to_str().unwrap();
    for (args, code, words) in [
        (vec!["server", "--bind", &address, "--no-history"], 1, vec![&*address, "another"]),
        (vec!["server", "--bind", "127.0.0.1:70000"], 2, vec!["70000", "65535"]),
        (vec!["server", "--bind", "localhost:1"], 2, vec!["localhost", "0.0.0.0:2428"]),
        (vec!["server", "--bind", "192.0.2.1:0"], 1, vec!["192.0.2.1", "does not have"]),
        (vec!["server", "--heartbeat", "2s", "--expiry", "1s"], 2, vec!["--expiry", "longer"]),
        (vec!["server", "--heartbeat", "2"], 2, vec!["--heartbeat", "2s"]),
        (vec!["server", "--bind", ":0", "--history", "no/where"], 1, vec!["no/where"]),
        (vec!["server", "--bind", ":0", "--history", "notes.txt"], 1, vec!["notes.txt"]),
        (vec!["server", "--bind", ":0", "--history", history], 1, vec!["h.jsonl", "another"]),
        (vec!["server", "--log-file", "no/where", "--bind", ":0"], 1, vec!["no/where"]),
        (vec!["client", "host:70000", "--nick", "a"], 2, vec!["70000", "65535"]),
        (vec!["client", "", "--nick", "a"], 2, vec!["host is missing"]),
        (vec!["client", "127.0.0.1", "--nick", ""], 2, vec!["--nick", "empty"]),
        (vec!["host", "--bind", "127.0.0.1:0", "--nick", " "], 2, vec!["--nick", "empty"]),
        (vec!["client", "no.such.host.invalid", "--nick", "a"], 3, vec!["no.such.host.invalid"]),
    ] {
        let mut program = Program::start(dir.path(), &args);
        program.end_input();
        let result = program.wait();
        let output = program.output();
        assert_eq!(result, Some(code), "{args:?}: {output}");
        assert!(words.iter().all(|word| output.contains(word)), "{args:?}: {output}");
    }
}

fn malformed_datagrams_are_counted_in_the_log_and_the_chat_goes_on() {
    let mut server = Server::start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let attacker = UdpSocket::bind("127.0.0.1:0").unwrap();
    let shapes: [&[u8]; 5] = [b"", b"CG", &[0; 1_200], &[0x43; 65_000], b"GET / HTTP/1.1\r\n\r\n"];
    for shape in shapes {
        attacker.send_to(shape, server.address).unwrap();
    }
    let mut of_version_9 = [0; 40];
    of_version_9[..4].copy_from_slice(b"CG\x09\x00");
    let crc = crc32fast::hash(&[&of_version_9[..4], &of_version_9[8..]].concat());
    attacker.send_to(&of_version_9, server.address).unwrap(); // damaged
    of_version_9[4..8].copy_from_slice(&crc.to_be_bytes());
    attacker.send_to(&of_version_9, server.address).unwrap();
    alice.type_line("still here");
    assert_eq!(bob.next("message")["text"], "still here");
    server.program.signal("INT");
    server.program.line("counters", |line| {
        line.contains("5 not of this protocol, 1 of another version, 1 damaged")
    });
}

#[cfg(target_os = "linux")]
fn failing_to_write_output_is_an_error() {
    let server = Server::start(&[]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chatagram"))
        .args(["client", &server.address.to_string(), "--nick", "a", "--no-cache"])
        .stdin(std::process::Stdio::null())
        .stdout(full)
        .output()
        .unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("output could not be written"), "{complaint}");
}

fn environment_variables_set_options() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chatagram"))
        .args(["client"])
        .env("CHATAGRAM_SERVER", "host:70000")
        .env("CHATAGRAM_NICK", "a")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("70000"));
}

tests! {
    a_line_reaches_every_other_client_and_departures_are_announced,
    a_join_replays_the_last_ten_lines_also_after_a_restart,
    a_history_line_dated_in_the_future_does_not_affect_later_lines,
    a_whisper_reaches_only_its_addressee_and_is_echoed,
    a_name_is_refused_with_a_reason_and_exit_code_4,
    without_nick_a_piped_client_uses_the_user_name,
    a_date_precedes_the_first_line_of_another_day,
    endings::a_stopping_server_tells_every_client,
    endings::clients_return_to_a_restarted_server_with_the_lines_typed_meanwhile,
    endings::clients_give_up_a_server_that_does_not_return_from_a_restart,
    endings::signals_make_a_client_say_goodbye,
    endings::a_killed_client_expires,
    endings::a_client_that_stood_still_past_its_expiry_is_back_within_five_seconds,
    endings::every_client_returns_to_a_killed_server_and_shows_no_line_twice,
    piped_input_arrives_whole_and_in_order_and_then_the_client_leaves,
    mode_and_stats_commands_work_during_a_chat,
    piped_output_has_no_escape_codes_whatever_peers_say,
    the_last_five_cached_lines_are_shown_even_without_an_answer,
    host_and_client_talk_with_one_command_each,
    a_failed_start_names_its_reason,
    malformed_datagrams_are_counted_in_the_log_and_the_chat_goes_on,
    #[cfg(target_os = "linux")]
    failing_to_write_output_is_an_error,
    environment_variables_set_options,
}
