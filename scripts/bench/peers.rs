//! One peer of a relay, in each protocol: it can join, talk and count.

use crate::joining::{Joining, heartbeat};
use crate::quic::QuicPeer;
use crate::{Counter, MARK, Protocol, STAMP, TEXT};
use chatagram::link::Link;
use chatagram::net::{Clock, Incoming, Poller, Reading, Socket, Stream};
use chatagram::protocol::{
    ClientMessage, Datagram, Delivery, Flags, Frame, Join, Piece, Preface, Say, ServerMessage,
    StreamReader, Welcome, decode_message, encode_message, write_record,
};
use chatagram::time::Timestamp;
use std::cell::RefCell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Limit of each wait. Only a failing run takes this long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
const UNSPECIFIED: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
/// The number of a `Line` among the server's messages.
const LINE: u8 = 5;
/// Those of `Welcome`, `Joined` and `Left`.
const SAY_HOW_MANY: [u8; 3] = [0, 3, 4];

thread_local! {
    static INCOMING: RefCell<Incoming> = RefCell::default();
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

pub(crate) struct Peer {
    wire: Wire,
    /// The time under which the run has scheduled this peer.
    noted: Option<Timestamp>,
    number: u16,
    /// Members of the room, as last announced.
    here: usize,
    broken: bool,
}

enum Wire {
    Chatagram {
        socket: Socket,
        server: SocketAddr,
        joining: Joining,
        /// Exists from `Welcome` on.
        link: Option<Box<Link>>,
        delivery: Delivery,
    },
    ChatagramTcp {
        stream: Stream,
        reader: StreamReader,
        out: Vec<u8>,
        heartbeat: Duration,
        sent: Timestamp,
    },
    ChatagramQuic(Box<QuicPeer>),
    Plain {
        socket: Socket,
        server: SocketAddr,
    },
    Text {
        stream: Stream,
        publish: Publish,
        out: Vec<u8>,
        carried: Vec<u8>,
    },
}

/// Encodes a line for the protocol.
struct Publish {
    before: &'static [u8],
    after: &'static [u8],
}

const REDIS: Publish =
    Publish { before: b"*3\r\n$7\r\nPUBLISH\r\n$4\r\nroom\r\n$64\r\n", after: b"\r\n" };
const NATS: Publish = Publish { before: b"PUB room 64\r\n", after: b"\r\n" };

impl Peer {
    /// Begins to join. Returns when the relay has admitted the peer; over Chatagram's UDP and QUIC
    /// at once.
    pub(crate) fn join(
        protocol: Protocol,
        server: SocketAddr,
        index: usize,
        delivery: Delivery,
        clock: &Clock,
    ) -> io::Result<Self> {
        let mut here = 0;
        let wire = match protocol {
            Protocol::Chatagram => {
                let (socket, joining) = (socket_for(server)?, Joining::new(index, delivery));
                Wire::Chatagram { socket, server, joining, link: None, delivery }
            }
            Protocol::ChatagramQuic => {
                let (socket, now) = (socket_for(server)?, clock.now().mono);
                Wire::ChatagramQuic(Box::new(QuicPeer::new(socket, server, index, delivery, now)?))
            }
            Protocol::ChatagramTcp => join_chatagram_tcp(server, index, clock, &mut here)?,
            Protocol::Plain => join_plain(server, index)?,
            Protocol::Redis => {
                let mut stream = connect(server)?;
                stream.write_all(b"HELLO 3\r\n")?;
                read_until(&mut stream, b"modules")?;
                stream.write_all(b"SUBSCRIBE room\r\n")?;
                read_until(&mut stream, b"subscribe")?;
                text(stream, REDIS)?
            }
            Protocol::Nats => {
                let mut stream = connect(server)?;
                stream.write_all(
                    b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n\
                      SUB room 1\r\nPING\r\n",
                )?;
                read_until(&mut stream, b"PONG")?;
                text(stream, NATS)?
            }
        };
        Ok(Self { wire, noted: None, number: 0, here, broken: false })
    }

    pub(crate) fn watch(&mut self, poller: &Poller, index: usize) -> io::Result<()> {
        match &mut self.wire {
            Wire::Chatagram { socket, .. } | Wire::Plain { socket, .. } => {
                poller.add(socket, index)
            }
            Wire::ChatagramQuic(peer) => poller.add(&mut peer.socket, index),
            Wire::ChatagramTcp { stream, .. } | Wire::Text { stream, .. } => {
                poller.add(stream, index)
            }
        }
    }

    /// Queues a line, or sends it if the transport has no queue.
    pub(crate) fn send(&mut self, line: &[u8; TEXT]) {
        let number = self.number;
        self.number = number.wrapping_add(1);
        let say = || {
            let text = std::str::from_utf8(line).unwrap_or_default();
            encode_message(&ClientMessage::Say(Say { number, sent: 0, text }))
        };
        match &mut self.wire {
            Wire::Chatagram { link, delivery, .. } => {
                let sent = link.as_mut().map(|link| link.send(&say(), *delivery, None));
                self.broken |= !matches!(sent, Some(Ok(())));
            }
            Wire::ChatagramTcp { out, .. } => {
                write_record(&Frame::Once { payload: &say() }, out);
            }
            Wire::ChatagramQuic(peer) => peer.send(&say()),
            Wire::Plain { socket, server } => {
                let mut datagram = vec![1, TEXT as u8];
                datagram.extend_from_slice(line);
                socket.send(&datagram, *server);
            }
            Wire::Text { publish, out, .. } => {
                out.extend_from_slice(publish.before);
                out.extend_from_slice(line);
                out.extend_from_slice(publish.after);
            }
        }
    }

    /// True if the transport accepts a line now.
    pub(crate) fn takes_more(&self) -> bool {
        match &self.wire {
            Wire::Chatagram { link, .. } => {
                link.as_ref().is_some_and(|link| link.queued_bytes() < 16 * 1_024)
            }
            Wire::ChatagramTcp { out, .. } | Wire::Text { out, .. } => out.len() < 16 * 1_024,
            Wire::ChatagramQuic(peer) => peer.takes_more(),
            Wire::Plain { .. } => true,
        }
    }

    /// Sends the queued bytes.
    pub(crate) fn flush(&mut self, now: Timestamp) {
        match &mut self.wire {
            Wire::Chatagram { socket, server, joining, link: None, .. } => {
                joining.flush(socket, *server, now);
            }
            Wire::Chatagram { socket, server, link: Some(link), .. } => {
                BYTES.with_borrow_mut(|bytes| {
                    while link.poll_transmit(bytes, now) {
                        socket.send(bytes, *server);
                    }
                })
            }
            Wire::ChatagramTcp { stream, out, sent, .. } => {
                if write_out(stream, out) {
                    *sent = now;
                }
            }
            Wire::ChatagramQuic(peer) => peer.flush(now),
            Wire::Text { stream, out, .. } => {
                write_out(stream, out);
            }
            Wire::Plain { .. } => {}
        }
    }

    /// Reads everything that has arrived.
    pub(crate) fn receive(&mut self, now: Timestamp, counter: &mut Counter) -> io::Result<()> {
        match &mut self.wire {
            Wire::Chatagram { socket, joining, link, .. } => {
                INCOMING.with_borrow_mut(|incoming| {
                    while let Some((_, bytes)) = socket.receive(incoming)? {
                        let Ok(datagram) = Datagram::decode(bytes) else { continue };
                        if link.is_none() {
                            *link = joining.receive(&datagram, now)?;
                        }
                        let Some(link) = link else { continue };
                        self.broken |= datagram.frames().next() == Some(Frame::Reset);
                        link.receive(&datagram, bytes.len(), now);
                        while let Some(received) = link.poll_received() {
                            self.here = here(&received.payload).unwrap_or(self.here);
                            count(&received.payload, counter);
                        }
                    }
                    io::Result::Ok(())
                })?
            }
            Wire::ChatagramQuic(peer) => {
                let here = &mut self.here;
                let receive = |incoming: &mut _| peer.receive(incoming, now, here, counter);
                self.broken |= !INCOMING.with_borrow_mut(receive)?;
            }
            Wire::Plain { socket, .. } => INCOMING.with_borrow_mut(|incoming| {
                while let Some((_, bytes)) = socket.receive(incoming)? {
                    if let Some(text) = bytes.last_chunk::<TEXT>().filter(|text| text[0] == MARK) {
                        counter.line(text);
                    }
                }
                io::Result::Ok(())
            })?,
            Wire::ChatagramTcp { stream, reader, .. } => BYTES.with_borrow_mut(|bytes| {
                stream.write(&[]);
                loop {
                    match stream.read(bytes) {
                        Reading::Bytes => {}
                        Reading::Nothing => break,
                        Reading::End => {
                            self.broken = true;
                            break;
                        }
                    }
                    let mut rest = &bytes[..];
                    while let Ok(Some(piece)) = reader.next(&mut rest) {
                        if let Piece::Frame(Frame::Once { payload }) = piece {
                            self.here = here(payload).unwrap_or(self.here);
                            count(payload, counter);
                        }
                    }
                }
            }),
            Wire::Text { stream, carried, .. } => BYTES.with_borrow_mut(|bytes| {
                stream.write(&[]);
                while stream.read(bytes) == Reading::Bytes {
                    count_text(carried, bytes, counter);
                }
            }),
        }
        self.flush(now);
        Ok(())
    }

    /// The scheduled time has come.
    pub(crate) fn handle_timeout(&mut self, noted: Timestamp, now: Timestamp) {
        if self.noted == Some(noted) {
            self.noted = None;
        }
        if self.due().is_none_or(|at| at > now) {
            return;
        }
        match &mut self.wire {
            Wire::Chatagram { link, .. } => {
                if let Some(link) = link {
                    link.handle_timeout(now);
                    self.broken |= link.has_failed();
                }
            }
            Wire::ChatagramTcp { out, .. } => {
                write_record(&Frame::Heartbeat, out);
            }
            // Without a datagram, the next one reports what a timeout has changed.
            Wire::ChatagramQuic(peer) => self.broken |= peer.handle_timeout(now).is_err(),
            Wire::Plain { .. } | Wire::Text { .. } => {}
        }
        self.flush(now);
    }

    fn due(&self) -> Option<Timestamp> {
        match &self.wire {
            Wire::Chatagram { joining, link: None, .. } => Some(joining.due),
            Wire::Chatagram { link: Some(link), .. } => link.poll_timeout().map(|(at, _)| at),
            // A broken peer reads no more.
            Wire::ChatagramTcp { heartbeat, sent, .. } => {
                (!self.broken).then(|| *sent + *heartbeat)
            }
            Wire::ChatagramQuic(peer) => peer.due().filter(|_| !self.broken),
            Wire::Plain { .. } | Wire::Text { .. } => None,
        }
    }

    /// The next time at which this peer has work, if it is before the scheduled one.
    pub(crate) fn earlier_timeout(&mut self) -> Option<Timestamp> {
        let at = self.due()?;
        if self.noted.is_some_and(|noted| noted <= at) {
            return None;
        }
        self.noted = Some(at);
        Some(at)
    }

    /// True if no end retransmits a lost line.
    pub(crate) fn may_lose(&self) -> bool {
        match &self.wire {
            Wire::Chatagram { delivery, .. } => *delivery == Delivery::Unreliable,
            Wire::Plain { .. } => true,
            Wire::ChatagramQuic(peer) => peer.may_lose(),
            Wire::ChatagramTcp { .. } | Wire::Text { .. } => false,
        }
    }

    /// Members of the room that this peer knows; 0 before it has joined.
    pub(crate) fn here(&self) -> usize {
        self.here
    }

    /// True if this peer has joined.
    pub(crate) fn has_joined(&self) -> bool {
        match &self.wire {
            Wire::Chatagram { link, .. } => link.is_some(),
            Wire::ChatagramQuic(peer) => peer.has_joined(),
            _ => true,
        }
    }

    /// True if the relay has dropped this peer, or this peer the relay.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// A socket for datagrams to the server. Servers in network namespaces have other addresses than
/// this program.
fn socket_for(server: SocketAddr) -> io::Result<Socket> {
    let ip = if server.ip().is_loopback() { server.ip() } else { UNSPECIFIED };
    Socket::bind(SocketAddr::new(ip, 0)).map_err(io::Error::other)
}

/// Writes the queued bytes to the kernel.
fn write_out(stream: &mut Stream, out: &mut Vec<u8>) -> bool {
    let any = !out.is_empty();
    if any {
        stream.write(out);
        out.clear();
    }
    any
}

/// The number of members in this message, if it has one.
pub(crate) fn here(message: &[u8]) -> Option<usize> {
    if !SAY_HOW_MANY.contains(message.first()?) {
        return None;
    }
    match decode_message(message).ok()? {
        ServerMessage::Welcome(Welcome { peers, .. })
        | ServerMessage::Joined { peers, .. }
        | ServerMessage::Left { peers, .. } => Some(peers.into()),
        _ => None,
    }
}

/// A datagram or message, which may be a line.
pub(crate) fn count(message: &[u8], counter: &mut Counter) {
    if message.first() == Some(&LINE)
        && let Some(text) = message.last_chunk::<TEXT>()
        && text[0] == MARK
    {
        counter.line(text);
    }
}

/// Finds lines in a stream of text that is cut anywhere.
fn count_text(carried: &mut Vec<u8>, mut bytes: &[u8], counter: &mut Counter) {
    if !carried.is_empty() {
        let missing = (STAMP - carried.len()).min(bytes.len());
        carried.extend_from_slice(&bytes[..missing]);
        bytes = &bytes[missing..];
        if carried.len() < STAMP {
            return;
        }
        counter.line(carried);
        carried.clear();
    }
    while let Some(at) = memchr::memchr(MARK, bytes) {
        bytes = &bytes[at..];
        if bytes.len() < STAMP {
            carried.extend_from_slice(bytes);
            return;
        }
        counter.line(bytes);
        bytes = &bytes[STAMP..];
    }
}

fn join_chatagram_tcp(
    server: SocketAddr,
    index: usize,
    clock: &Clock,
    told: &mut usize,
) -> io::Result<Wire> {
    let mut stream = connect(server)?;
    let mut hello = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
    let join = Frame::Join(Join {
        nonce: index as u64 + 1,
        cookie: &[],
        nickname: &format!("u{index}"),
        delivery: Delivery::ReliableOrdered,
        resume: &[],
        epoch: 0,
        seen: 0,
        next: 0,
    });
    write_record(&join, &mut hello);
    stream.write_all(&hello)?;
    // The preface arrives with the admission or the refusal.
    let mut preface = [0; 12];
    stream.read_exact(&mut preface)?;
    if preface[4..] == [0; 8] {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    let mut reader = StreamReader::past_preface();
    let (mut interval, mut bytes) = (None, [0; 4_096]);
    let heartbeat = loop {
        if let Some(interval) = interval {
            break interval;
        }
        let length = match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => length,
        };
        let mut rest = &bytes[..length];
        while let Some(piece) = reader.next(&mut rest).map_err(io::Error::other)? {
            if let Piece::Frame(frame) = piece {
                interval = interval.or(heartbeat(frame));
                if let Frame::Once { payload } = frame {
                    *told = here(payload).unwrap_or(*told);
                }
            }
        }
    };
    let (stream, out, sent) = (Stream::from_std(stream)?, Vec::new(), clock.now().mono);
    Ok(Wire::ChatagramTcp { stream, reader, out, heartbeat, sent })
}

fn join_plain(server: SocketAddr, index: usize) -> io::Result<Wire> {
    let socket = Socket::bind(SocketAddr::new(server.ip(), 0)).map_err(io::Error::other)?;
    let begin = Instant::now();
    let name = format!("u{index}");
    let mut join = vec![0, name.len() as u8];
    join.extend_from_slice(name.as_bytes());
    socket.send(&join, server);
    loop {
        let answered = INCOMING.with_borrow_mut(|incoming| {
            let mut answered = false;
            while socket.receive(incoming)?.is_some() {
                answered = true;
            }
            io::Result::Ok(answered)
        })?;
        if answered {
            return Ok(Wire::Plain { socket, server });
        }
        if begin.elapsed() > DEADLINE {
            return Err(ErrorKind::TimedOut.into());
        }
        std::thread::yield_now();
    }
}

fn text(stream: TcpStream, publish: Publish) -> io::Result<Wire> {
    let stream = Stream::from_std(stream)?;
    Ok(Wire::Text { stream, publish, out: Vec::new(), carried: Vec::new() })
}

fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    Ok(stream)
}

fn read_until(stream: &mut TcpStream, word: &[u8]) -> io::Result<()> {
    let mut seen = Vec::new();
    let mut bytes = [0; 4_096];
    while !seen.windows(word.len()).any(|window| window == word) {
        match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            length => seen.extend_from_slice(&bytes[..length]),
        }
    }
    Ok(())
}
