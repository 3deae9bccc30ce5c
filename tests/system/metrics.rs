//! The server's counters as its users read them: Prometheus at `--metrics`, people with `watch` and
//! `/stats`. They count what the kernel dropped apart from what the network lost.

mod page;

use crate::program::{DEADLINE, Program, Server};
use chatagram::protocol::{DatagramWriter, Frame, Header};
use page::Page;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

/// A server and the address of its metrics. The expiry is longer than a test stops a process.
fn start(args: &[&str]) -> (Server, SocketAddr) {
    let dir = tempfile::tempdir().unwrap();
    let usual = ["server", "--bind", "127.0.0.1:0", "--expiry", "60s", "--metrics", "127.0.0.1:0"];
    let mut program = Program::start(dir.path(), &[&usual, args].concat());
    let mut after = |start: &str| {
        let line = program.line(start, |line| line.starts_with(start));
        line[start.len()..].trim_end_matches("/metrics").parse().unwrap()
    };
    let (address, metrics) = (after("listening on "), after("metrics at http://"));
    (Server { program, address, dir }, metrics)
}

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Status and body of the answer.
fn ask(to: SocketAddr, request: &[u8]) -> (u16, String) {
    let mut stream = connect(to);
    stream.write_all(request).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let field = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
    };
    assert_eq!(field("Content-Length"), body.len().to_string());
    let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
    let version = if status == 200 { " version=0.0.4;" } else { "" };
    assert_eq!(field("Content-Type"), format!("text/plain;{version} charset=utf-8"));
    (status, body.to_owned())
}

/// Scrapes until the page is as wanted.
fn until(from: SocketAddr, what: &str, wanted: impl Fn(&Page) -> bool) -> Page {
    let start = Instant::now();
    loop {
        let page = Page::scrape(from);
        if wanted(&page) {
            return page;
        }
        assert!(start.elapsed() < DEADLINE, "no {what}: {page:#?}");
    }
}

fn a_scrape_has_every_series_and_no_counter_decreases() {
    let (server, metrics) = start(&[]);
    let first = Page::scrape(metrics);
    assert_eq!(first.get(&format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1);
    assert_eq!((first.get("peers{transport=\"udp\"}"), first.get("sessions")), (0, 0));
    assert_eq!((first.get("joins_total"), first.get("lines_total")), (0, 0));
    if cfg!(target_os = "linux") {
        let resident = first.get("resident_memory_bytes");
        assert!((1 << 20..1 << 30).contains(&resident), "{resident}");
    }

    let mut alice = server.join("alice");
    let mut bob = server.client("bob", &["--no-cache", "--stay", "forever", "--transport", "tcp"]);
    bob.next("welcome");
    let mut refused = server.client("alice", &["--no-cache"]);
    assert_eq!(refused.wait(), Some(4), "{}", refused.output());
    alice.type_line("one");
    alice.type_line("two");
    bob.next_where("message", |event| event["text"] == "two");
    bob.type_line("three");
    alice.next_where("message", |event| event["text"] == "three");
    // Another protocol; a damaged datagram; an unknown session.
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut unknown = Vec::new();
    let mut writer = DatagramWriter::new(&mut unknown);
    writer.push(&Frame::Heartbeat);
    writer.finish(&Header { session: 1, ..Header::default() });
    let mut damaged = unknown.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bytes in [&b"hello"[..], &[], &damaged, &damaged, &damaged, &unknown] {
        stranger.send_to(bytes, server.address).unwrap();
    }
    let dropped = ["alien", "version", "corrupt", "malformed", "unknown_session", "receive_buffer"];
    let page = until(metrics, "six useless datagrams", |page| {
        dropped.map(|reason| page.dropped(reason)) == [2, 0, 3, 0, 1, 0]
    });
    page.follows(&first);
    assert_eq!(page.get("peers{transport=\"udp\"}"), 1);
    assert_eq!(page.get("peers{transport=\"tcp\"}"), 1);
    assert_eq!((page.get("sessions"), page.get("joins_total")), (2, 2));
    assert_eq!((page.get("lines_total"), page.get("history_failing")), (3, 0));
    assert_eq!(page.get("refusals_total{reason=\"name_taken\"}"), 1);
    assert_eq!(page.get("refusals_total{reason=\"room_full\"}"), 0);
    // Each of two joins over UDP is challenged at least once: a slow machine repeats a join.
    assert!(page.get("challenges_total") >= 2, "{page:#?}");
    for series in ["datagrams_received_total", "datagrams_sent_total"] {
        assert!(page.get(series) > first.get(series), "{page:#?}");
    }
    for series in ["received_bytes_total", "sent_bytes_total"] {
        for transport in ["udp", "tcp"] {
            assert!(page.get(&format!("{series}{{transport=\"{transport}\"}}")) > 0, "{page:#?}");
        }
    }

    // The counters of peers that have left remain.
    assert_eq!(alice.leave(), Some(0));
    assert_eq!(bob.leave(), Some(0));
    let last = until(metrics, "an empty room", |page| page.get("sessions") == 0);
    last.follows(&page);
    assert_eq!(last.get("peers{transport=\"udp\"}") + last.get("peers{transport=\"tcp\"}"), 0);
    assert!(last.get("sent_bytes_total{transport=\"tcp\"}") > 0);
}

fn lines_in_the_history_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("history.jsonl");
    let (server, metrics) = start(&["--history", file.to_str().unwrap()]);
    let mut alice = server.join("alice");
    for n in 0..7 {
        alice.type_line(&format!("line {n}"));
    }
    // The server counts a line before it writes the line to the history.
    let page = until(metrics, "seven lines", |page| page.get("history_lines_total") == 7);
    assert_eq!((page.get("lines_total"), page.get("history_failing")), (7, 0));
}

