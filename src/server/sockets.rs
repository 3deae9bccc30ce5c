//! The server's sockets carry bytes between the network and the hub. An index identifies each
//! socket: first the UDP sockets, one for each address and perhaps QUIC's own, then the TCP
//! listeners, then the sockets of the discovery responder, then the connections of TCP, and far
//! behind them those of QUIC, which have no socket.

mod open;
#[cfg(test)]
mod tests;

use super::discovery_responder::DiscoveryResponder;
use super::private::Keys;
use super::quic;
use super::{ACCEPT_AGAIN, ACCEPTS, BATCH, Config, Error, INFO_INTERVAL, Rest, STREAM_READS};
use crate::hub::{Destination, Hub, StreamId};
use crate::net::{
    Clock, Datagrams, End, ImpairmentCounts, Incoming, Listener, Poller, Read, Reading,
    SOCKET_BUFFER, Socket, Stream, Watch, Written,
};
use crate::path::Path;
use crate::time::{Now, Timestamp};
use open::open_pairs;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// All sockets of a server.
#[derive(Debug)]
pub(super) struct Sockets {
    udp: Datagrams,
    /// Addresses of the UDP sockets; at last that of QUIC's own, if it has one.
    addresses: Vec<SocketAddr>,
    /// Addresses for joins over UDP and TCP.
    public: usize,
    quic: Option<quic::Connections>,
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
    /// Opens the sockets. `keys` are those of a private room, which takes no TCP.
    pub(super) fn open(
        config: &Config,
        keys: Option<&Keys>,
        poller: &Poller,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut all = Self {
            udp: match (&config.impair, &config.script) {
                (None, Some(script)) => Datagrams::scripted(End::Server, script.clone()),
                (impair, _) => Datagrams::new(End::Server, impair.as_ref()),
            },
            addresses: Vec::new(),
            public: 0,
            quic: None,
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
        let pairs = open_pairs(&config.bind, config.tcp && keys.is_none())?;
        let (sockets, listeners): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for socket in sockets {
            all.add(socket, poller)?;
        }
        all.public = all.addresses.len();
        if let Some(quic) = &config.quic {
            let own = quic.address.map(|address| all.add(Socket::bind(address)?, poller));
            let expiry = config.hub.capacity.expiry;
            all.quic = Some(quic::Connections::new(quic, keys, own.transpose()?, expiry, now)?);
        }
        let count = all.udp.len();
        for mut listener in listeners.into_iter().flatten() {
            let index = count + all.listeners.len();
            poller.add(&mut listener, index).map_err(Error::Poll)?;
            all.listeners.push(listener);
        }
        let first = count + all.listeners.len();
        if config.discovery {
            let addresses = &all.addresses[..all.public];
            all.responder = DiscoveryResponder::open(addresses, poller, first, now);
        }
        all.next = (first + all.responder.as_ref().map_or(0, DiscoveryResponder::len)) as u64;
        Ok(all)
    }

    /// Adds a UDP socket and returns its index.
    fn add(&mut self, mut socket: Socket, poller: &Poller) -> Result<usize, Error> {
        let index = self.udp.len();
        poller.add(&mut socket, index).map_err(Error::Poll)?;
        self.addresses.push(socket.local_addr().map_err(Error::Poll)?);
        Ok(self.udp.add(socket))
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
        self.addresses.iter().copied().take(self.public)
    }

    /// QUIC's own address, if it has one.
    pub(super) fn quic_address(&self) -> Option<SocketAddr> {
        self.addresses.get(self.public).copied()
    }

    /// Bytes of a connection that the other end has not acknowledged; `None` if the kernel does not
    /// tell.
    pub(super) fn unacknowledged(&self, id: StreamId) -> Option<u64> {
        self.streams.get(&id.0)?.stream.unacknowledged()
    }

    /// The UDP sockets, whose emulated network can be changed.
    pub(super) fn udp(&mut self) -> &mut Datagrams {
        &mut self.udp
    }

    /// Passes a batch of datagrams or stream bytes to the hub.
    pub(super) fn receive(
        &mut self,
        index: usize,
        hub: &mut Hub,
        clock: &Clock,
        buffer: &mut ReceiveBuffer,
    ) -> Result<Rest, Error> {
        if let Some(address) = self.addresses.get(index).copied() {
            let mut now = clock.now();
            for received in 1.. {
                let datagram = self.udp.receive(index, &mut buffer.incoming, now.mono);
                let datagram = datagram.map_err(|error| Error::Receive(address, error))?;
                match datagram {
                    None => return Ok(Rest::Nothing),
                    Some(Read::Datagram(path, bytes)) => self.take(path, bytes, hub, now),
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
        if quic::owns(index as u64) {
            return Ok(self.receive_quic(index as u64, hub, clock));
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

    /// Passes datagrams to the hub whose emulated delay is over, and what QUIC makes of its own.
    pub(super) fn receive_due(&mut self, hub: &mut Hub, clock: &Clock) {
        while let Some((path, bytes)) = self.udp.receive_due(clock.now().mono) {
            self.take(path, &bytes, hub, clock.now());
        }
        let readable = self.quic.as_mut().map(|quic| quic.report(hub, clock));
        for id in readable.into_iter().flatten() {
            if self.receive_quic(id, hub, clock) == Rest::Unread {
                self.unread.insert(id);
            }
        }
    }

    /// Passes a datagram to QUIC or to the hub.
    fn take(&mut self, path: Path, bytes: &[u8], hub: &mut Hub, now: Now) {
        if !self.quic.as_mut().is_some_and(|quic| quic.take(path, bytes, now.mono)) {
            hub.handle_datagram(path, bytes, now);
        }
    }

    fn receive_quic(&mut self, id: u64, hub: &mut Hub, clock: &Clock) -> Rest {
        let Some(quic) = &mut self.quic else { return Rest::Nothing };
        quic.read(id, hub, clock).unwrap_or_else(|| {
            self.unread.insert(id);
            Rest::Nothing
        })
    }

    /// Does what is due in QUIC by `now`.
    pub(super) fn handle_timeout(&mut self, now: Timestamp) {
        if let Some(quic) = &mut self.quic {
            quic.handle_timeout(now);
        }
    }

    /// Whether QUIC has delivered what the hub has said. The kernel delivers TCP's bytes alone.
    pub(super) fn is_finished(&self) -> bool {
        self.quic.as_ref().is_none_or(quic::Connections::is_finished)
    }

    /// Closes what is open: the server ends.
    pub(super) fn finish(&mut self, now: Timestamp) {
        if let Some(quic) = &mut self.quic {
            quic.abort_all(now);
        }
        self.flush(now);
    }

    /// When [`Self::receive_due`], [`Self::handle_timeout`], [`Self::flush`] or [`Self::retry`] has
    /// something to do.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        let responder = self.responder.as_ref().map(DiscoveryResponder::poll_timeout);
        let quic = self.quic.as_ref().and_then(quic::Connections::poll_timeout);
        [self.udp.poll_timeout(), responder, quic, self.starved].into_iter().flatten().min()
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
        if let Some(quic) = &mut self.quic {
            quic.transmit(&mut self.udp, now);
        }
        self.udp.flush(now);
    }

    /// A path, and the size of a datagram that the kernel refused to send on it. To be called after
    /// each flush.
    pub(super) fn poll_refused(&mut self) -> Option<(Path, usize)> {
        self.udp.poll_refused()
    }

    /// Sends bytes of the hub; datagrams and what QUIC carries may wait for [`Self::flush`].
    /// Returns whether a connection has taken all bytes.
    pub(super) fn send(&mut self, destination: Destination, bytes: &[u8], now: Timestamp) -> bool {
        match (destination, &mut self.quic) {
            (Destination::Stream(id), Some(quic)) if quic::owns(id.0) => quic.write(id.0, bytes),
            (Destination::Message(id, delivery), Some(quic)) => {
                quic.send_message(id.0, delivery, bytes)
            }
            (Destination::Close(id), Some(quic)) if quic::owns(id.0) => {
                self.unread.remove(&id.0);
                quic.close(id.0, now);
                false
            }
            _ => self.send_by_kernel(destination, bytes, now),
        }
    }

    fn send_by_kernel(&mut self, to: Destination, bytes: &[u8], now: Timestamp) -> bool {
        match to {
            Destination::Datagram(path) => {
                match self.responder.as_ref().filter(|responder| responder.owns(path.local.socket))
                {
                    Some(responder) => responder.send(bytes, path),
                    None => self.udp.send(bytes, path, now),
                }
                false
            }
            Destination::Stream(id) => {
                let connection = self.streams.get_mut(&id.0);
                connection.is_some_and(|it| it.stream.write(bytes) == Written::Whole)
            }
            Destination::Message(..) => false,
            Destination::Close(id) => {
                if let Some(connection) = self.streams.remove(&id.0) {
                    connection.stream.close();
                }
                false
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
