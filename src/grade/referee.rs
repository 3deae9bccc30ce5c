//! The referee: a hub, a teacher in the room, and the client behind one socket, on one clock.

mod inputs;

use super::Error;
use super::case::Case;
use super::process::{Input, Process, describe};
use super::scenario::{Room, covers};
use super::sockets::{Stop, Streams, listen};
use super::trace::{Entry, Event, Trace};
use super::waits::Gauge;
use crate::client::session::{self, Session, Transport};
use crate::hub::{self, Capacity, Destination, Hub, Past, Path};
use crate::link::Copies;
use crate::net::Clock;
use crate::protocol::limits::MAX_DATAGRAM;
use crate::protocol::{Delivery, LeaveReason};
use crate::time::{Now, Timestamp};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// A wait on a busy machine takes up to this many times its limit.
const STRETCH: u32 = 4;
/// Limit of each wait. Only a client with a fault takes this long.
const DEADLINE: Duration = Duration::from_secs(10);
/// The last acknowledgment of a scenario is not waited for longer than this.
pub(super) const LAST_ANSWER: Duration = Duration::from_millis(1_500);
/// A client whose process has ended is not waited for longer than this.
const AFTERMATH: Duration = Duration::from_secs(1);
/// Time for the last datagrams and output of an ended client to arrive, on a busy machine too.
const REST: Duration = Duration::from_secs(5);
/// Longest sleep: the end of the process does not wake the referee.
const LOOK: Duration = Duration::from_millis(20);
/// Datagrams of a client, beyond which its run ends.
const MAX_DATAGRAMS: usize = 20_000;
/// Capacity of the queue of inputs. Beyond it datagrams wait in the kernel, or are dropped there.
const BACKLOG: usize = 1_024;

/// Which way a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the client.
    Up,
    /// To the client.
    Down,
}

/// Expiry of a silent client: longer than any scenario.
const EXPIRY: Duration = Duration::from_secs(60);

/// Replaces a datagram by those that arrive in its place, in this order.
pub(super) type Rule = Box<dyn FnMut(Way, Vec<u8>) -> Vec<Vec<u8>> + Send>;

pub(super) struct Referee<'c> {
    pub(super) case: &'c Case,
    pub(super) trace: Trace,
    clock: Clock,
    hub: Hub,
    teacher: Session,
    /// The teacher's address at the hub. Its datagrams pass in memory.
    teacher_path: Path,
    /// The hub's address at the teacher.
    hub_address: SocketAddr,
    client: Option<SocketAddr>,
    /// The client's address as the hub sees it, if that is another one.
    alias: Option<SocketAddr>,
    process: Option<Process>,
    rule: Rule,
    inputs: Receiver<Input>,
    sender: SyncSender<Input>,
    socket: Arc<UdpSocket>,
    stranger: UdpSocket,
    streams: Streams,
    stop: Stop,
    gauge: Gauge,
    /// When the last wait for an input ended.
    awake: Timestamp,
    ups: usize,
    ended: Option<Timestamp>,
    /// Sources of an ended client that may still deliver: two outputs, and its datagrams.
    open: u8,
    name: &'static str,
}

impl<'c> Referee<'c> {
    /// Opens the room. The teacher has joined it, and has said these lines.
    pub(super) fn open(case: &'c Case, room: &Room, said: &[String]) -> Result<Self, Error> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
        let clock = Clock::start();
        let config = hub::Config {
            room: "grading".to_owned(),
            heartbeat: room.heartbeat,
            capacity: Capacity { peers: 8, peers_per_ip: 8, expiry: EXPIRY },
            replay: room.replay,
            limit: room.limit,
            discovery: None,
        };
        let now = clock.now();
        let mut hub = Hub::new(config, Past::default(), case.seed, now);
        // The hub's datagrams then depend on those that arrive, not on the machine's speed.
        hub.set_copies(Copies::Fixed(0));
        let hub_address = SocketAddr::from(([10, 0, 0, 1], 1));
        let config = session::Config {
            nickname: case.teacher.to_owned(),
            transport: Transport::Udp,
            delivery: Delivery::ReliableOrdered,
            give_up: DEADLINE,
            shown: Vec::new(),
        };
        let teacher = Session::new(config, vec![hub_address], case.seed, now);
        let (sender, inputs) = sync_channel(BACKLOG);
        let stop = Arc::new(AtomicBool::new(false));
        listen(socket.clone(), sender.clone(), stop.clone(), clock)?;
        let mut referee = Self {
            case,
            trace: Trace::default(),
            clock,
            hub,
            teacher,
            teacher_path: Path::routed(0, ([10, 0, 0, 2], 1).into()),
            hub_address,
            client: None,
            alias: None,
            process: None,
            rule: Box::new(|_, bytes| vec![bytes]),
            inputs,
            sender,
            socket,
            stranger: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?,
            streams: Streams::default(),
            stop: Stop(stop),
            gauge: Gauge::default(),
            awake: now.mono,
            ups: 0,
            ended: None,
            open: 3,
            name: room.name.unwrap_or(case.name),
        };
        referee.wait(|it| it.noticed(|event| matches!(event, session::Event::Welcome { .. })));
        for line in said {
            referee.teach(line);
            referee.settle();
        }
        Ok(referee)
    }

