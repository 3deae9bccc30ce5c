//! One WebSocket of the page: its frames, what it may send, and how much it may leave unread.

use super::websocket::{
    self, Kind, NOT_TEXT, POLICY, PROTOCOL_ERROR, Reader, TOO_LONG, UNSUPPORTED,
};
use crate::bucket::{Bucket, Limit};
use crate::net::{Reading, Stream, Written};
use crate::time::Timestamp;
use std::net::IpAddr;

/// Bytes that the kernel of a reader has not taken. With more, the reader is too slow.
const MAX_UNSENT: usize = 256 * 1024;
/// Longest command of a page.
const MAX_COMMAND: usize = 4_096;
/// Wrong tokens until a connection is closed.
const GUESSES: u8 = 3;
/// Commands and control frames that a page may send: a burst, then a rate per second. A slider that
/// is dragged sends ten in a second.
const LIMIT: (u16, u16) = (60, 20);

/// A WebSocket.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    remote: IpAddr,
    reader: Reader,
    role: Role,
    allowance: Option<Bucket>,
    /// A closing frame was sent, or the connection broke: nothing is read or written any more.
    is_shut: bool,
    out: Vec<u8>,
}

#[derive(Debug)]
enum Role {
    /// A stream of the hub.
    Chat,
    /// A board, with what has arrived of a command, and the number of wrong tokens.
    Board { text: Vec<u8>, wrong: u8 },
}

/// What a page sent.
#[derive(Debug)]
pub(super) enum Input {
    /// Bytes of a chat's stream.
    Stream(Vec<u8>),
    /// A command of a board.
    Command(String),
}

/// What [`Socket::read`] found.
#[derive(Debug)]
pub(super) enum Got {
    Bytes,
    Nothing,
    End,
}

impl Socket {
    pub(super) fn new(stream: Stream, remote: IpAddr, is_chat: bool, now: Timestamp) -> Self {
        stream.set_no_delay(true);
        let board = Role::Board { text: Vec::new(), wrong: 0 };
        Self {
            stream,
            remote,
            reader: Reader::default(),
            role: if is_chat { Role::Chat } else { board },
            allowance: Limit::new(LIMIT.0, LIMIT.1).map(|limit| Bucket::new(limit, now)),
            is_shut: false,
            out: Vec::new(),
        }
    }

    pub(super) fn is_chat(&self) -> bool {
        matches!(self.role, Role::Chat)
    }

    pub(super) fn remote(&self) -> IpAddr {
        self.remote
    }

    /// Sends a text to a board. Returns false if the reader is too slow.
    pub(super) fn tell(&mut self, text: &str) -> bool {
        self.out.clear();
        websocket::write_message(Kind::Text, text.as_bytes(), &mut self.out);
        self.stream.write(&self.out);
        self.stream.unsent() <= MAX_UNSENT
    }

