//! Many clients in one thread over one transport. Only peers with input or a due timer are visited,
//! so that a thousand idle ones cost next to nothing.

use super::peer::{Peer, Shared};
use crate::client::quic::Connections;
use crate::client::reach;
use crate::client::session::{self, Event, Session, Transport};
use crate::link::Congestion;
use crate::net::{
    BadNetwork, Clock, Datagrams, End, ImpairmentCounts, Incoming, Poller, Read, Ready, Socket,
};
use crate::ticket::Ticket;
use crate::time::{Now, Timestamp, micros};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// The poller's resolution.
const TICK: Duration = Duration::from_millis(1);

/// Peers and their shared poller, clock and timers. A peer is identified by its index.
#[derive(Debug)]
pub struct Fleet {
    peers: Vec<Peer>,
    shared: Shared,
    /// Congestion control of QUIC.
    congestion: Congestion,
    /// The ticket of a private room.
    ticket: Option<Ticket>,
    poller: Poller,
    ready: Ready,
    /// Due timers; at most one entry per peer.
    due: BTreeSet<(Timestamp, usize)>,
    events: VecDeque<(usize, Event, Now)>,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Fleet {
    /// An empty fleet.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn new(no_delay: bool, impair: Option<&BadNetwork>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let datagrams = Datagrams::new(End::Client, impair);
        let watch = poller.watch()?;
        let shared = Shared { clock: Clock::start(), watch, datagrams, no_delay };
        Ok(Self {
            peers: Vec::new(),
            shared,
            congestion: Congestion::default(),
            ticket: None,
            poller,
            ready: Ready::new(),
            due: BTreeSet::new(),
            events: VecDeque::new(),
            incoming: Incoming::default(),
            buffer: Vec::new(),
        })
    }

    /// The congestion control of QUIC, for peers that are added from now on.
    pub fn set_congestion(&mut self, congestion: Congestion) {
        self.congestion = congestion;
    }

    /// Peers that are added from now on join the private room of this ticket.
    pub fn set_ticket(&mut self, ticket: Option<Ticket>) {
        self.ticket = ticket;
    }

    /// The clock shared by all peers, so their times can be subtracted.
    #[must_use]
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Number of peers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Returns true without peers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// The session of one peer.
    #[must_use]
    pub fn session(&self, index: usize) -> &Session {
        &self.peers[index].session
    }