    /// Starts the client, under a rule for its datagrams.
    pub(super) fn start(&mut self, command: &[OsString], rule: Rule) -> Result<(), Error> {
        let address = self.socket.local_addr()?.to_string();
        self.rule = rule;
        self.start_at(command, &address)
    }

    /// Starts the client with an address for TCP. What the server writes arrives in pieces of these
    /// sizes, in turn; without sizes, whole.
    pub(super) fn start_tcp(
        &mut self,
        command: &[OsString],
        pieces: Vec<usize>,
    ) -> Result<(), Error> {
        let address = self.streams.listen(pieces, self.sender.clone(), self.stop.0.clone())?;
        self.start_at(command, &format!("tcp://{address}"))
    }

    fn start_at(&mut self, command: &[OsString], address: &str) -> Result<(), Error> {
        self.mark("start");
        let process = Process::start(command, address, self.name, &self.sender)?;
        self.gauge.watch(process.id());
        self.process = Some(process);
        Ok(())
    }

    /// From now on the hub sees the client at another address, as behind a NAT that has forgotten
    /// it. Datagrams to the old address are lost.
    pub(super) fn rebind(&mut self) {
        self.alias = Some(([127, 0, 0, 2], 40_000).into());
    }

    /// Changes the rule.
    pub(super) fn rule(&mut self, rule: Rule) {
        self.rule = rule;
    }

    /// Types a line for the client to say.
    pub(super) fn type_line(&mut self, line: &str) {
        if let Some(process) = &mut self.process {
            process.type_line(line);
        }
    }

    /// Asks the client to leave: `exit`, and the end of its input.
    pub(super) fn leave(&mut self) {
        self.mark("leave");
        if let Some(process) = &mut self.process {
            process.type_line("exit");
            process.end_input();
        }
    }

    /// The teacher says a line.
    pub(super) fn teach(&mut self, line: &str) {
        // A teacher in memory, with little to say, is never busy.
        let _ = self.teacher.say(line, self.clock.now());
        self.turn();
    }

    /// The teacher says a line to the client alone.
    pub(super) fn whisper(&mut self, line: &str) {
        let _ = self.teacher.whisper(self.case.name, line, self.clock.now());
        self.turn();
    }

    /// The server closes.
    pub(super) fn shut_down(&mut self) {
        self.mark("shutdown");
        self.hub.shutdown(LeaveReason::Shutdown, self.clock.now());
        self.turn();
    }

    /// Notes that the script is here.
    pub(super) fn mark(&mut self, name: &'static str) {
        self.note(Event::Mark(name));
    }

    /// Sends a datagram that the hub did not make.
    pub(super) fn forge(&mut self, bytes: Vec<u8>) {
        if let Some(client) = self.client {
            self.note(Event::Forged { bytes: bytes.clone() });
            let _ = self.socket.send_to(&bytes, client);
        }
    }

    /// Sends a datagram from another address than the server's.
    pub(super) fn forge_from_elsewhere(&mut self, bytes: Vec<u8>) {
        if let Some(client) = self.client {
            self.note(Event::Forged { bytes: bytes.clone() });
            let _ = self.stranger.send_to(&bytes, client);
        }
    }

    /// The client's session.
    pub(super) fn session(&self) -> u64 {
        self.trace.welcome().map_or(0, |(_, session)| session)
    }

    /// Waits until the trace satisfies this. Returns whether it did within the deadline, and while
    /// the client was there. Time that the client waited for a processor does not count, up to a
    /// limit.
    pub(super) fn wait(&mut self, wanted: impl Fn(&Trace) -> bool) -> bool {
        self.wait_for(DEADLINE, wanted)
    }

    pub(super) fn wait_for(&mut self, most: Duration, wanted: impl Fn(&Trace) -> bool) -> bool {
        let begin = self.clock.now().mono;
        let mut looked_at = usize::MAX;
        loop {
            self.turn();
            // An unchanged trace is not judged again.
            if looked_at != self.trace.entries.len() {
                if wanted(&self.trace) {
                    return true;
                }
                looked_at = self.trace.entries.len();
            }
            let now = self.clock.now().mono;
            let passed = now.since(begin);
            let disturbed = self.trace.waits.since(begin.since(Timestamp::ZERO));
            let is_starved = passed >= most * STRETCH;
            let is_over = is_starved || passed.saturating_sub(disturbed) >= most;
            self.trace.starved |= is_starved;
            let is_gone = self.ended.is_some_and(|at| now >= at + AFTERMATH);
            if is_over || is_gone || self.ups > MAX_DATAGRAMS {
                return false;
            }
            self.sleep(begin + most + disturbed);
        }
    }

    /// Waits for the end of the process.
    pub(super) fn wait_for_end(&mut self) {
        self.wait(|trace| trace.end().is_some());
    }