    /// Sends bytes of a chat's stream. Returns whether the kernel has taken all: then the hub hands
    /// out more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        if self.is_shut {
            return true;
        }
        self.out.clear();
        websocket::write_message(Kind::Binary, bytes, &mut self.out);
        self.stream.write(&self.out) == Written::Whole
    }

    /// Bytes that the other end has not acknowledged.
    pub(super) fn unacknowledged(&self) -> Option<u64> {
        self.stream.unacknowledged()
    }

    /// Writes what waits. Returns whether nothing does any more.
    pub(super) fn flush(&mut self) -> bool {
        self.is_shut || self.stream.write(&[]) == Written::Whole
    }

    pub(super) fn read(&mut self, buffer: &mut Vec<u8>) -> Got {
        match self.stream.read(buffer) {
            _ if self.is_shut => Got::Nothing,
            Reading::Bytes => Got::Bytes,
            Reading::Nothing => Got::Nothing,
            Reading::End => Got::End,
        }
    }

    /// The next input in `bytes`. Answers pings.
    ///
    /// # Errors
    /// The connection ends, after a closing frame with this code if there is one.
    pub(super) fn next(
        &mut self,
        bytes: &mut &[u8],
        now: Timestamp,
    ) -> Result<Option<Input>, Option<u16>> {
        while !self.is_shut {
            let input = self.reader.next(bytes).map_err(|error| {
                log::debug!("{}: {error}", self.remote);
                Some(PROTOCOL_ERROR)
            })?;
            match input {
                None => return Ok(None),
                Some(websocket::Input::Close) => return Err(Some(websocket::NORMAL)),
                Some(websocket::Input::Pong) => self.charge(now)?,
                Some(websocket::Input::Ping(payload)) => {
                    self.charge(now)?;
                    self.out.clear();
                    websocket::write_pong(&payload, &mut self.out);
                    self.stream.write(&self.out);
                    if self.stream.unsent() > MAX_UNSENT {
                        return Err(None);
                    }
                }
                Some(websocket::Input::Piece { kind, bytes, last }) => {
                    if let Some(input) = self.take_piece(kind, bytes, last, now)? {
                        return Ok(Some(input));
                    }
                }
            }
        }
        Ok(None)
    }

    fn take_piece(
        &mut self,
        kind: Kind,
        bytes: Vec<u8>,
        last: bool,
        now: Timestamp,
    ) -> Result<Option<Input>, Option<u16>> {
        if bytes.is_empty() || last && !self.is_chat() {
            self.charge(now)?;
        }
        match (&mut self.role, kind) {
            (Role::Chat, Kind::Binary) if bytes.is_empty() => Ok(None),
            (Role::Chat, Kind::Binary) => Ok(Some(Input::Stream(bytes))),
            (Role::Board { text, .. }, Kind::Text) => {
                text.extend_from_slice(&bytes);
                if text.len() > MAX_COMMAND {
                    return Err(Some(TOO_LONG));
                }
                if !last {
                    return Ok(None);
                }
                let text = String::from_utf8(std::mem::take(text)).map_err(|_| Some(NOT_TEXT))?;
                Ok(Some(Input::Command(text)))
            }
            _ => Err(Some(UNSUPPORTED)),
        }
    }

    /// Charges a frame that the hub does not charge.
    fn charge(&mut self, now: Timestamp) -> Result<(), Option<u16>> {
        let Some(allowance) = &mut self.allowance else { return Ok(()) };
        allowance.take(1, now);
        if allowance.debt(now).is_zero() { Ok(()) } else { Err(Some(POLICY)) }
    }

    /// Counts a wrong token. Returns whether there were too many.
    pub(super) fn guess(&mut self) -> bool {
        let Role::Board { wrong, .. } = &mut self.role else { return true };
        *wrong += 1;
        *wrong >= GUESSES
    }

    /// Sends a closing frame, if there is a code, and nothing after it.
    pub(super) fn shut(&mut self, code: Option<u16>) {
        if let Some(code) = code
            && !self.is_shut
        {
            self.out.clear();
            websocket::write_close(code, &mut self.out);
            self.stream.write(&self.out);
        }
        self.is_shut = true;
    }

    /// Closes the connection after a closing frame.
    pub(super) fn close(mut self, code: u16) {
        self.shut(Some(code));
        self.stream.close();
    }

    /// Closes the connection.
    pub(super) fn end(self) {
        self.stream.close();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_board_that_reads_nothing_is_given_up_with_little_unsent() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let _reader = TcpStream::connect(address).unwrap();
        let stream = Stream::from_std(listener.accept().unwrap().0).unwrap();
        let mut socket = Socket::new(stream, address.ip(), false, Timestamp::ZERO);
        let text = "a state of the room ".repeat(500);
        // The kernel takes some megabytes.
        let told = (0..10_000).take_while(|_| socket.tell(&text)).count();
        assert!((1..10_000).contains(&told), "{told}");
        assert!(socket.stream.unsent() < MAX_UNSENT + text.len() + 100);
    }
}