/// Requests at the address of the metrics do not affect the room.
fn hostile_requests_do_not_affect_the_room() {
    let (server, metrics) = start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    let mut said = 0;
    let mut talk = |what: &str| {
        said += 1;
        let text = format!("{what} {said}");
        alice.type_line(&text);
        bob.next_where("message", |event| event["text"] == text.as_str());
    };

    // Clients that send nothing, or part of a request. The newest is always served.
    let mut slow: Vec<TcpStream> = (0..200).map(|_| connect(metrics)).collect();
    for stream in &mut slow {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ");
    }
    talk("slow");
    Page::scrape(metrics);
    // The server keeps eight connections and closes the oldest for a newer one.
    let open = |stream: &mut TcpStream| {
        stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        let outcome = stream.read(&mut [0; 1]);
        outcome.is_err_and(|error| {
            matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut)
        })
    };
    let left = slow.iter_mut().map(open).filter(|open| *open).count();
    assert!(left < 8, "{left} of 200 are still open");
    // It closes the remaining ones after a timeout.
    let mut waiting = connect(metrics);
    waiting.write_all(b"GET /metrics HTTP/1.1\r\n").unwrap();
    assert_eq!(waiting.read(&mut [0; 1]).unwrap(), 0, "closed without an answer");
    talk("after the slow");

    // The server answers an endless request at its bound and closes the connection.
    let mut endless = connect(metrics);
    let block = [b'x'; 65_536];
    let outcome = (0..1_000).try_for_each(|_| endless.write_all(&block));
    assert!(outcome.is_err(), "64 MB were taken");
    talk("endless");

    // The server answers the first of several requests on a connection and closes it.
    let get = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let (status, body) = ask(metrics, &get.repeat(20));
    assert_eq!(status, 200);
    Page::read(&body);
    for (request, wanted) in [
        (&b"GET / HTTP/1.0\r\n\r\n"[..], 404),
        (b"POST /metrics HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"\r\nx\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
    ] {
        assert_eq!(ask(metrics, request).0, wanted, "{request:?}");
    }
    talk("odd");

    // Clients that send a request and never read the answer.
    let mut deaf: Vec<TcpStream> = (0..50).map(|_| connect(metrics)).collect();
    for stream in &mut deaf {
        let _ = stream.write_all(get);
        let _ = stream.shutdown(Shutdown::Write);
    }
    talk("deaf");
    Page::scrape(metrics);
    talk("the end");
    assert_eq!(alice.leave(), Some(0));
    assert_eq!(bob.leave(), Some(0));
}

