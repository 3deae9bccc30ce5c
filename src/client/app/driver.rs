//! Carries bytes between socket and session, and events to the screen.
//!
//! These threads share the session behind one lock, which none of them holds while it waits:
//!
//! - the *receiver* sleeps on the socket and on the session's timers. It never prints and never
//!   waits for the terminal: events go into a bounded queue.
//! - the *input* thread takes lines and sends them itself. It reads them, or gets them from the
//!   terminal's editor, which has a thread of its own so that it never waits for the network.
//! - the *screen* thread takes events from the queue and prints. The main thread waits for it,
//!   unless the session is over and the output is blocked.

mod receiver;

use super::monitor::Monitor;
use super::session::{self, CloseReason, Notice, Report, Session, Transport};
use super::whereabouts::Whereabouts;
use super::{Error, reach};
use crate::client::quic::Connections;
use crate::link::Congestion;
use crate::net::{
    BadNetwork, Clock, Datagrams, End, ImpairmentCounts, Poller, Socket, Stream, Watch, Written,
};
use crate::path::Path;
use crate::protocol::limits::MAX_DATAGRAM;
use crate::ticket::Ticket;
use crate::time::Now;
use crate::words::Language;
use mio::Waker;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// Bound of the event queue. A terminal that blocks for longer misses events.
const QUEUE: usize = 16_384;

/// The poller's index of the UDP socket.
const SOCKET: usize = 0;

/// The tickets of a client.
#[derive(Clone, Debug, Default)]
pub struct Tickets {
    /// The one to join with.
    pub own: Option<Ticket>,
    /// The one that a host gives to others.
    pub to_give: Option<Ticket>,
}

/// A handle to the running session, for any thread.
#[derive(Clone, Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
}

/// The state behind the lock.
#[derive(Debug)]
struct Turns {
    session: Session,
    /// The one socket; its index at the poller is 0.
    datagrams: Datagrams,
    /// The established connection, or pending ones.
    connections: Vec<Connection>,
    /// QUIC, for a session over it.
    quic: Option<Connections>,
    /// Index of the next connection.
    next: usize,
}

#[derive(Debug)]
struct Connection {
    index: usize,
    server: SocketAddr,
    stream: Stream,
    announced: bool,
}

#[derive(Debug)]
struct Shared {
    turns: Monitor<Turns>,
    server: Whereabouts,
    language: Language,
    /// The last report of a look-up.
    last_report: Mutex<String>,
    no_delay: bool,
    watch: Watch,
    clock: Clock,
    waker: Arc<Waker>,
    queue: SyncSender<session::Event>,
    tickets: Tickets,
    overflowed: AtomicU64,
    ended: OnceLock<CloseReason>,
    resolving: AtomicBool,
}

