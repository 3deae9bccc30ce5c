//! The server's sockets carry bytes between the network and the hub. An index identifies each
//! socket: first the UDP sockets, one for each address, then the TCP listeners, then the sockets of
//! the discovery responder, then the connections.

use super::discovery_responder::DiscoveryResponder;
use super::{
    ACCEPT_AGAIN, ACCEPTS, BATCH, Config, Error, INFO_INTERVAL, PORT_TRIES, Rest, STREAM_READS,
};
use crate::hub::{Destination, Hub, StreamId};
use crate::net::{
    self, Clock, Datagrams, End, ImpairmentCounts, Incoming, Listen, Listener, Poller, Read,
    Reading, SOCKET_BUFFER, Socket, Stream, Watch, Written,
};
use crate::path::Path;
use crate::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{Ipv6Addr, SocketAddr};

/// All sockets of a server.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: Datagrams,
    addresses: Vec<SocketAddr>,
    listeners: Vec<Listener>,
    responder: Option<DiscoveryResponder>,
    streams: BTreeMap<u64, Connection>,
    /// The index of the next connection. No index is used twice, so the hub uses it as the stream
    /// id.
    next: u64,
    no_delay: bool,
    watch: Watch,
    /// When to call `accept` again after it failed, for example without free descriptors.
    starved: Option<Timestamp>,
    /// The failure was logged.
    starvation_told: bool,
    /// Connections with unread bytes that the hub does not want yet.
    unread: BTreeSet<u64>,
}

/// A TCP connection.
#[derive(Debug)]
struct Connection {
    stream: Stream,
    /// When the hub was last told what the kernel reports about it.
    informed: Option<Timestamp>,
}

/// Memory that received bytes are read into, used again for each read.
#[derive(Debug, Default)]
pub(super) struct ReceiveBuffer {
    incoming: Incoming,
    bytes: Vec<u8>,
}

impl Sockets {
    pub(super) fn open(config: &Config, poller: &Poller, now: Timestamp) -> Result<Self, Error> {
        let mut all = Self {
            udp: Datagrams::new(End::Server, config.impair.as_ref()),
            addresses: Vec::new(),
            listeners: Vec::new(),
            responder: None,
            streams: BTreeMap::new(),
            next: 0,
            no_delay: config.no_delay,
            watch: poller.watch().map_err(Error::Poll)?,
            starved: None,
            starvation_told: false,
            unread: BTreeSet::new(),
        };
        let pairs = open_pairs(&config.bind, config.tcp)?;
        let count = pairs.len();
        for (index, (mut socket, listener)) in pairs.into_iter().enumerate() {
            poller.add(&mut socket, index).map_err(Error::Poll)?;
            all.addresses.push(socket.local_addr().map_err(Error::Poll)?);
            all.udp.add(socket);
            if let Some(mut listener) = listener {
                poller.add(&mut listener, count + index).map_err(Error::Poll)?;
                all.listeners.push(listener);
            }
        }
        let first = 2 * count;
        if config.discovery {
            all.responder = DiscoveryResponder::open(&all.addresses, poller, first, now);
        }
        all.next = (first + all.responder.as_ref().map_or(0, DiscoveryResponder::len)) as u64;
        Ok(all)
    }

    /// Logs the size of the receive buffer: the kernel drops datagrams that do not fit.
    pub(super) fn report_buffer(&self) {
        let Some(granted) = self.udp.sockets().find_map(Socket::receive_buffer) else { return };
        let kib = |bytes| bytes / 1_024;
        if granted >= SOCKET_BUFFER {
            log::info!("receive buffer of {} KiB", kib(granted));
        } else {
            log::info!(
                "receive buffer of {} KiB, less than the {} KiB asked for: `chatagram doctor` says \
                 how to get more",
                kib(granted),
                kib(SOCKET_BUFFER)
            );
        }
    }

