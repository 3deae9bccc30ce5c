//! Many clients in one thread, all over the same transport. Only those are touched that have something to
//! read or something due, so that a thousand idle ones cost next to nothing.

use super::peer::{Peer, Surroundings};
use crate::client::session::{self, Event, Session, Transport};
use crate::net::{BadNetwork, Clock, Datagrams, Done, End, Incoming, Poller, Ready, Socket};
use crate::time::{Now, Timestamp, micros};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What the poller counts in.
const TICK: Duration = Duration::from_millis(1);

/// See the module. A peer is named by its index.
#[derive(Debug)]
pub struct Fleet {
    peers: Vec<Peer>,
    around: Surroundings,
    poller: Poller,
    ready: Ready,
    /// When which peer wants to be called, one entry for each at most.
    due: BTreeSet<(Timestamp, usize)>,
    events: VecDeque<(usize, Event, Now)>,
    incoming: Incoming,
    buffer: Vec<u8>,
}

impl Fleet {
    /// Nobody yet.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn new(no_delay: bool, impair: Option<&BadNetwork>) -> io::Result<Self> {
        let poller = Poller::new()?;
        let datagrams = Datagrams::new(End::Client, impair);
        let watch = poller.watch()?;
        let around = Surroundings { clock: Clock::start(), watch, datagrams, no_delay };
        Ok(Self {
            peers: Vec::new(),
            around,
            poller,
            ready: Ready::new(),
            due: BTreeSet::new(),
            events: VecDeque::new(),
            incoming: Incoming::default(),
            buffer: Vec::new(),
        })
    }

    /// One clock for all: their times can be subtracted from each other.
    pub fn now(&self) -> Now {
        self.around.clock.now()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// One of them.
    pub fn session(&self, index: usize) -> &Session {
        &self.peers[index].session
    }

    /// All of them, by index.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.peers.iter().map(|peer| &peer.session)
    }

    /// Adds a peer, which begins to join. It is not seeded by the run: a server takes a join that
    /// repeats an earlier one for an echo of it.
    ///
    /// # Errors
    /// The kernel's, such as too many open files.
    pub fn add(&mut self, config: session::Config, addresses: &[SocketAddr]) -> io::Result<()> {
        let index = self.peers.len();
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        if config.transport == Transport::Udp {
            let mut socket = Socket::for_client().map_err(io::Error::other)?;
            self.around.watch.add(&mut socket, index)?;
            self.around.datagrams.add(socket);
        }
        let session = Session::new(config, addresses.to_vec(), seed, self.now());
        self.peers.push(Peer { session, connections: Vec::new(), due: None });
        self.act(index, Session::handle_timeout);
        Ok(())
    }

    /// Does something with one session, and sends what follows from it.
    pub fn act<R>(&mut self, index: usize, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let result = self.peers[index].turn(index, &mut self.around, &mut self.events, act);
        self.note_due(index);
        result
    }

    /// What the bad network did, where there is one.
    pub fn done(&self) -> Option<Done> {
        self.around.datagrams.done()
    }

    /// What happened next, to whom, and when.
    pub fn poll_event(&mut self) -> Option<(usize, Event, Now)> {
        self.events.pop_front()
    }

    /// Serves the network and the timers, once there is something to do or `until` is near.
    ///
    /// The poller counts in milliseconds. Peers' timers may be that late, as any client's are; who
    /// measures must not be, so within the last millisecond this returns at once, to be called again.
    ///
    /// # Errors
    /// The kernel's, when the network is of no more use.
    pub fn wait(&mut self, until: Timestamp) -> io::Result<()> {
        let now = self.now().mono;
        let held = self.around.datagrams.poll_timeout();
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
            peer.receive_stream(index, &mut self.around, &mut self.events, &mut self.buffer);
            self.note_due(index);
        }
        let now = self.now().mono;
        self.around.datagrams.flush(now);
        while let Some((path, bytes)) = self.around.datagrams.receive_due(now) {
            let from = path.remote;
            self.act(path.local.socket, |session, now| session.handle_datagram(from, &bytes, now));
        }
        // Each once: one that is due again at once waits for the next turn.
        let due: Vec<_> = self.due.range(..=(self.now().mono, usize::MAX)).copied().collect();
        for (_, index) in due {
            self.act(index, Session::handle_timeout);
        }
        Ok(())
    }

    fn receive_datagrams(&mut self, index: usize) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(index) else { return Ok(()) };
        loop {
            let now = self.around.clock.now().mono;
            let received = self.around.datagrams.receive(index, &mut self.incoming, now)?;
            let Some((path, bytes)) = received else { return Ok(()) };
            peer.turn(index, &mut self.around, &mut self.events, |session, now| {
                session.handle_datagram(path.remote, bytes, now);
            });
        }
    }

    fn note_due(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let due = peer.session.poll_timeout();
        if due == peer.due {
            return;
        }
        if let Some(old) = std::mem::replace(&mut peer.due, due) {
            self.due.remove(&(old, index));
        }
        self.due.extend(due.map(|due| (due, index)));
    }
}
