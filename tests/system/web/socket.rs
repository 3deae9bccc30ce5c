//! A WebSocket client that shares no code with the server, and a bridge with which a client of the
//! program joins through the page's WebSocket.

use crate::program::DEADLINE;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The status and the head of an answer, and the connection after it.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) stream: TcpStream,
}

/// Sends the head of a request, and reads that of the answer.
pub(super) fn ask(to: SocketAddr, line: &str, fields: &[&str]) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n")).as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "no answer to {line} {fields:?}");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head["HTTP/1.1 ".len()..][..3].parse().unwrap();
    Answer { status, head, stream }
}

/// A frame from the server.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// The code.
    Close(u16),
    /// The connection ended without a closing frame.
    End,
}

/// The client's end of a WebSocket.
pub(super) struct Socket {
    stream: TcpStream,
}

impl Socket {
    /// Opens a WebSocket as a page of the server does.
    pub(super) fn open(to: SocketAddr, path: &str) -> Self {
        let host = format!("Host: {to}");
        let origin = format!("Origin: http://{to}");
        let answer = ask(
            to,
            &format!("GET {path} HTTP/1.1"),
            &[
                &host,
                &origin,
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                "Sec-WebSocket-Version: 13",
            ],
        );
        assert_eq!(answer.status, 101, "{}", answer.head);
        // SHA-1 of that key and the GUID of RFC 6455, by sha1sum(1) and base64(1).
        assert!(answer.head.contains("Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n"));
        Self { stream: answer.stream }
    }

    pub(super) fn half(&self) -> Self {
        Self { stream: self.stream.try_clone().unwrap() }
    }

    /// Sends a frame with this first byte.
    pub(super) fn send(&mut self, first: u8, payload: &[u8]) -> std::io::Result<()> {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        let mask = [0x11, 0x22, 0x33, 0x44];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame)
    }

    pub(super) fn say(&mut self, command: &Value) {
        self.send(0x81, command.to_string().as_bytes()).unwrap();
    }

    /// The next frame.
    pub(super) fn next(&mut self) -> Frame {
        let mut head = [0; 2];
        if self.stream.read_exact(&mut head).is_err() {
            return Frame::End;
        }
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let mut length = [0; 8];
        let bytes = match head[1] {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        self.stream.read_exact(&mut length[8 - bytes..]).unwrap();
        let length = if bytes == 0 { head[1].into() } else { u64::from_be_bytes(length) };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).unwrap();
        match head[0] {
            0x81 => Frame::Text(String::from_utf8(payload).unwrap()),
            0x82 => Frame::Binary(payload),
            0x8A => Frame::Pong(payload),
            0x88 => Frame::Close(u16::from_be_bytes(payload[..2].try_into().unwrap())),
            other => panic!("a frame of kind {other:#x}"),
        }
    }

    /// The next message of this type.
    pub(super) fn hear(&mut self, kind: &str) -> Value {
        self.hear_where(kind, |_| true)
    }

    /// The next message of this type that is wanted.
    pub(super) fn hear_where(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = std::time::Instant::now();
        loop {
            let frame = self.next();
            let Frame::Text(text) = frame else { panic!("{frame:?} instead of {kind}") };
            let message: Value = serde_json::from_str(&text).unwrap();
            if message["type"] == kind && wanted(&message) {
                return message;
            }
            assert!(begun.elapsed() < DEADLINE, "no {kind}: {message}");
        }
    }

    /// The code of the closing frame that the server sends, after any other frames.
    pub(super) fn closing(&mut self) -> u16 {
        loop {
            match self.next() {
                Frame::Close(code) => return code,
                Frame::End => panic!("no closing frame"),
                _ => {}
            }
        }
    }
}

/// A TCP address whose connections are WebSockets of the page.
pub(super) fn bridge(web: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            if TcpStream::connect(web).is_ok() {
                carry(stream, Socket::open(web, "/chat"));
            }
        }
    });
    address
}

/// Carries bytes both ways, in pieces of odd lengths.
fn carry(stream: TcpStream, mut up: Socket) {
    let (mut from, mut to) = (stream.try_clone().unwrap(), stream);
    let mut down = up.half();
    down.stream.set_read_timeout(None).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 333];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let (one, two) = buffer[..count].split_at(count / 3);
            // One message in two frames.
            if up.send(0x02, one).and_then(|()| up.send(0x80, two)).is_err() {
                break;
            }
        }
        let _ = up.send(0x88, &1_000_u16.to_be_bytes());
    });
    thread::spawn(move || {
        while let Frame::Binary(bytes) = down.next() {
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}