    /// The port in answers to discovery probes; `None` when probes get no answer.
    pub(super) fn found_at(&self) -> Option<u16> {
        self.responder.as_ref().map(DiscoveryResponder::port)
    }

    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().copied()
    }

    /// Passes a batch of datagrams or stream bytes to the hub.
    pub(super) fn receive(
        &mut self,
        index: usize,
        hub: &mut Hub,
        clock: &Clock,
        buffer: &mut ReceiveBuffer,
    ) -> Result<Rest, Error> {
        if let Some(address) = self.addresses.get(index) {
            let mut now = clock.now();
            for received in 1.. {
                let datagram = self.udp.receive(index, &mut buffer.incoming, now.mono);
                let datagram = datagram.map_err(|error| Error::Receive(*address, error))?;
                match datagram {
                    None => return Ok(Rest::Nothing),
                    Some(Read::Datagram(path, bytes)) => hub.handle_datagram(path, bytes, now),
                    Some(Read::HeldBack) => {}
                }
                if buffer.incoming.is_empty() {
                    if received >= BATCH {
                        return Ok(Rest::Unread);
                    }
                    now = clock.now();
                }
            }
        }
        let local = index - self.udp.len();
        if local < self.listeners.len() {
            return Ok(self.accept(local, hub, clock));
        }
        if let Some(responder) = self.responder.as_ref().filter(|responder| responder.owns(index)) {
            return Ok(responder.receive(index, hub, clock, &mut buffer.incoming));
        }
        Ok(self.receive_stream(index as u64, hub, clock, &mut buffer.bytes))
    }

    /// Passes datagrams to the hub whose emulated delay is over.
    pub(super) fn receive_due(&mut self, hub: &mut Hub, clock: &Clock) {
        while let Some((path, bytes)) = self.udp.receive_due(clock.now().mono) {
            hub.handle_datagram(path, &bytes, clock.now());
        }
    }

    /// When [`Self::receive_due`], [`Self::flush`] or [`Self::retry`] has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let responder = self.responder.as_ref().map(DiscoveryResponder::poll_timeout);
        [self.udp.poll_timeout(), responder, self.starved].into_iter().flatten().min()
    }

    /// Datagrams that the kernel dropped because a receive buffer was full.
    pub(super) fn unread(&self) -> u64 {
        self.udp.unread() + self.responder.as_ref().map_or(0, DiscoveryResponder::unread)
    }

    /// The counters of the emulated network.
    pub(super) fn done(&self) -> Option<ImpairmentCounts> {
        self.udp.impairment_counts()
    }

    /// Sends datagrams that were collected for one system call and those whose emulated delay is
    /// over, and lets the responder look for new interfaces.
    pub(super) fn flush(&mut self, now: Timestamp) {
        if let Some(responder) = &mut self.responder {
            responder.look(now);
        }
        self.udp.flush(now);
    }

    /// A path, and the size of a datagram that the kernel refused to send on it. To be called after
    /// each flush.
    pub(super) fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.udp.poll_refused()
    }

    /// Sends bytes of the hub; datagrams may wait for [`Self::flush`]. Returns a connection that
    /// has taken all bytes.
    pub(super) fn send(
        &mut self,
        destination: Destination,
        bytes: &[u8],
        now: Timestamp,
    ) -> Option<StreamId> {
        match destination {
            Destination::Datagram(path) => {
                match self.responder.as_ref().filter(|responder| responder.owns(path.local.socket))
                {
                    Some(responder) => responder.send(bytes, path),
                    None => self.udp.send(bytes, path, now),
                }
                None
            }
            Destination::Stream(id) => {
                let written = self.streams.get_mut(&id.0)?.stream.write(bytes);
                (written == Written::Whole).then_some(id)
            }
            Destination::Close(id) => {
                if let Some(connection) = self.streams.remove(&id.0) {
                    connection.stream.close();
                }
                None
            }
        }
    }

    /// Accepts connections after a failure: others may have closed meanwhile.
    pub(super) fn retry(&mut self, hub: &mut Hub, clock: &Clock) {
        if self.starved.take().is_some() {
            for local in 0..self.listeners.len() {
                self.accept(local, hub, clock);
            }
            self.starvation_told &= self.starved.is_some();
        }
    }

    /// The connections that the hub wants to read again. The poller does not report them, because
    /// their bytes were there before.
    pub(super) fn readable(&mut self, hub: &Hub) -> impl Iterator<Item = usize> {
        let again: Vec<_> =
            self.unread.iter().copied().filter(|index| hub.reads(StreamId(*index))).collect();
        for index in &again {
            self.unread.remove(index);
        }
        again.into_iter().map(|index| index as usize)
    }

    /// Accepts a batch of connections.
    fn accept(&mut self, local: usize, hub: &mut Hub, clock: &Clock) -> Rest {
        for _ in 0..(ACCEPTS / self.listeners.len().max(1)).max(1) {
            let Some(listener) = self.listeners.get(local) else { return Rest::Nothing };
            match listener.accept() {
                Ok(Some((stream, remote))) => {
                    self.take_in(stream, Path::routed(local, remote), hub, clock);
                }
                Ok(None) => return Rest::Nothing,
                Err(error) => {
                    self.starved = Some(clock.now().mono + ACCEPT_AGAIN);
                    if !std::mem::replace(&mut self.starvation_told, true) {
                        log::warn!("cannot accept a connection: {error}");
                    }
                    return Rest::Nothing;
                }
            }
        }
        Rest::Unread
    }

    fn take_in(&mut self, mut stream: Stream, path: Path, hub: &mut Hub, clock: &Clock) {
        stream.set_no_delay(self.no_delay);
        let index = self.next;
        if let Err(error) = self.watch.add(&mut stream, index as usize) {
            return log::warn!("cannot watch a connection from {}: {error}", path.remote);
        }
        self.next += 1;
        self.streams.insert(index, Connection { stream, informed: None });
        hub.handle_stream_opened(StreamId(index), path, clock.now());
    }

    fn receive_stream(
        &mut self,
        index: u64,
        hub: &mut Hub,
        clock: &Clock,
        buffer: &mut Vec<u8>,
    ) -> Rest {
        let Some(Connection { stream, informed }) = self.streams.get_mut(&index) else {
            return Rest::Nothing;
        };
        let id = StreamId(index);
        if stream.write(&[]) == Written::Whole {
            hub.handle_stream_writable(id, clock.now());
        }
        for _ in 0..STREAM_READS {
            if !hub.reads(id) {
                self.unread.insert(index);
                return Rest::Nothing;
            }
            match stream.read(buffer) {
                Reading::Bytes => hub.handle_stream_bytes(id, buffer, clock.now()),
                Reading::Nothing => {
                    let now = clock.now().mono;
                    if informed.is_none_or(|at| now.since(at) >= INFO_INTERVAL)
                        && let Some(info) = stream.info()
                    {
                        *informed = Some(now);
                        hub.handle_stream_info(id, info);
                    }
                    return Rest::Nothing;
                }
                // The hub says when to close it: the other half may be open still.
                Reading::End => {
                    hub.handle_stream_closed(id, clock.now());
                    return Rest::Nothing;
                }
            }
        }
        Rest::Unread
    }
}

