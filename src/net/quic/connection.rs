//! One connection: its stream, the messages beside it, and what waits to be written.

use super::proof::failure;
use super::tls::NO_ERROR;
use super::{Event, Failure, Input};
use crate::link::{Congestion, QuicInfo};
use crate::net::READ_LEN;
use crate::path::Path;
use crate::protocol::Delivery;
use crate::protocol::limits::MAX_RECORD;
use crate::ticket::{Prover, Secret};
use crate::time::Timestamp;
use quinn_proto::{
    ConnectionHandle, Dir, Event as QuinnEvent, ReadError, StreamEvent, StreamId, WriteError,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The handshake has until then.
    Handshake(Timestamp),
    Open,
    /// The bytes that were written have until then to arrive.
    Closing(Timestamp),
    /// The caller has forgotten it. It answers late packets for a while (RFC 9000 §10.2).
    Gone,
}

pub(super) struct Connection {
    pub(super) inner: quinn_proto::Connection,
    pub(super) handle: ConnectionHandle,
    /// The path of the newest packet.
    pub(super) path: Path,
    pub(super) stage: Stage,
    /// quinn-proto's endpoint has forgotten it.
    pub(super) drained: bool,
    /// When its timer is set for.
    pub(super) timer: Option<Timestamp>,
    /// It is in the queue of those that may have something to send.
    pub(super) queued: bool,
    /// No packet comes any more.
    lost: bool,
    /// In a private room, until the connection is open: the secret.
    pub(super) secret: Option<Secret>,
    /// What has arrived of the other end's proof of it.
    pub(super) proof: Vec<u8>,
    /// The stream of everything ordered.
    pub(super) stream: Option<StreamId>,
    /// Its bytes that were not taken.
    unsent: Vec<u8>,
    finished: bool,
    /// The end was reported.
    ended: bool,
    /// A message that was not taken, and its stream once it has one.
    message: Option<(Vec<u8>, Option<StreamId>)>,
    /// Streams with messages, and what has arrived of each.
    incoming: BTreeMap<StreamId, Vec<u8>>,
    /// Times a message for a QUIC datagram pushed older ones out of the full buffer.
    left_out: u64,
    /// Those to read, in order of arrival.
    ready: VecDeque<StreamId>,
}

impl Connection {
    pub(super) fn new(
        inner: quinn_proto::Connection,
        handle: ConnectionHandle,
        path: Path,
        secret: Option<Secret>,
        deadline: Timestamp,
    ) -> Self {
        Self {
            inner,
            handle,
            path,
            stage: Stage::Handshake(deadline),
            drained: false,
            timer: None,
            queued: false,
            lost: false,
            secret,
            proof: Vec::new(),
            stream: None,
            unsent: Vec::new(),
            finished: false,
            ended: false,
            message: None,
            left_out: 0,
            incoming: BTreeMap::new(),
            ready: VecDeque::new(),
        }
    }

    /// Takes in what quinn-proto reports, and reports it for `id`.
    pub(super) fn handle_events(&mut self, id: u64, now: Instant, events: &mut VecDeque<Event>) {
        while let Some(event) = self.inner.poll() {
            match event {
                QuinnEvent::Connected => {
                    if self.inner.side().is_client() {
                        self.stream = self.inner.streams().open(Dir::Bi);
                    }
                    match &self.secret {
                        None => self.open(id, events),
                        Some(_) if self.inner.side().is_client() => self.prove(Prover::Client),
                        Some(_) => {}
                    }
                }
                QuinnEvent::ConnectionLost { reason } => {
                    self.lost = true;
                    match self.stage {
                        Stage::Handshake(_) => {
                            self.stage = Stage::Gone;
                            events.push_back(Event::Failed(id, failure(&reason)));
                        }
                        Stage::Open => {
                            // A private room, and this client without a ticket.
                            let why = Some(failure(&reason)).filter(|it| *it == Failure::Refused);
                            events.extend(why.map(|why| Event::Failed(id, why)));
                            events.push_back(Event::Readable(id));
                        }
                        Stage::Closing(_) => self.stage = Stage::Gone,
                        Stage::Gone => {}
                    }
                }
                QuinnEvent::Stream(event) => self.handle_stream_event(event, id, now, events),
                QuinnEvent::DatagramReceived if self.is_unproven_client() => self.violate(now),
                QuinnEvent::DatagramReceived => self.tell_readable(id, events),
                QuinnEvent::HandshakeDataReady | QuinnEvent::DatagramsUnblocked => {}
            }
        }
        self.close_if_done(now);
    }

