//! `--web`: the page of the room, with the board and the chat. It runs in the server's loop:
//! nothing blocks, everything is bounded.
//!
//! | path | what |
//! |---|---|
//! | `/`, `/page.css` … | the files of the page |
//! | `/board` | a WebSocket: how the room is, as JSON |
//! | `/chat` | a WebSocket: the bytes of a TCP connection (`proto.md` §11.5), a stream of the hub |
//! | `/join.svg` | the address of the page as a QR code |

mod assets;
mod board;
mod conditions;
mod lines;
mod qr;
mod socket;
mod token;
pub mod websocket;

use super::http::{Accepted, Page, Site};
use super::http_server::{HttpServer, Purpose};
use super::{Config, Error, Rest};
use crate::hub::{Hub, StreamId};
use crate::net::{Datagrams, Poller};
use crate::path::Path;
use crate::protocol::limits::PEERS;
use crate::time::{Now, Timestamp};
use board::Feed;
use socket::{Got, Socket};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use token::Token;

/// The listener's index; the connections' follow.
const FIRST: usize = usize::MAX / 4 * 3;

const PURPOSE: Purpose = Purpose {
    name: "the page",
    exposes: "read what is said in this room",
    first: FIRST,
    connections: 64,
    from_one: 16,
};

/// Boards at once, in all and from one address.
const BOARDS: usize = 64;
const BOARDS_FROM_ONE: usize = 16;
/// Chats at once. The hub closes those that do not join, and bounds those that have.
const CHATS: usize = PEERS as usize * 4;

/// The page of a server.
#[derive(Debug)]
pub(super) struct Web {
    http: HttpServer,
    files: Files,
    sockets: BTreeMap<usize, Socket>,
    /// Chats with unread bytes that the hub does not want yet.
    unread: BTreeSet<usize>,
    token: Token,
    feed: Feed,
    buffer: Vec<u8>,
}

/// Returns true if the index of a socket, or the id of a stream, belongs to the page.
pub(super) fn owns(index: u64) -> bool {
    index >= FIRST as u64
}

/// What the page shows and changes.
#[derive(Debug)]
pub(super) struct Around<'a> {
    pub(super) hub: &'a mut Hub,
    pub(super) udp: &'a mut Datagrams,
    pub(super) now: Now,
}

/// The answer to a request, without a connection: for the fuzz target.
#[must_use]
pub fn answer(request: &[u8]) -> Option<Vec<u8>> {
    Some(super::http::answer(request, &[], &Files::default())?.bytes)
}

/// What is at the paths.
#[derive(Debug, Default)]
struct Files {
    /// The address of the page as a QR code.
    code: Option<String>,
}

impl Site for Files {
    const DIRECTORY: &'static str = "there is no such file: the page is at /\n";
    const FIELDS: &'static str = concat!(
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; ",
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; ",
        "frame-ancestors 'none'\r\n",
        "X-Content-Type-Options: nosniff\r\n",
        "Referrer-Policy: no-referrer\r\n",
        "Cross-Origin-Resource-Policy: same-origin\r\n",
        "Cache-Control: no-store\r\n",
    );

    fn page(&self, path: &str) -> Option<Page> {
        if path == "/join.svg" {
            let body = self.code.clone()?.into();
            return Some(Page { kind: "image/svg+xml", body });
        }
        assets::file(path).map(|(kind, text)| Page { kind, body: text.into() })
    }

    fn socket(&self, path: &str, key: &str) -> Option<Accepted> {
        let exists = path == "/board" || path == "/chat";
        exists.then(|| websocket::is_key(key).then(|| websocket::accept(key)))
    }
}

