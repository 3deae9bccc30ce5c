//! `chatagram watch`: its output for programs, and its screen on a terminal (tmux).

use crate::needs::needs;
use crate::program::{Program, Server};
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};

fn watch(server: &Server, args: &[&str]) -> Program {
    let address = server.address.to_string();
    let all: Vec<&str> = ["watch", &address, "--interval", "100ms"]
        .into_iter()
        .chain(args.iter().copied())
        .collect();
    Program::start(server.dir.path(), &all)
}

fn names(event: &Value) -> Vec<&str> {
    let peers = event["peers"].as_array().unwrap();
    peers.iter().map(|peer| peer["nickname"].as_str().unwrap()).collect()
}

fn each_answer_is_an_object_with_every_peer_but_the_watcher() {
    let server = Server::start(&["--no-history"]);
    let mut alice = server.client("alice", &["--impair", "delay 20ms"]);
    let mut bob = server.client("bob", &["--transport", "tcp"]);
    alice.next("welcome");
    bob.next("welcome");
    let mut watch = watch(&server, &["--output", "json"]);
    let event = watch.next_where("who", |event| {
        // The kernel's figures of a connection follow its next bytes.
        let known =
            |peer: usize| ["rtt_ms", "sent"].iter().all(|it| event["peers"][peer][it].is_number());
        names(event) == ["alice", "bob"] && known(0) && (known(1) || !cfg!(target_os = "linux"))
    });
    let (alice_is, bob_is) = (&event["peers"][0], &event["peers"][1]);
    assert!(alice_is["missing"].is_number() && bob_is["missing"].is_null(), "{event}");
    assert_eq!(bob_is["sent"].is_number(), cfg!(target_os = "linux"), "{event}");
    assert_eq!((&alice_is["transport"], &bob_is["transport"]), (&"udp".into(), &"tcp".into()));
    assert!(alice_is["rtt_ms"].as_f64().unwrap() >= 40.0, "{alice_is}");
    assert_eq!(alice_is["delivery"], "reliable-ordered");
    assert_eq!(bob.leave(), Some(0));
    watch.next_where("who", |event| names(event) == ["alice"]);

    // A second watcher picks another name, and both see every peer in the room.
    let mut second = self::watch(&server, &["--output", "json"]);
    second.next_where("who", |event| names(event) == ["alice", "watch"]);
    alice.next_where("joined", |event| event["nickname"] == "watch-2");
    second.signal("INT");
    assert_eq!(second.wait(), Some(0));
    watch.signal("TERM");
    assert_eq!(watch.wait(), Some(0));
    alice.next_where("left", |event| event["nickname"] == "watch" && event["reason"] == "quit");
}

fn piped_output_is_a_table_and_a_missing_server_is_an_error() {
    let server = Server::start(&["--no-history"]);
    let mut alice = server.client("alice", &[]);
    alice.next("welcome");
    let mut watch = watch(&server, &["--nick", "prof"]);
    watch.line("titles", |line| line.starts_with("* name") && line.contains("rtt"));
    watch.line("alice's row", |line| line.starts_with("* alice ") && line.contains("udp reliable"));
    let mut taken = self::watch(&server, &["--nick", "alice"]);
    assert_eq!(taken.wait(), Some(4), "{}", taken.output());
    assert!(taken.output().contains("is in use"), "{}", taken.output());
    server.program.signal("INT");
    watch.line("a word about the end", |line| line.contains("the server has closed"));

    let dir = tempfile::tempdir().unwrap();
    let mut alone = Program::start(dir.path(), &["watch", "127.0.0.1:9"]);
    assert_eq!(alone.wait(), Some(3), "{}", alone.output());
    assert!(alone.output().contains("nothing listens at port 9"), "{}", alone.output());
}

/// A tmux session that ends with the test.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn open(name: &str, columns: u16, rows: u16, command: &str) -> Self {
        needs(&["tmux", "sh", "stty", "cmp"]);
        let terminal = Self { socket: format!("chatagram-{name}-{}", std::process::id()) };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        terminal.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &columns, "-y", &rows, "sh"]);
        terminal.tmux(&["send-keys", command, "Enter"]);
        terminal
    }

    fn tmux(&self, args: &[&str]) -> String {
        let output = Command::new("tmux").args(["-L", &self.socket]).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let screen = self.tmux(&["capture-pane", "-p"]);
            if wanted(&screen) {
                return screen;
            }
            assert!(start.elapsed() < Duration::from_secs(30), "no {what}:\n{screen}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).status();
    }
}

#[cfg(feature = "watch")]
fn the_screen_has_a_row_for_each_peer_fits_any_size_and_restores_the_terminal() {
    let server = Server::start(&["--no-history", "--room", "class"]);
    let mut alice = server.client("alice", &["--impair", "loss 30%, delay 10ms"]);
    let mut bob = server.client("bob", &["--transport", "tcp"]);
    alice.next("welcome");
    bob.next("welcome");
    let program = env!("CARGO_BIN_EXE_chatagram");
    let command = format!(
        "stty -a >before; {program} watch {} --interval 100ms; echo code $?; \
         stty -a >after; cmp before after && echo same",
        server.address
    );
    let terminal =
        Terminal::open("watch", 100, 24, &format!("cd {}; {command}", server.dir.path().display()));
    bob.type_line("hello, class");
    let screen = terminal.until("sparklines", |screen| {
        screen.contains("██") && screen.contains("hello, class") && screen.contains("alice")
    });
    assert!(screen.starts_with("class at 127.0.0.1:"), "{screen}");
    assert!(screen.lines().any(|row| row.starts_with("alice") && row.contains(" ms ")), "{screen}");
    assert!(screen.lines().any(|row| row.starts_with("bob") && row.contains("tcp")), "{screen}");

    terminal.tmux(&["resize-window", "-x", "40", "-y", "7"]);
    // Without room for the lines and the mode, the figures remain.
    terminal.until("a narrow screen", |screen| {
        screen.lines().any(|row| row.starts_with("alice") && row.contains("  2"))
            && screen.lines().all(|row| row.chars().count() <= 40)
            && !screen.contains("tcp")
    });

    terminal.tmux(&["resize-window", "-x", "100", "-y", "24"]);
    terminal.until("a wide screen again", |screen| screen.contains("tcp"));
    terminal.tmux(&["send-keys", "q"]);
    terminal.until("the shell again", |screen| screen.contains("code 0"));
    terminal.until("the terminal as it was", |screen| screen.contains("same"));
}

#[cfg(feature = "watch")]
fn a_closed_terminal_ends_watch() {
    let server = Server::start(&["--no-history"]);
    let mut alice = server.client("alice", &[]);
    alice.next("welcome");
    let program = env!("CARGO_BIN_EXE_chatagram");
    // The shell exits at once, and the program receives no signal.
    let command = format!("trap '' HUP; exec {program} watch {}", server.address);
    let terminal = Terminal::open("gone", 80, 10, &command);
    alice.next_where("joined", |event| event["nickname"] == "watch");
    terminal.until("the screen", |screen| screen.contains("q leaves"));
    drop(terminal);
    alice.next_where("left", |event| event["nickname"] == "watch" && event["reason"] == "quit");
}

tests! {
    each_answer_is_an_object_with_every_peer_but_the_watcher,
    piped_output_is_a_table_and_a_missing_server_is_an_error,
    #[cfg(feature = "watch")]
    the_screen_has_a_row_for_each_peer_fits_any_size_and_restores_the_terminal,
    #[cfg(feature = "watch")]
    a_closed_terminal_ends_watch,
}
