//! A Chatagram client. Usage: client HOST:PORT NICK
//!
//! The places marked STEP are yours: README.md has the steps. § is a section of proto.md.

mod codec;

use codec::Header;
use std::io::BufRead;
use std::net::UdpSocket;
use std::sync::mpsc::{channel, Sender};
use std::time::{Duration, Instant};

/// Is told what happens, and answers with datagrams.
struct Client {
    socket: UdpSocket,
    nick: String,
    /// The id of the session; 0 before it begins.
    session: u64,
}

impl Client {
    /// Sends a datagram with these frames.
    fn send(&mut self, frames: &[u8]) {
        let header = Header { session: self.session, ..Header::default() };
        // STEP 4 (§I.3, §I.6): in a session, fill in sequence, acknowledgment, ack_bitmap, and the
        // flag codec::ACK.
        // STEP 5 (§I.7): and window.
        // An error of the socket proves nothing (§I.3).
        let _ = self.socket.send(&codec::encode(&header, frames));
    }

    /// The program has started.
    fn on_start(&mut self, _now: Instant) {
        // STEP 2 (§I.5): send Join in place of this datagram without frames.
        self.send(&[]);
    }

    /// A datagram of the server arrived. Its header is right.
    fn on_datagram(&mut self, _header: &Header, _frames: &[u8], _now: Instant) {
        // STEP 3 (§I.5): before the session, answer Challenge, and show Refused.
        // STEP 4 (§I.5, §I.6): Welcome begins the session. Acknowledge each datagram of it.
        // STEP 5 (§I.7): show the messages in Ordered and Unordered, in order, each once.
        // STEP 6 (§I.7): join the messages that arrive in Part.
        // STEP 7 (§I.3, §I.9): drop what is not whole; Closing.
        // STEP 9 (§I.8): note which of your datagrams the header acknowledges.
        // STEP 10 (§I.9): Reset.
    }

    /// The user typed a line.
    fn on_line(&mut self, _line: &str) {
        // STEP 8 (§I.8): say it.
    }

    /// The user typed `exit`, or the input ended.
    fn on_end(&mut self) {
        // STEP 10 (§I.10): leave.
    }

    /// Called every 20 ms: for all that is due at a time.
    fn on_tick(&mut self, _now: Instant) {
        // STEP 2 (§I.5): in place of this end, send Join again, and give up in time.
        show(&format!("* step 2 is yours, {}: see README.md", self.nick));
        std::process::exit(3);
        // STEP 7 (§I.9): Heartbeat; and notice that the server is gone.
        // STEP 8 (§I.8): send the next message.
        // STEP 9 (§I.8): send it again.
    }
}

/// Prints a line. `println!` flushes at its end.
fn show(text: &str) {
    // STEP 6 (§I.7): clean the text first.
    println!("{text}");
}

fn main() -> std::io::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, nick] = &arguments[..] else {
        eprintln!("usage: client HOST:PORT NICK");
        std::process::exit(2);
    };
    let any = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(any)?;
    // The kernel drops datagrams of other senders.
    socket.connect(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(20)))?;
    let (sender, lines) = channel();
    std::thread::spawn(move || read_lines(&sender));
    let mut client = Client { socket, nick: nick.clone(), session: 0 };
    client.on_start(Instant::now());
    loop {
        let mut data = [0; 2048];
        // An error is the timeout, or about an earlier datagram.
        if let Ok(size) = client.socket.recv(&mut data) {
            if let Some((header, frames)) = codec::decode(&data[..size]) {
                if header.flags & codec::FROM_SERVER != 0 {
                    client.on_datagram(&header, frames, Instant::now());
                }
            }
        }
        while let Ok(line) = lines.try_recv() {
            match line {
                Some(line) => client.on_line(&line),
                None => client.on_end(),
            }
        }
        client.on_tick(Instant::now());
    }
}

/// Sends the lines of the input; None is the end.
fn read_lines(lines: &Sender<Option<String>>) {
    for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
        let _ = lines.send((line != "exit").then_some(line));
    }
    let _ = lines.send(None);
}