impl Web {
    pub(super) fn open(
        address: SocketAddr,
        config: &Config,
        poller: &Poller,
    ) -> Result<Self, Error> {
        let (names, rules) = (config.metrics_hosts.clone(), &config.hub);
        Ok(Self {
            http: HttpServer::open(PURPOSE, address, names, poller)?,
            files: Files::default(),
            sockets: BTreeMap::new(),
            unread: BTreeSet::new(),
            token: Token::random()?,
            feed: Feed::new(rules.room.clone(), rules.heartbeat),
            buffer: Vec::new(),
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.http.address()
    }

    /// The secret of the moderator's page, for the fragment of its address.
    pub(super) fn token(&self) -> String {
        self.token.reveal()
    }

    /// Sets how others join: the lines to type, and the address of the page if others reach it.
    pub(super) fn invite(&mut self, lines: Vec<String>, page: Option<String>) {
        self.files.code = page.as_deref().and_then(qr::svg);
        self.feed.invite(lines, page);
    }

    /// Handles an event of the poller.
    pub(super) fn receive(&mut self, index: usize, around: &mut Around<'_>) -> Rest {
        if self.sockets.contains_key(&index) {
            return self.read(index, around);
        }
        let rest = self.http.receive(index, around.now.mono, &self.files);
        self.take_opened(around);
        rest
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub(super) fn poll_timeout(&self, hub: &Hub) -> Option<Timestamp> {
        let watched = self.boards().next().map(|_| self.feed.poll_timeout(hub));
        self.http.poll_timeout().into_iter().chain(watched).min()
    }

    /// Closes connections past their timeout, and tells the boards what is due.
    pub(super) fn handle_timeout(&mut self, around: &mut Around<'_>) {
        self.http.handle_timeout(around.now.mono, &self.files);
        self.take_opened(around);
        let is_watched = self.boards().next().is_some();
        around.hub.set_observed(is_watched);
        if !is_watched {
            return;
        }
        for text in self.feed.take_due(around) {
            self.sockets.retain(|_, socket| socket.is_chat() || socket.tell(&text));
        }
    }

    /// The connections that the hub wants to read again.
    pub(super) fn readable(&mut self, hub: &Hub) -> Vec<usize> {
        let wanted = |index: &usize| hub.reads(StreamId(*index as u64));
        self.unread.extract_if(.., wanted).collect()
    }

    /// Sends bytes of the hub to a chat. Returns whether the kernel has taken all.
    pub(super) fn send(&mut self, id: StreamId, bytes: &[u8]) -> bool {
        self.sockets.get_mut(&(id.0 as usize)).is_some_and(|socket| socket.send(bytes))
    }

    /// Bytes of a chat that the page has not acknowledged; `None` if the kernel does not tell.
    pub(super) fn unacknowledged(&self, id: StreamId) -> Option<u64> {
        self.sockets.get(&(id.0 as usize))?.unacknowledged()
    }

    /// The streams whose acknowledgments the boards wait for, a few times in a second.
    pub(super) fn streams_to_ask(&mut self, hub: &Hub, now: Timestamp) -> Vec<StreamId> {
        if self.feed.asks(now) { hub.watched_streams().collect() } else { Vec::new() }
    }

    /// Closes a chat: the hub has nothing more for it.
    pub(super) fn close(&mut self, id: StreamId) {
        self.unread.remove(&(id.0 as usize));
        if let Some(socket) = self.sockets.remove(&(id.0 as usize)) {
            socket.close(websocket::NORMAL);
        }
    }

    /// Closes everything: the server ends.
    pub(super) fn finish(&mut self) {
        for (_, socket) in std::mem::take(&mut self.sockets) {
            socket.close(websocket::GOING_AWAY);
        }
    }

    fn boards(&self) -> impl Iterator<Item = &Socket> {
        self.sockets.values().filter(|socket| !socket.is_chat())
    }

    /// Takes in the WebSockets that clients have opened.
    fn take_opened(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        while let Some(opened) = self.http.poll_opened() {
            let (index, remote) = (opened.index, opened.remote);
            let received = opened.received;
            let is_chat = opened.path == "/chat";
            let mut socket = Socket::new(opened.stream, remote.ip(), is_chat, now.mono);
            if !self.has_room(remote.ip(), is_chat) {
                socket.close(websocket::TRY_LATER);
                continue;
            }
            if is_chat {
                around.hub.handle_web_opened(StreamId(index as u64), Path::routed(0, remote), now);
            } else if !socket.tell(&self.feed.hello(now)) {
                continue;
            }
            self.sockets.insert(index, socket);
            if self.handle_bytes(index, &received, around) {
                self.read(index, around);
            }
        }
    }

    fn has_room(&self, from: IpAddr, is_chat: bool) -> bool {
        if is_chat {
            return self.sockets.len() - self.boards().count() < CHATS;
        }
        let same = self.boards().filter(|board| board.remote() == from).count();
        self.boards().count() < BOARDS && same < BOARDS_FROM_ONE
    }

    fn read(&mut self, index: usize, around: &mut Around<'_>) -> Rest {
        let id = StreamId(index as u64);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut rest = Rest::Unread;
        if self.sockets.get_mut(&index).is_some_and(|it| it.flush() && it.is_chat()) {
            around.hub.handle_stream_writable(id, around.now);
        }
        for _ in 0..super::STREAM_READS {
            let Some(socket) = self.sockets.get_mut(&index) else {
                rest = Rest::Nothing;
                break;
            };
            if socket.is_chat() && !around.hub.reads(id) {
                self.unread.insert(index);
                rest = Rest::Nothing;
                break;
            }
            match socket.read(&mut buffer) {
                Got::Bytes if self.handle_bytes(index, &buffer, around) => {}
                Got::Nothing => {
                    rest = Rest::Nothing;
                    break;
                }
                Got::Bytes => {}
                Got::End => {
                    self.end(index, None, around);
                    rest = Rest::Nothing;
                    break;
                }
            }
        }
        self.buffer = buffer;
        rest
    }

    /// Takes in bytes of a WebSocket. Returns whether it goes on.
    fn handle_bytes(&mut self, index: usize, mut bytes: &[u8], around: &mut Around<'_>) -> bool {
        let now = around.now;
        while let Some(socket) = self.sockets.get_mut(&index) {
            match socket.next(&mut bytes, now.mono) {
                Ok(None) => return true,
                Ok(Some(socket::Input::Stream(piece))) => {
                    around.hub.handle_stream_bytes(StreamId(index as u64), &piece, now);
                }
                Ok(Some(socket::Input::Command(text))) => {
                    let (answer, is_wrong) = self.feed.command(&text, &self.token, around);
                    if !socket.tell(&answer) {
                        self.end(index, None, around);
                    } else if is_wrong && socket.guess() {
                        self.end(index, Some(websocket::POLICY), around);
                    }
                }
                Err(code) => self.end(index, code, around),
            }
        }
        false
    }

    /// A connection ends, after this closing frame if there is one. The hub says when a chat is
    /// closed.
    fn end(&mut self, index: usize, code: Option<u16>, around: &mut Around<'_>) {
        let Some(socket) = self.sockets.get_mut(&index) else { return };
        socket.shut(code);
        if socket.is_chat() {
            around.hub.handle_stream_closed(StreamId(index as u64), around.now);
        } else if let Some(socket) = self.sockets.remove(&index) {
            socket.end();
        }
    }
}