    fn handle_stream_event(
        &mut self,
        event: StreamEvent,
        id: u64,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) {
        match event {
            StreamEvent::Opened { dir: Dir::Bi } => {
                self.stream = self.stream.or(self.inner.streams().accept(Dir::Bi));
                self.tell_readable(id, events);
            }
            StreamEvent::Opened { dir: Dir::Uni } if self.is_unproven_client() => self.violate(now),
            StreamEvent::Opened { dir: Dir::Uni } => {
                while let Some(stream) = self.inner.streams().accept(Dir::Uni) {
                    self.incoming.insert(stream, Vec::new());
                    self.ready.push_back(stream);
                }
                self.tell_readable(id, events);
            }
            StreamEvent::Readable { id: stream } => {
                if self.incoming.contains_key(&stream) && !self.ready.contains(&stream) {
                    self.ready.push_back(stream);
                }
                self.tell_readable(id, events);
            }
            StreamEvent::Writable { id: stream } if self.stream == Some(stream) => {
                if !self.unsent.is_empty() && self.flush() {
                    events.push_back(Event::Written(id));
                }
            }
            StreamEvent::Writable { .. } | StreamEvent::Available { dir: Dir::Uni } => {
                if self.message.is_some() && self.flush_message() {
                    events.push_back(Event::MessageTaken(id));
                }
            }
            // No end of this protocol refuses a stream.
            StreamEvent::Stopped { .. } => self.violate(now),
            StreamEvent::Finished { .. } | StreamEvent::Available { dir: Dir::Bi } => {}
        }
    }

    fn tell_readable(&self, id: u64, events: &mut VecDeque<Event>) {
        if self.stage == Stage::Open && events.back() != Some(&Event::Readable(id)) {
            events.push_back(Event::Readable(id));
        }
    }

    /// Whether the caller has no more use for it and quinn-proto has none either.
    pub(super) fn is_over(&self) -> bool {
        self.drained && self.stage == Stage::Gone
    }

    /// Reads the next message, or else the next bytes of the stream.
    pub(super) fn read(&mut self, buffer: &mut Vec<u8>, now: Instant) -> Input {
        buffer.clear();
        if self.ended {
            return Input::Nothing;
        }
        if let Some(datagram) = self.inner.datagrams().recv() {
            buffer.extend_from_slice(&datagram);
            return Input::Message;
        }
        while let Some(stream) = self.ready.pop_front() {
            match self.read_message(stream) {
                Ok(Some(message)) => {
                    *buffer = message;
                    return Input::Message;
                }
                Ok(None) => {}
                Err(TooLong) => {
                    self.violate(now);
                    self.lost = true;
                }
            }
        }
        let input = self.read_stream(buffer);
        self.ended = input == Input::End;
        input
    }

    fn read_stream(&mut self, buffer: &mut Vec<u8>) -> Input {
        let nothing = if self.lost { Input::End } else { Input::Nothing };
        let Some(stream) = self.stream else { return nothing };
        let mut stream = self.inner.recv_stream(stream);
        let Ok(mut chunks) = stream.read(true) else { return nothing };
        match chunks.next(READ_LEN) {
            Ok(Some(chunk)) => {
                buffer.extend_from_slice(&chunk.bytes);
                Input::Bytes
            }
            Ok(None) | Err(ReadError::Reset(_)) => Input::End,
            Err(ReadError::Blocked) => nothing,
        }
    }