    /// The trace, when the client has acknowledged what it received, or could have. What it printed
    /// may be here before the datagrams that it sent earlier.
    pub(super) fn finish(mut self) -> Trace {
        self.wait_for(LAST_ANSWER, |it| {
            let last = it.received().filter(|seen| seen.is_eliciting()).last();
            last.is_none_or(|last| {
                it.sent()
                    .any(|up| up.index > last.index && covers(&up.header, last.header.sequence))
            })
        });
        self.trace
    }

    /// Waits until the teacher has all answers.
    fn settle(&mut self) {
        let deadline = self.clock.now().mono + DEADLINE;
        while !self.teacher.is_settled() && self.clock.now().mono < deadline {
            self.turn();
            self.sleep(deadline);
        }
    }

    fn note(&mut self, event: Event) {
        self.note_at(self.clock.now().mono, event);
    }

    /// Notes an event in its place: some that occurred later may be noted already.
    fn note_at(&mut self, at: Timestamp, event: Event) {
        let at = at.since(Timestamp::ZERO);
        let place = self.trace.entries.partition_point(|it| it.at <= at);
        self.trace.entries.insert(place, Entry { at, event });
    }

    /// Handles the timers of hub and teacher, and the end of the process.
    fn turn(&mut self) {
        let now = self.clock.now();
        self.hub.handle_timeout(now);
        self.teacher.handle_timeout(now);
        // Each answers the other; in memory that ends at once.
        while self.carry(now) {}
        let looked = self.clock.now().mono;
        if self.ended.is_none()
            && let Some(status) = self.process.as_mut().and_then(Process::ended)
        {
            self.ended = Some(looked);
            self.drain(self.clock.now().mono + REST);
            // The threads that read what it printed may have waited for a processor since.
            let at = looked.since(Timestamp::ZERO);
            for entry in self.trace.entries.iter_mut().rev().take_while(|it| it.at > at) {
                entry.at = at;
            }
            self.note_at(looked, Event::Ended { code: status.code(), how: describe(status) });
        }
    }

    /// Delivers the datagrams of hub and teacher. Returns whether there were any.
    fn carry(&mut self, now: Now) -> bool {
        let mut buffer = Vec::new();
        let mut any = false;
        while self.teacher.poll_transmit(&mut buffer, now).is_some() {
            any = true;
            for bytes in buffer.chunks(MAX_DATAGRAM) {
                self.hub.handle_datagram(self.teacher_path, bytes, now);
            }
        }
        while self.hub.poll_event().is_some() {}
        while let Some(destination) = self.hub.poll_transmit(&mut buffer, now) {
            any = true;
            match destination {
                Destination::Datagram(path) if path == self.teacher_path => {
                    for bytes in buffer.chunks(MAX_DATAGRAM) {
                        self.teacher.handle_datagram(self.hub_address, bytes, now);
                    }
                }
                Destination::Datagram(path) => {
                    for bytes in buffer.chunks(MAX_DATAGRAM) {
                        self.send(bytes.to_vec(), path.remote);
                    }
                }
                Destination::Stream(id) => {
                    self.streams.write(id.0, &buffer);
                    self.hub.handle_taken(destination, now);
                }
                Destination::Close(id) => self.streams.close(id.0),
                // Beside QUIC's streams only.
                Destination::Message(..) => {}
            }
        }
        while let Some(event) = self.teacher.poll_event() {
            self.note(Event::Teacher(Box::new(event)));
        }
        any
    }

    fn send(&mut self, bytes: Vec<u8>, to: SocketAddr) {
        let to = match (self.alias, self.client) {
            (Some(alias), Some(client)) if alias == to => client,
            (Some(_), _) => return,
            (None, _) => to,
        };
        for bytes in (self.rule)(Way::Down, bytes) {
            // Loopback drops what does not fit into the client's buffer, like any network.
            // Noted first: no answer is earlier than what it answers.
            self.note(Event::Down { bytes: bytes.clone() });
            let _ = self.socket.send_to(&bytes, to);
        }
    }

    fn sleep(&mut self, deadline: Timestamp) {
        let now = self.clock.now().mono;
        // Its own work is short. Work that took long waited for a processor.
        self.gauge.late(now.since(self.awake));
        let due = [Some(deadline), self.hub.poll_timeout(), self.teacher.poll_timeout()];
        let due = due.into_iter().flatten().min().unwrap_or(deadline);
        let most = due.since(now).min(LOOK);
        let input = self.inputs.recv_timeout(most);
        self.awake = self.clock.now().mono;
        self.gauge.late(self.awake.since(now).saturating_sub(most));
        if let Ok(input) = input {
            self.take(input);
        }
        // A client that sends without pause must not keep the script from looking at the time.
        for _ in 0..BACKLOG {
            let Ok(input) = self.inputs.try_recv() else { break };
            self.take(input);
        }
        self.gauge.sample(self.clock.now().mono, &mut self.trace.waits);
    }
}
