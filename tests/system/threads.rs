//! Failing system calls. An error about one datagram loses at most that datagram. An error after
//! which a thread cannot go on ends the process with a message and an exit code other than 0; no
//! thread goes on without the others.
//!
//! `strace` runs the program and makes the kernel return these errors.

use crate::needs::needs;
use crate::program::{Program, Server};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// With `-D`, strace detaches: the test's child is the program itself, all of whose threads are
/// traced. `when` selects the failing calls: `4+` is the fourth and all later ones, `9+3` the ninth
/// and every third after it.
fn failing(calls: &str, error: &str, when: &str) -> Command {
    needs(&["strace"]);
    let mut command = Command::new("strace");
    let fault = format!("inject={calls}:error={error}:when={when}");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &fault]);
    command.arg(env!("CARGO_BIN_EXE_chatagram"));
    command
}

/// The system calls that receive datagrams. Not recvmsg: the C library lists interfaces with it,
/// and aborts if that fails.
const RECEIVE: &str = "recvfrom,recvmmsg";

const SEND: &str = "sendto,sendmsg,sendmmsg";

/// ECONNRESET is Windows' error 10054: an earlier datagram met a closed port.
fn errors_of_single_datagrams_lose_no_other_datagram() {
    let sent = ["ENOBUFS", "EMSGSIZE", "EPERM", "EHOSTUNREACH", "ENETUNREACH", "ECONNREFUSED"];
    let received = ["ECONNRESET", "ECONNREFUSED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"];
    let faults = sent.map(|error| (SEND, error));
    let faults = faults.into_iter().chain(received.map(|error| (RECEIVE, error)));
    for (calls, error) in faults {
        let command = failing(calls, error, "3+3");
        let dir = tempfile::tempdir().unwrap();
        let args =
            ["server", "--bind", "127.0.0.1:0", "--no-history", "--no-discovery", "--no-tcp"];
        let mut server = Program::start_by(command, dir.path(), &args);
        let line = server.line("address", |line| line.starts_with("listening on "));
        let address = &line["listening on ".len()..];
        let join = |name: &str, failing: Option<Command>| {
            let args = ["client", address, "--nick", name, "--output", "json", "--no-cache"];
            let args = [&args[..], &["--stay", "forever"]].concat();
            let mut client = match failing {
                Some(command) => Program::start_by(command, dir.path(), &args),
                None => Program::start(dir.path(), &args),
            };
            client.next("welcome");
            client
        };
        let mut alice = join("alice", Some(failing(calls, error, "3+3")));
        let mut bob = join("bob", None);
        for number in 0..20 {
            for client in [&mut alice, &mut bob] {
                client.type_line(&format!("{error} {number}"));
            }
        }
        for client in [&mut alice, &mut bob] {
            for number in 0..20 {
                client.next_where("message", |e| e["text"] == format!("{error} {number}"));
            }
        }
        for client in [&mut bob, &mut alice] {
            assert_eq!(client.leave(), Some(0), "{calls} {error}: {}", client.output());
        }
        server.signal("TERM");
        assert_eq!(server.wait(), Some(0), "{calls} {error}: {}", server.output());
    }
}

fn a_server_that_cannot_receive_or_poll_ends_with_a_reason() {
    for (calls, words) in [
        (RECEIVE, "cannot receive on 127.0.0.1:"),
        ("epoll_wait,epoll_pwait", "cannot wait for the network: "),
    ] {
        let command = failing(calls, "EIO", "4+");
        let dir = tempfile::tempdir().unwrap();
        let args =
            ["server", "--bind", "127.0.0.1:0", "--no-history", "--no-discovery", "--no-tcp"];
        let mut server = Program::start_by(command, dir.path(), &args);
        let line = server.line("address", |line| line.starts_with("listening on "));
        let address = &line["listening on ".len()..];
        let args = ["client", address, "--nick", "alice", "--no-cache"];
        let client = Program::start(dir.path(), &args);
        assert_eq!(server.wait(), Some(1), "{}", server.output());
        let output = server.output();
        assert!(output.contains(words) && output.contains("Input/output error"), "{output}");
        client.kill();
    }
}

fn a_client_whose_receiver_fails_ends_with_a_reason() {
    let server = Server::start(&[]);
    let address = server.address.to_string();
    for (command, when) in [("client", "4+"), ("watch", "8+")] {
        for (nick, calls) in [("alice", RECEIVE), ("bob", "epoll_wait,epoll_pwait")] {
            let failing = failing(calls, "EIO", when);
            let args = match command {
                "client" => vec![command, &address, "--nick", nick, "--stay", "forever"],
                _ => vec![command, &address],
            };
            let mut client = Program::start_by(failing, server.dir.path(), &args);
            assert_eq!(client.wait(), Some(1), "{command} {calls}: {}", client.output());
            let words = "the network failed: Input/output error";
            assert!(client.output().contains(words), "{}", client.output());
        }
    }
}

fn a_host_whose_server_fails_ends_with_a_reason() {
    let command = failing("epoll_wait,epoll_pwait", "EIO", "100+");
    let dir = tempfile::tempdir().unwrap();
    let args = ["host", "--nick", "alice", "--bind", "127.0.0.1:0", "--stay", "forever"];
    let args = [&args[..], &["--no-history", "--no-discovery"]].concat();
    let mut host = Program::start_by(command, dir.path(), &args);
    let line = host.line("address", |line| line.starts_with("listening on "));
    host.line("welcome", |line| line.contains("welcome"));
    // Each datagram wakes the server's thread and not the client's: the client's thread polls 100
    // times first.
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..1_000 {
        noise.send_to(b"noise", &line["listening on ".len()..]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(host.wait(), Some(1), "{}", host.output());
    let words = "cannot wait for the network: Input/output error";
    assert!(host.output().contains(words), "{}", host.output());
}

/// Not a test: the next one runs this in a process of its own.
fn one_of_two_threads_panics(_: &[&str]) {
    chatagram::client::end_on_panic(|| eprintln!("last words"));
    let thread = std::thread::Builder::new().name("worker".to_owned());
    thread.spawn(|| panic!("on purpose")).unwrap();
    // Stands for a thread that waits for the panicked one.
    loop {
        std::thread::park();
    }
}

fn a_panic_in_any_thread_ends_the_process_with_a_message() {
    let this = std::env::current_exe().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let args = ["--role", "one_of_two_threads_panics"];
    let mut process = Program::start_by(Command::new(this), dir.path(), &args);
    assert_eq!(process.wait(), Some(101), "{}", process.output());
    let output = process.output();
    assert!(output.contains("thread 'worker'") && output.contains("on purpose"), "{output}");
    assert!(output.contains("last words"), "{output}");
}

tests! {
    errors_of_single_datagrams_lose_no_other_datagram,
    a_server_that_cannot_receive_or_poll_ends_with_a_reason,
    a_client_whose_receiver_fails_ends_with_a_reason,
    a_host_whose_server_fails_ends_with_a_reason,
    a_panic_in_any_thread_ends_the_process_with_a_message,
    @role one_of_two_threads_panics,
}
