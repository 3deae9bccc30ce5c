//! Private rooms: the built program with tickets, on the loopback interface.

mod attacks;
mod capture;
mod interop;

use crate::program::{Program, free_port};
use chatagram::ticket::{Secret, Ticket};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A server of a private room.
struct Room {
    program: Program,
    ticket: String,
    dir: TempDir,
    bind: String,
}

impl Room {
    fn open(args: &[&str]) -> Self {
        let bind = format!("127.0.0.1:{}", free_port());
        Self::open_at(&bind, tempfile::tempdir().unwrap(), args)
    }

    fn open_at(bind: &str, dir: TempDir, args: &[&str]) -> Self {
        let mut all = vec!["server", "--private", "--bind", bind, "--heartbeat", "200ms"];
        all.extend(["--expiry", "3s"].iter().chain(args));
        let mut program = Program::start(dir.path(), &all);
        let ticket = program.line("ticket", |line| line.starts_with("chatagram://"));
        Self { program, ticket, dir, bind: bind.to_owned() }
    }

    /// Ends the server and starts it again.
    fn reopen(mut self, args: &[&str]) -> Self {
        self.program.signal("TERM");
        assert_eq!(self.program.wait(), Some(0), "{}", self.program.output());
        Self::open_at(&self.bind, self.dir, args)
    }

    fn client(&self, name: &str, with: &[&str]) -> Program {
        let all = [&["client", "--nick", name, "--output", "json", "--no-cache"], with].concat();
        Program::start(self.dir.path(), &all)
    }

    /// A client in the room.
    fn join(&self, name: &str) -> Program {
        let mut client = self.client(name, &[&self.ticket, "--stay", "forever"]);
        client.next("welcome");
        client
    }

    /// A file with the ticket.
    fn ticket_file(&self) -> String {
        let file = self.dir.path().join("room.ticket");
        fs::write(&file, format!("{}\n", self.ticket)).unwrap();
        file.to_str().unwrap().to_owned()
    }

    /// The part of the ticket that nobody else may know.
    fn secret(&self) -> &str {
        self.ticket.rsplit('/').next().unwrap()
    }

    /// The ticket with another address.
    fn ticket_at(&self, address: &str) -> String {
        format!("chatagram://{address}/{}", self.secret())
    }

    /// The ticket with another secret.
    fn wrong_ticket(&self) -> Ticket {
        let ticket: Ticket = self.ticket.parse().unwrap();
        let mut secret: Secret = ticket.secret().clone();
        secret.0[0] ^= 1;
        Ticket::new(ticket.places().to_vec(), ticket.key(), secret).unwrap()
    }
}

fn a_ticket_admits_from_the_command_line_a_file_and_the_input() {
    let room = Room::open(&["--history", "h.jsonl", "--log-file", "log", "-vv", "--room", "den"]);
    let mut alice = room.join("alice");
    let file = room.ticket_file();
    let mut bob = room.client("bob", &["--ticket-file", &file, "--stay", "forever", "-vv"]);
    assert_eq!(bob.next("welcome")["room"], "den");
    let mut carl = room.client("carl", &["--ticket-file", "-", "-vv"]);
    carl.type_line(&room.ticket);
    carl.type_line("the second line of the input");
    carl.end_input();
    assert_eq!(carl.wait(), Some(0), "{}", carl.output());
    alice.hear("the second line of the input");
    bob.hear("the second line of the input");
    alice.type_line("/stats");
    assert_eq!(alice.next("stats")["transport"], "quic");
    alice.type_line("/ticket");
    assert!(alice.next("error")["message"].as_str().unwrap().contains("only the host"));
    // Neither what others can read nor what is kept has the ticket, but for the server's key.
    #[cfg(target_os = "linux")]
    for program in [&bob, &room.program] {
        let words = fs::read(format!("/proc/{}/cmdline", program.id())).unwrap();
        assert!(!String::from_utf8_lossy(&words).contains("chatagram://"));
    }
    assert_eq!(bob.leave(), Some(0), "{}", bob.output());
    assert!(!bob.output().contains(room.secret()) && !carl.output().contains(room.secret()));
    for file in ["h.jsonl", "log"] {
        let text = fs::read_to_string(room.dir.path().join(file)).unwrap();
        assert!(text.contains("second line") && !text.contains(room.secret()), "{text}");
    }
    assert_eq!(room.program.output().matches("chatagram://").count(), 1);
}