/// A page in a browser can have its own host name resolve to this server (DNS rebinding).
fn metrics_require_a_host_name_of_this_server_in_any_form_of_request() {
    let (_server, metrics) = start(&["--metrics-host", "chat.example,other.example"]);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let named = |name: &str| format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n");
    for (request, wanted) in [
        (named("rebind.evil.example"), 421),
        (named("localhost.evil.example"), 421),
        (named(&metrics.to_string()), 200),
        (named("other.example:80"), 200),
        (named(&host), 200),
        (format!("GET http://{metrics}/metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 200),
        (format!("GET http://evil.example/metrics HTTP/1.1\r\nHost: {metrics}\r\n\r\n"), 421),
    ] {
        assert_eq!(ask(metrics, request.as_bytes()).0, wanted, "{request:?}");
    }
    let mut stream = connect(metrics);
    stream.write_all(b"HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
}

/// No event reports that descriptors are available again; waiting clients are served all the same.
#[cfg(target_os = "linux")]
fn waiting_clients_are_served_when_descriptors_are_free_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut shell = std::process::Command::new("/bin/sh");
    let program = env!("CARGO_BIN_EXE_chatagram");
    shell.args(["-c", "ulimit -n 32; exec \"$0\" \"$@\"", program]);
    let args = ["server", "--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--no-history"];
    let mut server = Program::start_by(shell, dir.path(), &[&args[..], &["-q"]].concat());
    let mut after = |start: &str| -> SocketAddr {
        let line = server.line(start, |line| line.starts_with(start));
        line[start.len()..].trim_end_matches("/metrics").parse().unwrap()
    };
    let (room, metrics) = (after("listening on "), after("metrics at http://"));
    let taken: Vec<TcpStream> = (0..60).map(|_| connect(room)).collect();
    server.line("message in the log", |line| line.contains("cannot accept a connection"));
    // More than the server serves at once.
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| connect(metrics)).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    }
    drop(taken);
    for stream in &mut waiting {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

fn a_public_metrics_address_is_warned_of_and_one_in_use_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let server = ["server", "--bind", "127.0.0.1:0", "--metrics"];
    let mut open = Program::start(dir.path(), &[&server[..], &["0.0.0.0:0"]].concat());
    let line = open.line("metrics", |line| line.starts_with("metrics at http://"));
    let warning = "[WARN] every program that reaches 0.0.0.0:";
    if !open.output().contains(warning) {
        open.line("a warning", |line| line.contains(warning));
    }
    let port = line.rsplit_once(':').unwrap().1.strip_suffix("/metrics").unwrap();
    let taken = format!("127.0.0.1:{port}");
    let mut second = Program::start(dir.path(), &[&server[..], &[&taken]].concat());
    assert_eq!(second.wait(), Some(1), "{}", second.output());
    assert!(second.output().contains("another program has this port"), "{}", second.output());
    let mut wrong = Program::start(dir.path(), &[&server[..], &["nowhere"]].concat());
    assert_eq!(wrong.wait(), Some(2), "{}", wrong.output());
}

/// Sends a signal, and waits until the process is stopped or runs again.
#[cfg(target_os = "linux")]
fn signal(program: &Program, name: &str) {
    program.signal(name);
    let begun = Instant::now();
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.id())).unwrap();
        let stopped = stat.rsplit_once(") ").unwrap().1.starts_with('T');
        if stopped == (name == "STOP") {
            return;
        }
        assert!(begun.elapsed() < DEADLINE, "{stat}");
    }
}

