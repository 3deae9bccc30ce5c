//! A peer over QUIC (`proto.md` §11.3): its handshake, its join on the stream, and its lines, on
//! the stream or beside it.

use crate::joining::heartbeat;
use crate::peers::{count, here};
use crate::{Counter, TEXT};
use chatagram::link::Congestion;
use chatagram::net::quic::{Event, Input, Quic, Settings};
use chatagram::net::{Incoming, Socket};
use chatagram::protocol::{
    Delivery, Flags, Frame, Join, Piece, Preface, StreamReader, write_record,
};
use chatagram::time::Timestamp;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The server's idle timeout is shorter, and counts (RFC 9000 §10.1).
const IDLE: Duration = Duration::from_secs(60);
/// Bytes of a record before its frame.
const RECORD_HEAD: usize = 2;
/// Bytes of a `Once` frame before a message of fewer than 251 bytes.
const ONCE_HEAD: usize = 2;

pub(crate) struct QuicPeer {
    pub(crate) socket: Socket,
    quic: Quic,
    server: SocketAddr,
    nickname: String,
    nonce: u64,
    delivery: Delivery,
    /// The connection, once it is open.
    open: Option<u64>,
    readable: bool,
    reader: StreamReader,
    /// Records for the stream, and whether QUIC took the last ones.
    out: Vec<u8>,
    stream_taken: bool,
    /// Lines beside the stream, as frames, and whether QUIC took the last one.
    lines: VecDeque<Vec<u8>>,
    line_taken: bool,
    /// Exists from `Welcome` on.
    heartbeat: Option<Duration>,
    sent: Timestamp,
    bytes: Vec<u8>,
}

impl QuicPeer {
    pub(crate) fn new(
        socket: Socket,
        server: SocketAddr,
        index: usize,
        delivery: Delivery,
        now: Timestamp,
    ) -> io::Result<Self> {
        let settings = Settings { idle: IDLE, congestion: Congestion::default() };
        let mut quic = Quic::client(settings, now).map_err(io::Error::other)?;
        quic.connect(server, now).map_err(io::Error::other)?;
        Ok(Self {
            socket,
            quic,
            server,
            nickname: format!("u{index}"),
            nonce: index as u64 + 1,
            delivery,
            open: None,
            readable: false,
            reader: StreamReader::default(),
            out: Vec::new(),
            stream_taken: true,
            lines: VecDeque::new(),
            line_taken: true,
            heartbeat: None,
            sent: now,
            bytes: Vec::new(),
        })
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.heartbeat.is_some()
    }

    pub(crate) fn may_lose(&self) -> bool {
        self.delivery == Delivery::Unreliable
    }

    pub(crate) fn takes_more(&self) -> bool {
        self.out.len() + self.lines.len() * TEXT < 16 * 1_024
    }

    /// Queues a line.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        let line = Frame::Once { payload };
        if self.delivery == Delivery::ReliableOrdered {
            write_record(&line, &mut self.out);
        } else {
            let mut record = Vec::new();
            write_record(&line, &mut record);
            self.lines.push_back(record.split_off(RECORD_HEAD));
        }
    }

    /// Gives QUIC what is queued, and sends its packets.
    pub(crate) fn flush(&mut self, now: Timestamp) {
        if let Some(id) = self.open {
            if self.stream_taken && !self.out.is_empty() {
                self.stream_taken = self.quic.write(id, &self.out);
                self.out.clear();
                self.sent = now;
            }
            while self.line_taken
                && let Some(line) = self.lines.pop_front()
            {
                self.line_taken = self.quic.send_message(id, self.delivery, &line);
            }
        }
        while let Some(path) = self.quic.poll_transmit(&mut self.bytes, now) {
            self.socket.send(&self.bytes, path);
        }
    }

    /// Reads everything that has arrived. False once the server has closed the connection.
    pub(crate) fn receive(
        &mut self,
        incoming: &mut Incoming,
        now: Timestamp,
        members: &mut usize,
        counter: &mut Counter,
    ) -> io::Result<bool> {
        while let Some((path, bytes)) = self.socket.receive(incoming)? {
            self.quic.handle_datagram(path, bytes, now);
        }
        self.settle(now, members, counter)
    }

    /// Handles the events of QUIC.
    fn settle(
        &mut self,
        now: Timestamp,
        members: &mut usize,
        counter: &mut Counter,
    ) -> io::Result<bool> {
        loop {
            match self.quic.poll_event() {
                Some(Event::Connected(id)) => self.join(id),
                Some(Event::Readable(_)) => self.readable = true,
                Some(Event::Written(_)) => self.stream_taken = true,
                Some(Event::MessageTaken(_)) => self.line_taken = true,
                // A crowd exceeds what the server keeps of clients not yet in (`MAX_UNJOINED`).
                Some(Event::Failed(..)) if !self.has_joined() => self.connect(now)?,
                Some(Event::Failed(_, why)) => return Err(io::Error::other(why.to_string())),
                Some(_) => {}
                None => {
                    let Some(id) = self.open.filter(|_| self.readable) else { return Ok(true) };
                    match self.quic.read(id, &mut self.bytes, now) {
                        Input::Bytes => self.take(members, counter)?,
                        Input::Message => {
                            count(self.bytes.get(ONCE_HEAD..).unwrap_or_default(), counter);
                        }
                        Input::Nothing => self.readable = false,
                        Input::End if !self.has_joined() => self.connect(now)?,
                        Input::End => return Ok(false),
                    }
                }
            }
        }
    }

    /// Begins another handshake.
    fn connect(&mut self, now: Timestamp) -> io::Result<()> {
        (self.open, self.readable, self.stream_taken) = (None, false, true);
        self.reader = StreamReader::default();
        self.out.clear();
        self.quic.connect(self.server, now).map_err(io::Error::other)?;
        Ok(())
    }

    fn join(&mut self, id: u64) {
        self.open = Some(id);
        self.out.extend(Preface { flags: Flags::default(), session: 0 }.encode());
        let join = Frame::Join(Join {
            nonce: self.nonce,
            nickname: &self.nickname,
            delivery: self.delivery,
            ..Join::default()
        });
        write_record(&join, &mut self.out);
    }

    /// Reads records from the stream.
    fn take(&mut self, members: &mut usize, counter: &mut Counter) -> io::Result<()> {
        let mut rest = &self.bytes[..];
        while let Some(piece) = self.reader.next(&mut rest).map_err(io::Error::other)? {
            let Piece::Frame(frame) = piece else { continue };
            match frame {
                Frame::Refused { detail, .. } => return Err(io::Error::other(detail.to_owned())),
                Frame::Once { payload } => {
                    self.heartbeat = self.heartbeat.or_else(|| heartbeat(frame));
                    *members = here(payload).unwrap_or(*members);
                    count(payload, counter);
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn handle_timeout(&mut self, now: Timestamp) -> io::Result<()> {
        self.quic.handle_timeout(now);
        // All other events of a handshake need a datagram.
        if self.open.is_none() && matches!(self.quic.poll_event(), Some(Event::Failed(..))) {
            self.connect(now)?;
        }
        if self.heartbeat.is_some_and(|it| self.sent + it <= now) {
            write_record(&Frame::Heartbeat, &mut self.out);
        }
        Ok(())
    }

    pub(crate) fn due(&self) -> Option<Timestamp> {
        let heartbeat = self.heartbeat.map(|it| self.sent + it);
        self.quic.poll_timeout().into_iter().chain(heartbeat).min()
    }
}
