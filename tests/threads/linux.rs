//! What the kernel answers with errors. One that concerns a datagram costs that datagram at most. One
//! after which a thread cannot go on ends the process in order: with a message, a code that is not 0, and
//! nothing left that only looks alive.
//!
//! The real program is made to fail from outside, by `strace`, which makes the kernel's answer to a
//! system call an error.
#![allow(clippy::unwrap_used, clippy::panic)]

use crate::needs::needs;
use crate::program::{Program, Server};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

/// `strace` becomes the program, and traces all its threads without standing between it and its parent.
/// `when` is which calls fail: `4+` the fourth and all after it, `9+3` the ninth and every third after it.
fn failing(calls: &str, error: &str, when: &str) -> Command {
    needs(&["strace"]);
    let mut command = Command::new("strace");
    let fault = format!("inject={calls}:error={error}:when={when}");
    command.args(["-D", "-f", "-qq", "-o", "/dev/null", "-e", &fault]);
    command.arg(env!("CARGO_BIN_EXE_chatagram"));
    command
}

/// What a datagram is received by.
/// Not recvmsg: the C library asks the kernel for the interfaces with it, and aborts if that fails.
const RECEIVE: &str = "recvfrom,recvmmsg";

const SEND: &str = "sendto,sendmsg,sendmmsg";

/// ECONNRESET is what Windows reports as 10054: that an earlier datagram of ours came to a dead port.
fn errors_of_single_datagrams_cost_these_at_most_at_the_server_and_at_a_client() {
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

fn a_server_that_can_no_longer_receive_or_wait_ends_and_says_why() {
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

fn a_client_whose_receiver_fails_ends_and_says_why() {
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

fn a_host_whose_server_fails_ends_and_says_why() {
    let command = failing("epoll_wait,epoll_pwait", "EIO", "100+");
    let dir = tempfile::tempdir().unwrap();
    let args = ["host", "--nick", "alice", "--bind", "127.0.0.1:0", "--stay", "forever"];
    let args = [&args[..], &["--no-history", "--no-discovery"]].concat();
    let mut host = Program::start_by(command, dir.path(), &args);
    let line = host.line("address", |line| line.starts_with("listening on "));
    host.line("welcome", |line| line.contains("welcome"));
    // Each wakes the server's thread and not the client's: that one waits for the hundredth time first.
    let noise = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..1_000 {
        noise.send_to(b"noise", &line["listening on ".len()..]).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(host.wait(), Some(1), "{}", host.output());
    let words = "cannot wait for the network: Input/output error";
    assert!(host.output().contains(words), "{}", host.output());
}

/// Not a test: what the next one runs in a process of its own.
fn one_of_two_threads_panics() {
    chatagram::client::end_on_panic(|| eprintln!("last words"));
    let thread = std::thread::Builder::new().name("worker".to_owned());
    thread.spawn(|| panic!("on purpose")).unwrap();
    // As a thread that waits for the other one, which will not come.
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
    errors_of_single_datagrams_cost_these_at_most_at_the_server_and_at_a_client,
    a_server_that_can_no_longer_receive_or_wait_ends_and_says_why,
    a_client_whose_receiver_fails_ends_and_says_why,
    a_host_whose_server_fails_ends_and_says_why,
    a_panic_in_any_thread_ends_the_process_with_a_message,
    @role one_of_two_threads_panics,
}