/// A UDP socket, and a TCP listener unless TCP is off.
type Pair = (Socket, Option<Listener>);

/// The sockets for all addresses. Without IPv6 on this machine, `[::]` beside an IPv4 address is
/// left out.
fn open_pairs(addresses: &[SocketAddr], tcp: bool) -> Result<Vec<Pair>, Error> {
    let wanted = net::listen(addresses);
    let mut pairs = Vec::new();
    for one in &wanted {
        match open_pair(*one, tcp) {
            Err(Error::Bind(error))
                if wanted.len() > 1
                    && one.address.ip() == Ipv6Addr::UNSPECIFIED
                    && !matches!(
                        error.kind(),
                        ErrorKind::AddrInUse | ErrorKind::PermissionDenied
                    ) =>
            {
                log::warn!("{error}; this machine has no IPv6");
            }
            pair => pairs.push(pair?),
        }
    }
    Ok(pairs)
}

/// A UDP socket and a listener at the same port. For port 0, a port that is free for both.
fn open_pair(one: Listen, tcp: bool) -> Result<Pair, Error> {
    let Listen { address, dual } = one;
    let mut tries = 0;
    loop {
        let socket = Socket::listen(one)?;
        #[cfg(target_os = "linux")]
        if let Err(error) = socket.ignore_multicast_and_broadcast() {
            log::debug!("{address} hears broadcasts as well: {error}");
        }
        if !tcp {
            return Ok((socket, None));
        }
        let bound = socket.local_addr().map_err(Error::Poll)?;
        tries += 1;
        match Listener::listen(Listen { address: bound, dual }) {
            Ok(listener) => return Ok((socket, Some(listener))),
            Err(_) if address.port() == 0 && tries < PORT_TRIES => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::hub;
    use crate::protocol::{Delivery, Flags, Frame, Join, Preface, write_record};
    use crate::registry::Capacity;
    use crate::server::{Config, Server};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::thread;
    use std::time::Duration;

    #[test]
    fn idle_connections_do_not_keep_a_client_from_joining() {
        let capacity = Capacity { peers: 8, peers_per_ip: 8, expiry: Duration::from_secs(10) };
        let server = Server::start(Config {
            bind: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            tcp: true,
            no_delay: true,
            discovery: false,
            pace: Duration::ZERO,
            copies: crate::link::Copies::Auto,
            impair: None,
            history: None,
            engine: None,
            metrics: None,
            metrics_hosts: Vec::new(),
            hub: hub::Config {
                room: "room".to_owned(),
                heartbeat: Duration::from_secs(2),
                capacity,
                replay: 0,
                limit: None,
                discovery: None,
            },
        })
        .unwrap();
        let address = server.addresses().next().unwrap();
        let mut join = Preface { flags: Flags::default(), session: 0 }.encode().to_vec();
        let delivery = Delivery::ReliableOrdered;
        let (nickname, cookie, resume) = ("alice", &[][..], &[][..]);
        let (nonce, epoch, seen, next) = (1, 0, 0, 0);
        write_record(
            &Frame::Join(Join { nonce, cookie, nickname, delivery, resume, epoch, seen, next }),
            &mut join,
        );
        // All connections wait in the backlog when the server starts to accept.
        let mut alice = TcpStream::connect(address).unwrap();
        alice.write_all(&join).unwrap();
        let _others: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
        let stopper = server.stopper();
        let serving = thread::spawn(move || server.run());
        let mut preface = [0; 12];
        let answer = alice.read_exact(&mut preface);
        stopper.stop();
        serving.join().unwrap().unwrap();
        answer.unwrap();
        assert!(preface[4..] != [0; 8], "refused: {preface:?}");
    }
}