    /// A message, if all of its stream has arrived.
    fn read_message(&mut self, id: StreamId) -> Result<Option<Vec<u8>>, TooLong> {
        let Some(message) = self.incoming.get_mut(&id) else { return Ok(None) };
        let mut stream = self.inner.recv_stream(id);
        let Ok(mut chunks) = stream.read(true) else {
            self.incoming.remove(&id);
            return Ok(None);
        };
        loop {
            match chunks.next(MAX_RECORD + 1) {
                Ok(Some(chunk)) => message.extend_from_slice(&chunk.bytes),
                Ok(None) => return Ok(self.incoming.remove(&id)),
                Err(ReadError::Blocked) => return Ok(None),
                Err(ReadError::Reset(_)) => {
                    self.incoming.remove(&id);
                    return Ok(None);
                }
            }
            if message.len() > MAX_RECORD {
                return Err(TooLong);
            }
        }
    }

    /// Writes bytes to the stream. True if all were taken.
    pub(super) fn write(&mut self, bytes: &[u8]) -> bool {
        self.unsent.extend_from_slice(bytes);
        self.flush()
    }

    fn flush(&mut self) -> bool {
        let Some(stream) = self.stream.filter(|_| !self.lost) else {
            self.unsent.clear(); // no end reads it
            return true;
        };
        let mut written = 0;
        let whole = loop {
            if written == self.unsent.len() {
                break true;
            }
            match self.inner.send_stream(stream).write(&self.unsent[written..]) {
                Ok(more) => written += more,
                Err(WriteError::Blocked) => break false,
                Err(_) => written = self.unsent.len(),
            }
        };
        self.unsent.drain(..written);
        whole
    }

    /// Sends a message beside the stream. True if it was taken.
    pub(super) fn send_message(&mut self, delivery: Delivery, message: &[u8]) -> bool {
        let mut datagrams = self.inner.datagrams();
        if delivery == Delivery::Unreliable
            && datagrams.max_size().is_some_and(|most| message.len() <= most)
        {
            // Where congestion lets fewer leave than are said, the newest count.
            self.left_out += u64::from(datagrams.send_buffer_space() < message.len());
            let _ = datagrams.send(message.to_vec().into(), true);
            return true;
        }
        self.message = Some((message.to_vec(), None));
        self.flush_message()
    }

    fn flush_message(&mut self) -> bool {
        let Some((mut bytes, stream)) = self.message.take().filter(|_| !self.lost) else {
            return true;
        };
        let Some(id) = stream.or_else(|| self.inner.streams().open(Dir::Uni)) else {
            self.message = Some((bytes, None));
            return false;
        };
        let mut stream = self.inner.send_stream(id);
        while !bytes.is_empty() {
            match stream.write(&bytes) {
                Ok(written) => drop(bytes.drain(..written)),
                Err(WriteError::Blocked) => {
                    self.message = Some((bytes, Some(id)));
                    return false;
                }
                Err(_) => return true,
            }
        }
        let _ = stream.finish();
        true
    }

    /// Lets what was written arrive, and then closes.
    pub(super) fn close(&mut self, until: Timestamp, now: Instant) {
        match self.stage {
            Stage::Open if !self.lost => self.stage = Stage::Closing(until),
            Stage::Closing(_) => {}
            _ => self.abort(now),
        }
        self.close_if_done(now);
    }

    /// Closes at once.
    pub(super) fn abort(&mut self, now: Instant) {
        self.inner.close(now, NO_ERROR, Vec::new().into());
        self.stage = Stage::Gone;
    }

    fn close_if_done(&mut self, now: Instant) {
        if !matches!(self.stage, Stage::Closing(_)) || !self.unsent.is_empty() {
            return;
        }
        if let Some(stream) = self.stream.filter(|_| !self.finished) {
            self.finished = true;
            let _ = self.inner.send_stream(stream).finish();
        }
        if self.lost || self.inner.streams().send_streams() == 0 {
            self.abort(now);
        }
    }

    /// Its figures; the congestion control is the endpoint's.
    pub(super) fn info(&self, congestion: Congestion) -> QuicInfo {
        let stats = self.inner.stats();
        QuicInfo {
            rtt: stats.path.rtt,
            sent: stats.path.sent_packets,
            lost: stats.path.lost_packets,
            received: stats.udp_rx.datagrams,
            left_out: self.left_out,
            congestion_window: stats.path.cwnd,
            congestion,
        }
    }

    /// The deadline of its stage.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Handshake(at) | Stage::Closing(at) => Some(at),
            Stage::Open | Stage::Gone => None,
        }
    }
}

/// A message is longer than any record.
struct TooLong;