/// Strangers learn nothing, whatever they speak.
fn nothing_but_a_ticket_admits() {
    let room = Room::open(&["--room", "den"]);
    let plain = |transport| {
        let args = [&*room.bind, "--transport", transport];
        room.client("eve", &args)
    };
    let mut strangers = ["udp", "tcp", "quic"].map(plain);
    let wrong = room.wrong_ticket().reveal();
    let mut guess = room.client("eve", &[&wrong]);
    assert_eq!(guess.wait(), Some(4), "{}", guess.output());
    assert!(guess.output().contains("not open to you"), "{}", guess.output());
    for (stranger, code) in strangers.iter_mut().zip([3, 3, 4]) {
        assert_eq!(stranger.wait(), Some(code), "{}", stranger.output());
        assert!(!stranger.output().contains("den"), "{}", stranger.output());
    }
    room.join("alice");
}

fn another_key_is_refused_before_anything_is_said() {
    let (room, mut other) = (Room::open(&[]), Room::open(&["-vv"]));
    let mut alice = room.client("alice", &[&room.ticket_at(&other.bind)]);
    assert_eq!(alice.wait(), Some(4), "{}", alice.output());
    assert!(alice.output().contains("another key"), "{}", alice.output());
    other.program.line("a failed handshake", |line| line.contains("QUIC handshake failed"));
    assert!(!other.program.output().contains("alice"), "{}", other.program.output());
    // Beside the address of another server, that of the room admits.
    let both = room.ticket_at(&format!("{}+{}", other.bind, room.bind));
    let mut bob = room.client("bob", &[&both, "--stay", "forever"]);
    bob.next("welcome");
}

fn a_new_ticket_revokes_the_old_one() {
    let room = Room::open(&[]);
    let old = room.ticket.clone();
    let mut alice = room.join("alice");
    let room = room.reopen(&[]);
    assert_eq!(room.ticket, old);
    alice.next("welcome");
    let room = room.reopen(&["--new-ticket"]);
    assert_ne!(room.ticket, old);
    // One that comes back, and one that joins.
    let mut bob = room.client("bob", &[&old]);
    for client in [&mut alice, &mut bob] {
        assert_eq!(client.wait(), Some(4), "{}", client.output());
        assert!(client.output().contains("its host has made a new one"), "{}", client.output());
    }
    room.join("carl");
    let room = room.reopen(&[]);
    room.join("dora");
}

fn the_host_shows_the_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let bind = format!("127.0.0.1:{}", free_port());
    let args = ["host", "--private", "--bind", &bind, "--nick", "alice", "--output", "json"];
    let mut host = Program::start(dir.path(), &[&args[..], &["--no-cache"]].concat());
    host.next("welcome");
    host.type_line("/ticket");
    let ticket = host.status("chatagram://");
    let args = ["client", &ticket, "--nick", "bob", "--output", "json", "--no-cache"];
    let mut bob = Program::start(dir.path(), &args);
    bob.next("welcome");
    bob.type_line("hello");
    host.hear("hello");
    let file = dir.path().join("room.ticket");
    fs::write(&file, &ticket).unwrap();
    let file = file.to_str().unwrap();
    let args = ["watch", "--ticket-file", file, "--output", "json", "--interval", "200ms"];
    let mut watch = Program::start(dir.path(), &args);
    let sees = |line: &str| {
        let who: Value = serde_json::from_str(line).unwrap_or_default();
        who["peers"].as_array().is_some_and(|peers| {
            peers.iter().any(|peer| peer["nickname"] == "alice" && peer["transport"] == "quic")
        })
    };
    watch.line("a table with alice", sees);
    assert_eq!(host.leave(), Some(0), "{}", host.output());
}