/// Datagrams of a burst that a stopped server cannot read: the counter has exactly those that the
/// kernel dropped, and no loss of the network.
#[cfg(target_os = "linux")]
fn datagrams_dropped_by_a_full_receive_buffer_are_counted_exactly() {
    let (mut server, metrics) = start(&[]);
    let mut alice = server.join("alice");
    let mut bob = server.join("bob");
    alice.type_line("before");
    bob.next_where("message", |event| event["text"] == "before");
    // The clients are stopped and send nothing: every missing datagram is of the burst.
    signal(&alice, "STOP");
    signal(&bob, "STOP");
    let quiet = Page::scrape(metrics);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    signal(&server.program, "STOP");
    let mut sent: u64 = 40_000;
    for _ in 0..sent {
        stranger.send_to(&[0; 64], server.address).unwrap();
    }
    signal(&server.program, "CONT");
    // The kernel reports the last drops with the next datagram that fits.
    let start = Instant::now();
    let page = loop {
        stranger.send_to(&[0; 64], server.address).unwrap();
        sent += 1;
        let page = Page::scrape(metrics);
        let read = page.get("datagrams_received_total") - quiet.get("datagrams_received_total");
        let unread = page.dropped("receive_buffer");
        assert!(read + unread <= sent, "{read} and {unread} of {sent}");
        if read + unread == sent {
            assert!(unread > 0 && read > 1_000, "{read} and {unread} of {sent}");
            println!("{sent} sent: {read} received, {unread} dropped by the kernel");
            break page;
        }
        assert!(start.elapsed() < DEADLINE, "{read} and {unread} of {sent}");
    };
    assert_eq!(page.dropped("alien") + page.dropped("receive_buffer"), sent);
    let lost = ["datagrams_lost_total", "datagrams_missing"];
    assert_eq!(lost.map(|it| page.get(it)), lost.map(|it| quiet.get(it)), "losses of the network");
    let line = server.program.line("a warning", |line| line.contains("receive buffer was full"));
    assert!(
        line.contains("by this machine's kernel") && line.contains("chatagram doctor"),
        "{line}"
    );

    // `watch` shows both counts.
    signal(&alice, "CONT");
    signal(&bob, "CONT");
    let unread = page.dropped("receive_buffer");
    let address = server.address.to_string();
    let args = ["watch", &address, "--interval", "100ms", "--output", "json"];
    let mut watch = Program::start(server.dir.path(), &args);
    let event = watch.next_where("who", |event| event["server"].is_object());
    assert_eq!(event["server"]["unread"], unread, "{event}");
    assert_eq!(event["server"]["alien"], page.dropped("alien"), "{event}");
    let mut table = Program::start(server.dir.path(), &args[..4]);
    let wanted = format!("{unread} dropped unread");
    table
        .line("the server's line", |line| line.starts_with("* server: ") && line.contains(&wanted));
    alice.type_line("after");
    bob.next_where("message", |event| event["text"] == "after");
}

/// The client's counter is apart from its losses as well.
#[cfg(target_os = "linux")]
fn a_client_counts_drops_of_its_own_receive_buffer() {
    let (server, _) = start(&[]);
    let mut alice = server.join("alice");
    let port = udp_port(alice.id());
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    signal(&alice, "STOP");
    for _ in 0..40_000 {
        stranger.send_to(&[0; 64], ("127.0.0.1", port)).unwrap();
    }
    signal(&alice, "CONT");
    let start = Instant::now();
    loop {
        stranger.send_to(&[0; 64], ("127.0.0.1", port)).unwrap();
        alice.type_line("/stats");
        let stats = alice.next("stats");
        let unread = stats["received"]["receive_buffer_full"].as_u64().unwrap();
        if unread > 0 {
            assert_eq!(stats["received"]["corrupt"], 0, "{stats}");
            break;
        }
        assert!(start.elapsed() < DEADLINE, "{stats}");
    }
}

/// The port of a process's only UDP socket.
#[cfg(target_os = "linux")]
fn udp_port(process: u32) -> u16 {
    let sockets: BTreeSet<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .filter_map(|link| {
            let name = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(name.to_owned())
        })
        .collect();
    let table = ["udp", "udp6"].map(|it| std::fs::read_to_string(format!("/proc/net/{it}")));
    let table = table.map(Result::unwrap_or_default).concat();
    let row = table
        .lines()
        .find(|row| row.split_whitespace().nth(9).is_some_and(|inode| sockets.contains(inode)));
    let local = row.expect(&table).split_whitespace().nth(1).unwrap();
    u16::from_str_radix(local.rsplit_once(':').unwrap().1, 16).unwrap()
}

tests! {
    a_scrape_has_every_series_and_no_counter_decreases,
    lines_in_the_history_are_counted,
    hostile_requests_do_not_affect_the_room,
    metrics_require_a_host_name_of_this_server_in_any_form_of_request,
    #[cfg(target_os = "linux")]
    waiting_clients_are_served_when_descriptors_are_free_again,
    a_public_metrics_address_is_warned_of_and_one_in_use_is_an_error,
    #[cfg(target_os = "linux")]
    datagrams_dropped_by_a_full_receive_buffer_are_counted_exactly,
    #[cfg(target_os = "linux")]
    a_client_counts_drops_of_its_own_receive_buffer,
}