    /// All sessions, by index.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.peers.iter().map(|peer| &peer.session)
    }

    /// Adds a peer, which begins to join. Its randomness does not come from the run's seed: the
    /// server rejects a repeated join as an echo.
    ///
    /// # Errors
    /// The kernel's, such as too many open files; [`io::ErrorKind::InvalidInput`] for a transport
    /// that the other peers do not have: the index of a peer is that of its socket.
    pub fn add(&mut self, config: session::Config, addresses: &[SocketAddr]) -> io::Result<()> {
        let index = self.peers.len();
        let sockets = if config.transport == Transport::Tcp { 0 } else { index };
        if self.shared.datagrams.len() != sockets {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a fleet has one transport"));
        }
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let transport = config.transport;
        if transport != Transport::Tcp {
            let mut socket = Socket::for_client().map_err(io::Error::other)?;
            self.shared.watch.add(&mut socket, index)?;
            self.shared.datagrams.add(socket);
        }
        let now = self.now();
        let over_quic = transport == Transport::Quic;
        let quic = over_quic.then(|| match &self.ticket {
            Some(ticket) => Connections::private(index, self.congestion, ticket, now.mono),
            None => Connections::new(index, self.congestion, now.mono),
        });
        let quic = quic.transpose().map_err(io::Error::other)?;
        let session = Session::new(config, addresses.to_vec(), seed, now);
        self.peers.push(Peer { session, connections: Vec::new(), quic, due: None });
        self.with_session(index, Session::handle_timeout);
        Ok(())
    }

    /// Calls `act` with one session, then transmits and reschedules its timer.
    pub fn with_session<R>(&mut self, index: usize, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let result = self.peers[index].with_session(index, &mut self.shared, &mut self.events, act);
        self.note_due(index);
        result
    }

    /// The counters of the emulated network, if there is one.
    #[must_use]
    pub fn impairment_counts(&self) -> Option<ImpairmentCounts> {
        self.shared.datagrams.impairment_counts()
    }

    /// The congestion control that the kernel or QUIC reports of each connection: one name, or
    /// several with commas.
    #[must_use]
    pub fn congestion_control(&self) -> Option<String> {
        let name = |peer: &Peer| match &peer.quic {
            Some(quic) => Some(quic.info()?.congestion.to_string()),
            None => Some(peer.connections.first()?.stream.info()?.congestion_control?.to_string()),
        };
        let names: BTreeSet<_> = self.peers.iter().filter_map(name).collect();
        let names: Vec<_> = names.into_iter().collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// The next event, with its peer and its time.
    pub fn poll_event(&mut self) -> Option<(usize, Event, Now)> {
        self.events.pop_front()
    }

    /// Waits until input, a timer or `until` is near, then serves the sockets and timers.
    ///
    /// The poller's resolution is a millisecond. A peer's timers may be that late, like any
    /// client's, but a measurement may not: within the last millisecond this returns at once, to be
    /// called again.
    ///
    /// # Errors
    /// The kernel's, when the sockets can no longer be used.
    pub fn wait(&mut self, until: Timestamp) -> io::Result<()> {
        let now = self.now().mono;
        let held = self.shared.datagrams.poll_timeout();
        let left = held.map_or(until, |held| held.min(until)).since(now);
        let whole = Duration::from_millis(micros(left) / micros(TICK));
        let timer = self.due.first().map_or(left, |(at, _)| at.since(now));
        let timeout = whole.min(timer);
        self.poller.wait(Some(timeout), &mut self.ready)?;
        if timeout.is_zero() && self.ready.is_empty() {
            // The server may share this processor.
            std::thread::yield_now();
        }
        for index in std::mem::take(&mut self.ready) {
            self.receive_datagrams(index)?;
            let Some(peer) = self.peers.get_mut(index) else { continue };
            peer.receive_stream(index, &mut self.shared, &mut self.events, &mut self.buffer);
            self.note_due(index);
        }
        let now = self.now().mono;
        self.shared.datagrams.flush(now);
        while let Some((path, bytes)) = self.shared.datagrams.receive_due(now) {
            let index = path.local.socket;
            let peer = &mut self.peers[index];
            peer.receive_datagram(index, &mut self.shared, &mut self.events, (path, &bytes));
            self.note_due(index);
        }
        // One call per peer: a peer that is due again at once waits for the next turn.
        let due: Vec<_> = self.due.range(..=(self.now().mono, usize::MAX)).copied().collect();
        for (_, index) in due {
            self.with_session(index, |session, now| session.handle_timeout(now));
            let now = self.shared.clock.now().mono;
            let peer = &mut self.peers[index];
            if let Some(quic) = &mut peer.quic {
                quic.handle_timeout(now);
                peer.report_quic(index, &mut self.shared, &mut self.events);
                self.note_due(index);
            }
        }
        Ok(())
    }

    fn receive_datagrams(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(index) else { return Ok(()) };
        loop {
            let now = self.shared.clock.now().mono;
            let received = self.shared.datagrams.receive(index, &mut self.incoming, now)?;
            let (path, bytes) = match received {
                None => break,
                Some(Read::Datagram(path, bytes)) => (path, bytes),
                Some(Read::HeldBack) => continue,
            };
            peer.receive_datagram(index, &mut self.shared, &mut self.events, (path, bytes));
        }
        while let Some((to, error)) = self.shared.datagrams.poll_error(index) {
            let obstacle = reach::obstacle(&error);
            peer.with_session(index, &mut self.shared, &mut self.events, |session, now| {
                session.handle_obstacle(to, obstacle, now);
            });
        }
        Ok(())
    }

    fn note_due(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let quic = peer.quic.as_ref().and_then(Connections::poll_timeout);
        let due = [peer.session.poll_timeout(), quic].into_iter().flatten().min();
        if due == peer.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut peer.due, due) {
            self.due.remove(&(old, index));
        }
        self.due.extend(due.map(|due| (due, index)));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::protocol::Delivery;

    #[test]
    fn a_fleet_has_one_transport() {
        let config = |transport| session::Config {
            nickname: "alice".to_owned(),
            transport,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::ZERO,
            shown: Vec::new(),
        };
        for all in [[Transport::Udp, Transport::Tcp], [Transport::Tcp, Transport::Udp]] {
            let mut fleet = Fleet::new(true, None).unwrap();
            for count in 1..3 {
                fleet.add(config(all[0]), &[]).unwrap();
                let error = fleet.add(config(all[1]), &[]).unwrap_err();
                assert_eq!((error.kind(), fleet.len()), (io::ErrorKind::InvalidInput, count));
            }
        }
    }
}