fn a_load_measures_a_private_room() {
    let room = Room::open(&["--rate-limit", "off"]);
    let (dir, file) = (room.dir.path(), room.ticket_file());
    let load = |out: &str, args: &[&str]| {
        let usual = ["load", "--duration", "300ms", "--out", out];
        let mut load = Program::start(dir, &[&usual, args].concat());
        (load.wait(), load.output())
    };
    let ordered = ["--delivery", "reliable-ordered", "--ticket-file", &file];
    for (out, args) in [("one", &ordered[..]), ("two", &[&room.ticket])] {
        let (code, output) = load(out, args);
        assert!(code == Some(0) && output.contains("100.00 % delivered"), "{output}");
    }
    let info = fs::read_to_string(dir.join("one/run.json")).unwrap();
    assert!(info.contains(r#""transport": "quic""#) && !info.contains(room.secret()), "{info}");

    let (code, output) = load("three", &[&room.wrong_ticket().reveal()]);
    assert!(code == Some(4) && output.contains("not open to you"), "{output}");
    let other = Room::open(&[]);
    let (code, output) = load("other", &[&room.ticket_at(&other.bind)]);
    assert!(code == Some(4) && output.contains("another key"), "{output}");
    let (code, output) = load("four", &[&room.ticket, "--client", "cat"]);
    assert!(code == Some(2) && output.contains("leave --client out"), "{output}");
    assert_eq!(load("five", &[]).0, Some(2), "no server and no ticket");
}

fn a_key_that_others_can_read_is_refused() {
    let room = Room::open(&[]);
    let port = room.bind.rsplit(':').next().unwrap();
    let key = room.dir.path().join(format!(".local/state/chatagram/private-{port}.key"));
    set_mode(&key, 0o644);
    let Room { mut program, dir, bind, .. } = room;
    program.signal("INT");
    assert_eq!(program.wait(), Some(0));
    let mut again = Program::start(dir.path(), &["server", "--private", "--bind", &bind]);
    assert_eq!(again.wait(), Some(1), "{}", again.output());
    assert!(again.output().contains("chmod 600"), "{}", again.output());
}

#[cfg(unix)]
fn set_mode(file: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).unwrap();
}

fn mistakes_with_tickets_have_their_messages() {
    let room = Room::open(&[]);
    let dir = room.dir.path();
    let file = room.ticket_file();
    let missing = dir.join("missing").to_str().unwrap().to_owned();
    let (ticket, cut) = (&*room.ticket, &room.ticket[..room.ticket.len() - 1]);
    let both = format!("{ticket},127.0.0.1");
    let mistakes: [(&[&str], i32, &str); 12] = [
        (&["client", cut], 2, "the ticket is damaged"),
        (&["client", "chatagram://"], 2, "this is no ticket"),
        (&["watch", cut], 2, "the ticket is damaged"),
        (&["client", ticket, "--transport", "tcp"], 2, "QUIC only"),
        (&["client", ticket, "--ticket-file", &file], 2, "give it alone"),
        (&["client", "127.0.0.1", "--ticket-file", &file], 2, "give it alone"),
        (&["client", &both], 2, "give it alone"),
        (&["client", "--ticket-file", &missing], 1, "cannot read the ticket from"),
        (&["server", "--private", "--no-quic"], 2, "--no-quic"),
        (&["server", "--private", "--quic", "127.0.0.1:0"], 2, "--quic"),
        (&["server", "--private", "--engine", "redis://h/r"], 2, "--engine"),
        (&["server", "--new-ticket"], 2, "--private"),
    ];
    for (args, code, says) in mistakes {
        let nick = if args[0] == "server" { &[][..] } else { &["--nick", "a"] };
        let mut program = Program::start(dir, &[args, nick].concat());
        assert_eq!(program.wait(), Some(code), "{args:?}: {}", program.output());
        assert!(program.output().contains(says), "{args:?}: {}", program.output());
        assert!(!program.output().contains(&cut[cut.len() - 40..]), "{}", program.output());
    }
    // A server without QUIC at the ticket's address.
    let plain = crate::program::Server::start(&["--no-quic"]);
    let mut lost = room.client("a", &[&room.ticket_at(&plain.address.to_string())]);
    assert_eq!(lost.wait(), Some(3), "{}", lost.output());
    assert!(lost.output().contains("QUIC (UDP)"), "{}", lost.output());
}

tests! {
    a_ticket_admits_from_the_command_line_a_file_and_the_input,
    nothing_but_a_ticket_admits,
    another_key_is_refused_before_anything_is_said,
    a_new_ticket_revokes_the_old_one,
    the_host_shows_the_ticket,
    a_load_measures_a_private_room,
    #[cfg(unix)]
    a_key_that_others_can_read_is_refused,
    mistakes_with_tickets_have_their_messages,
    #[cfg(target_os = "linux")]
    attacks::many_wrong_secrets_admit_nobody_and_take_no_memory,
    capture::a_capture_of_a_private_room_is_dark_without_its_key_log,
    @ignored interop::an_independent_implementation_joins,
}
