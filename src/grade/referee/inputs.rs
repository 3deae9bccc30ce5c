//! How the referee takes each input: datagrams, bytes of connections, output of the client.

use super::{LOOK, Referee, Way};
use crate::grade::process::Input;
use crate::grade::sockets::FIRST_STREAM;
use crate::grade::trace::Event;
use crate::hub::{Path, StreamId};
use crate::time::Timestamp;
use std::net::SocketAddr;

impl Referee<'_> {
    /// Takes what an ended client printed and sent before: until both outputs are at their end, and
    /// a datagram arrives that left after all of its own.
    pub(super) fn drain(&mut self, until: Timestamp) {
        let last = self.socket.local_addr().and_then(|to| self.stranger.send_to(&[], to));
        self.open = self.open.saturating_sub(u8::from(last.is_err()));
        while self.open > 0 && self.clock.now().mono < until {
            if let Ok(input) = self.inputs.recv_timeout(LOOK) {
                self.take(input);
            }
        }
    }

    pub(super) fn take(&mut self, input: Input) {
        match input {
            Input::Datagram(bytes, from, at) => self.take_datagram(bytes, from, at),
            Input::Opened(id, stream, from) => {
                self.streams.opened(id, stream);
                let path = Path::routed(0, from);
                self.hub.handle_stream_opened(StreamId(id), path, self.clock.now());
            }
            Input::Bytes(id, bytes) => {
                self.ups += 1;
                self.hub.handle_stream_bytes(StreamId(id), &bytes, self.clock.now());
                if id == FIRST_STREAM {
                    self.note(Event::Stream { bytes });
                }
            }
            Input::Closed(id) => self.hub.handle_stream_closed(StreamId(id), self.clock.now()),
            Input::Printed(line) => self.note(Event::Printed(line)),
            Input::Complained(line) => self.note(Event::Complained(line)),
            Input::End => self.open = self.open.saturating_sub(1),
            Input::Flooded => {
                self.open = self.open.saturating_sub(1);
                self.note(Event::Complained("(it printed too much: ended)".to_owned()));
                self.process = None;
                self.ended = Some(self.clock.now().mono);
                self.note(Event::Ended { code: None, how: "it printed too much".to_owned() });
            }
        }
    }

    fn take_datagram(&mut self, bytes: Vec<u8>, from: SocketAddr, at: Timestamp) {
        if self.stranger.local_addr().is_ok_and(|stranger| stranger == from) {
            self.open = self.open.saturating_sub(1);
            return;
        }
        self.client.get_or_insert(from);
        self.ups += 1;
        let passed = (self.rule)(Way::Up, bytes.clone());
        self.note_at(at, Event::Up { bytes, passed: !passed.is_empty() });
        let now = self.clock.now();
        for bytes in passed {
            let path = Path::routed(0, self.alias.unwrap_or(from));
            self.hub.handle_datagram(path, &bytes, now);
        }
        while self.carry(now) {}
    }
}