impl Driver {
    /// Opens a socket and starts the receiver thread. `make` creates the session.
    pub(super) fn start(
        server: Whereabouts,
        language: Language,
        no_delay: bool,
        congestion: Congestion,
        impair: Option<&BadNetwork>,
        tickets: Tickets,
        make: impl FnOnce(Now) -> Session,
    ) -> io::Result<(Self, Receiver<session::Event>, JoinHandle<io::Result<()>>)> {
        let (driver, events, poller) =
            Self::open(server, language, no_delay, congestion, impair, tickets, make)?;
        let receiver = driver.clone();
        let thread = thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            let outcome = receiver.receive(poller);
            if outcome.is_err() {
                receiver.give_up();
            }
            outcome
        })?;
        Ok((driver, events, thread))
    }

    fn open(
        server: Whereabouts,
        language: Language,
        no_delay: bool,
        congestion: Congestion,
        impair: Option<&BadNetwork>,
        tickets: Tickets,
        make: impl FnOnce(Now) -> Session,
    ) -> io::Result<(Self, Receiver<session::Event>, Poller)> {
        let mut socket = Socket::for_client().map_err(io::Error::other)?;
        let poller = Poller::new()?;
        poller.add(&mut socket, SOCKET)?;
        let mut datagrams = Datagrams::new(End::Client, impair);
        datagrams.add(socket);
        let clock = Clock::start();
        let (queue, events) = sync_channel(QUEUE);
        let now = clock.now();
        let session = make(now);
        let over_quic = session.transport() == Transport::Quic;
        let quic = over_quic.then(|| match &tickets.own {
            Some(ticket) => Connections::private(SOCKET, congestion, ticket, now.mono),
            None => Connections::new(SOCKET, congestion, now.mono),
        });
        let quic = quic.transpose().map_err(io::Error::other)?;
        let driver = Self {
            shared: Arc::new(Shared {
                turns: Monitor::new(Turns {
                    session,
                    datagrams,
                    connections: Vec::new(),
                    quic,
                    next: SOCKET + 1,
                }),
                server,
                language,
                last_report: Mutex::default(),
                no_delay,
                watch: poller.watch()?,
                clock,
                waker: poller.waker(),
                queue,
                tickets,
                overflowed: AtomicU64::new(0),
                ended: OnceLock::new(),
                resolving: AtomicBool::new(false),
            }),
        };
        Ok((driver, events, poller))
    }

    /// Runs `act` on the session, then sends datagrams and queues events.
    pub(super) fn turn<R>(&self, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let result = self.shared.turns.turn(|turns| self.turn_in(turns, act));
        self.wake();
        result
    }

    /// Like `turn`, repeated after each change until `act` has a result. `None` at the deadline.
    pub(super) fn wait_until<R>(
        &self,
        deadline: Option<Instant>,
        mut act: impl FnMut(&mut Session, Now) -> Option<R>,
    ) -> Option<R> {
        let result = self.shared.turns.wait_until(deadline, |turns| self.turn_in(turns, &mut act));
        self.wake();
        result
    }

    /// Whether the server takes orders of its moderator from this client.
    pub(super) fn moderates(&self) -> bool {
        self.turn(|session, _| session.has_claim())
    }

    /// The ticket that a host gives to others.
    pub(super) fn ticket_to_give(&self) -> Option<&Ticket> {
        self.shared.tickets.to_give.as_ref()
    }

    /// Counters of the impairment, if any.
    pub(super) fn done(&self) -> Option<ImpairmentCounts> {
        self.shared.turns.lock().datagrams.impairment_counts()
    }

    /// Counters of the link and of the socket; `None` before there is a link.
    pub(super) fn report(&self) -> Option<Report> {
        let mut turns = self.shared.turns.lock();
        let report = turns.session.report()?;
        let unread = turns.datagrams.unread();
        let tcp = turns.connection().and_then(|open| open.stream.info());
        let quic = turns.quic.as_ref().and_then(Connections::info);
        Some(Report { unread, tcp, quic, ..report })
    }

    /// The language of the user.
    pub(super) fn language(&self) -> Language {
        self.shared.language
    }

    /// Queues an error message.
    pub(super) fn complain(&self, message: String) {
        self.show(session::Event::Error { notice: Notice::Worded(message) });
    }

    /// Queues a status message.
    pub(super) fn tell(&self, text: String) {
        self.show(session::Event::Status { notice: Notice::Worded(text) });
    }

    /// Queues an event for the screen. If the queue is full, the event is only counted.
    pub(super) fn show(&self, event: session::Event) {
        if let session::Event::Closed { reason } = &event {
            let _ = self.shared.ended.set(*reason);
        }
        if self.shared.queue.try_send(event).is_err() {
            self.shared.overflowed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How the session ended, if it has: the event may have been dropped by a full queue.
    pub(super) fn ended(&self) -> Option<CloseReason> {
        self.shared.ended.get().copied()
    }

    /// Events dropped by a full queue since the last call.
    pub(super) fn take_overflowed(&self) -> u64 {
        self.shared.overflowed.swap(0, Ordering::Relaxed)
    }

    /// The network failed: closes the session and wakes all waiters.
    fn give_up(&self) {
        self.turn(|session, _| session.give_up());
    }

    fn turn_in<R>(&self, turns: &mut Turns, act: impl FnOnce(&mut Session, Now) -> R) -> R {
        let shared = &*self.shared;
        let now = shared.clock.now();
        let result = act(&mut turns.session, now);
        turns.transmit(now);
        while let Some(event) = turns.session.poll_event() {
            match event {
                session::Event::Resolve => self.resolve(),
                session::Event::Connect(server) => self.connect(turns, server, now),
                session::Event::Disconnect => turns.disconnect(now),
                event => self.show(event),
            }
        }
        result
    }

    /// Starts a connection. The poller reports when it is established.
    fn connect(&self, turns: &mut Turns, server: SocketAddr, now: Now) {
        if let Some(quic) = &mut turns.quic {
            quic.connect(server, now.mono);
            return quic.transmit(&mut turns.session, &mut turns.datagrams, now);
        }
        let begun = Stream::connect(server).and_then(|mut stream| {
            stream.set_no_delay(self.shared.no_delay);
            self.shared.watch.add(&mut stream, turns.next)?;
            Ok(stream)
        });
        match begun {
            Ok(stream) => {
                let index = turns.next;
                turns.next += 1;
                turns.connections.push(Connection { index, server, stream, announced: false });
            }
            Err(error) => {
                log::debug!("cannot connect to {server}: {error}");
                turns.session.handle_obstacle(server, reach::local_obstacle(&error), now);
            }
        }
    }

    /// Tells the session what QUIC reports.
    fn report_quic(&self, turns: &mut Turns) {
        while let Turns { session, quic: Some(quic), .. } = turns
            && quic.step(session, self.shared.clock.now())
        {
            self.turn_in(turns, |_, _| ());
        }
    }

    /// Looks up the server's name in a thread of its own, one at a time, because resolvers can be
    /// slow.
    fn resolve(&self) {
        if self.shared.resolving.swap(true, Ordering::AcqRel) {
            return;
        }
        let driver = self.clone();
        let lookup = move || {
            match driver.shared.server.look_up(driver.language()) {
                Ok((addresses, text)) => {
                    driver.go_to(addresses);
                    text.into_iter().for_each(|text| driver.tell_once(text));
                }
                Err(error) => log::debug!("cannot look the server up: {error}"),
            }
            driver.shared.resolving.store(false, Ordering::Release);
        };
        if let Err(error) = thread::Builder::new().name("resolver".to_owned()).spawn(lookup) {
            log::debug!("no thread to look the server up in: {error}");
        }
    }

    /// Takes the result of a look-up.
    fn go_to(&self, addresses: Vec<SocketAddr>) {
        let first = addresses.first().copied();
        let others = self.turn(|session, now| session.set_addresses(addresses, now));
        if let Some(first) = first.filter(|_| others) {
            self.tell_once(self.language().is_at(&self.shared.server.describe(), first));
        }
    }

    /// Queues a message that repeats, once per change.
    fn tell_once(&self, text: String) {
        let mut last_report =
            self.shared.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        if *last_report != text {
            last_report.clone_from(&text);
            self.tell(text);
        }
    }

    /// Wakes the receiver if a timer moved forward.
    fn wake(&self) {
        if let Err(error) = self.shared.waker.wake() {
            log::error!("cannot wake the receiver: {error}");
        }
    }
}

/// Waits for the receiver's end and returns its error.
pub(super) fn join(receiver: JoinHandle<io::Result<()>>) -> Result<(), Error> {
    // A panic ends the process; otherwise it is propagated here.
    let outcome = receiver.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    outcome.map_err(Error::Network)
}

impl Turns {
    /// The established connection.
    fn connection(&mut self) -> Option<&mut Connection> {
        self.connections.first_mut().filter(|open| open.announced)
    }

    /// Closes all connections, pending ones too.
    fn disconnect(&mut self, now: Now) {
        self.connections.clear();
        if let Some(quic) = &mut self.quic {
            quic.disconnect(now.mono);
        }
    }

    /// Sends all pending datagrams or bytes.
    fn transmit(&mut self, now: Now) {
        let mut buffer = Vec::new();
        while let Some(to) = self.session.poll_transmit(&mut buffer, now) {
            let path = Path::routed(SOCKET, to);
            if !self.session.is_joining() || buffer.len() > MAX_DATAGRAM {
                self.datagrams.send(&buffer, path, now.mono);
            } else if let Err(error) = self.datagrams.try_send(&buffer, path, now.mono) {
                log::debug!("no join to {to}: {error}");
                self.session.handle_obstacle(to, reach::refused_send(to, &error), now);
            }
        }
        if let Some(quic) = &mut self.quic {
            quic.transmit(&mut self.session, &mut self.datagrams, now);
        }
        self.datagrams.flush(now.mono);
        while let Some((path, bytes)) = self.datagrams.poll_refused() {
            self.session.handle_refused_size(path.remote, bytes, now);
        }
        let open = self.connections.first_mut().filter(|open| open.announced);
        let Some(open) = open else { return };
        while self.session.poll_stream_transmit(&mut buffer, now) {
            if open.stream.write(&buffer) == Written::Whole {
                self.session.handle_stream_writable(now);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::client::session::{Config, Event, Transport};
    use crate::protocol::Delivery;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    /// A driver without its thread, with a silent socket as server.
    pub(super) fn open(
        silent: &std::net::UdpSocket,
        impair: Option<&BadNetwork>,
    ) -> (Driver, Receiver<Event>, Poller) {
        let address = silent.local_addr().unwrap();
        let config = Config {
            nickname: "alice".to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::from_secs(600),
            shown: Vec::new(),
        };
        let make = |now| Session::new(config, vec![address], [1; 32], now);
        let server = Whereabouts::new(&[address.into()], None);
        let tickets = Tickets::default();
        let (language, congestion) = (Language::En, Congestion::default());
        Driver::open(server, language, true, congestion, impair, tickets, make).unwrap()
    }

    #[test]
    fn a_failed_receiver_ends_the_session_and_wakes_all_waiters() {
        let silent = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (driver, events, _poller) = open(&silent, None);
        let waiting = driver.clone();
        let input = thread::spawn(move || {
            waiting.wait_until(None, |session, _| session.is_closed().then_some(()))
        });
        driver.give_up();
        assert_eq!(input.join().unwrap(), Some(()));
        assert_eq!(events.recv().unwrap(), Event::Closed { reason: CloseReason::Lost });
    }
}
