//! A client on standard input and output, from the first join to its end.

use super::attended::{Progress, attend};
use super::cached_history::CachedHistory;
use super::commands::Command;
use super::driver::{self, Driver, Tickets};
use super::farewell::Farewell;
use super::input::{self, Pipe, Unreadable};
use super::name::{ask_name, can_ask};
use super::output::Format;
use super::screen::Screen;
use super::session::{self, CloseReason, Event, Session, Transport};
use super::terminal::{self, Terminal};
use super::whereabouts::Whereabouts;
use crate::discovery::Known;
use crate::link::{Congestion, Copies};
use crate::net::Clock;
use crate::net::{BadNetwork, ServerName};
use crate::protocol::limits::MAX_RAW_NAME;
use crate::protocol::{Delivery, Token};
use crate::words::Language;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The configuration of a client.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names or addresses of the server, or of several servers of one room, at least one.
    pub servers: Vec<ServerName>,
    /// The room, if the server was found by discovery: a lost one is searched again.
    pub room: Option<Known>,
    /// Nickname.
    pub nickname: String,
    /// Transport.
    pub transport: Transport,
    /// Whether small TCP segments leave at once (TCP_NODELAY).
    pub no_delay: bool,
    /// Copies of each line over UDP.
    pub copies: Copies,
    /// Congestion control of QUIC.
    pub congestion: Congestion,
    /// Impairment of the UDP socket.
    pub impair: Option<BadNetwork>,
    /// Delivery mode.
    pub delivery: Delivery,
    /// The cache file.
    pub cache: Option<PathBuf>,
    /// Output format.
    pub format: Format,
    /// The language of the user; that of programs is English.
    pub language: Language,
    /// Whether the terminal's bell rings for lines that address this user.
    pub bell: bool,
    /// How long to stay after the end of input; `None`: until told to leave.
    pub stay: Option<Duration>,
    /// How long to try to rejoin a lost server.
    pub give_up: Duration,
    /// Whether the room closes when this client leaves.
    pub hosts: bool,
    /// The tickets of a private room.
    pub tickets: Tickets,
    /// Token of the nickname, if the server of this process has reserved it.
    pub claim: Option<Token>,
    /// Called with a sink when the editor takes over the terminal, and with `None` when it restores
    /// it: messages for the terminal go to the sink.
    pub divert: fn(Option<Sink>),
}

/// Receives messages in place of standard error.
pub type Sink = Box<dyn Fn(String) + Send + Sync>;

/// Why a client failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No socket, thread or randomness.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// Standard output failed.
    #[error("the output could not be written: {0}")]
    Output(io::Error),
    /// Not all of the input was sent.
    #[error("not all of the input was sent: {0}")]
    Input(Unreadable),
    /// The socket or the poller failed permanently.
    #[error("the network failed: {0}")]
    Network(io::Error),
}

/// Longest wait of the screen thread between looks at the cache and updates of the status.
const IDLE: Duration = Duration::from_secs(1);

/// A handle that makes a running client leave, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Leaver {
    driver: Arc<Mutex<Option<Driver>>>,
}

impl Leaver {
    /// Leaves. False without a running client.
    pub fn leave(&self) -> bool {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(driver) = driver else { return false };
        driver.turn(Session::leave);
        true
    }

    /// Removes the client between two sessions.
    pub(super) fn forget(&self) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Sets the client that leaves.
    pub(super) fn drive(&self, driver: &Driver) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.clone());
    }
}

/// Runs a client on standard input and output to its end, and returns how it ended.
///
/// # Errors
/// [`Error`]: the client could not start or continue.
pub fn run(mut config: Config, leaver: &Leaver) -> Result<CloseReason, Error> {
    let mut screen = Screen::new(config.format, config.language, config.bell);
    let now = Clock::start().now().wall;
    let cache = config.cache.as_deref();
    let mut cached = CachedHistory::open(config.servers.first(), cache, now, &mut screen);
    if config.nickname.len() > MAX_RAW_NAME {
        cached.show_all(&mut screen);
        screen.error(&config.language.long_nickname());
        return Ok(screen.close(CloseReason::Refused));
    }
    let whereabouts = Whereabouts::new(&config.servers, config.room.clone());
    let known = config.room.as_ref().map(|room| (room.addresses().to_vec(), Vec::new()));
    let addresses = match known.map_or_else(|| whereabouts.resolve(), Ok) {
        Ok((addresses, failures)) => {
            failures.iter().for_each(|failure| screen.error(&config.language.not_found(failure)));
            addresses
        }
        Err(error) => {
            cached.show_all(&mut screen);
            screen.error(&config.language.not_found(&error));
            return Ok(screen.close(CloseReason::Unreachable));
        }
    };
    // At a terminal the join precedes the editor, so that another name can be asked for.
    let person = config.format == Format::Text && can_ask();
    let mut talk = begin(&config, &whereabouts, addresses.clone(), leaver)?;
    let mut welcome = None;
    while person && welcome.is_none() {
        match talk.show(&mut screen, &mut cached, true, &Progress::default()) {
            Shown::Welcome(event) => welcome = Some(event),
            Shown::NameRefused => {
                talk.end(leaver)?;
                let Some(name) = ask_name(config.language, None) else {
                    return Ok(CloseReason::Refused);
                };
                config.nickname = name;
                talk = begin(&config, &whereabouts, addresses.clone(), leaver)?;
            }
            Shown::Closed(reason) => return talk.finish(reason, screen, &mut cached),
        }
    }
    let driver = talk.driver.clone();
    let print =
        move |progress: &Progress| talk.go_on(&config, welcome.as_ref(), screen, cached, progress);
    match attend(&driver, print).map_err(Error::Start)? {
        Ok(outcome) => outcome,
        Err(reason) => {
            restore_terminal();
            Ok(reason)
        }
    }
}

/// A running session and its output.
struct Talk {
    driver: Driver,
    events: Receiver<Event>,
    receiver: JoinHandle<io::Result<()>>,
    farewell: Farewell,
    divert: fn(Option<Sink>),
}

/// Why showing stopped.
enum Shown {
    /// The first `Welcome`, which was shown.
    Welcome(Event),
    /// Another name is needed.
    NameRefused,
    /// The session is over.
    Closed(CloseReason),
}

/// Starts to join.
fn begin(
    config: &Config,
    whereabouts: &Whereabouts,
    addresses: Vec<SocketAddr>,
    leaver: &Leaver,
) -> Result<Talk, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Start(io::Error::other(error)))?;
    let session = session::Config {
        nickname: config.nickname.clone(),
        transport: config.transport,
        delivery: config.delivery,
        give_up: config.give_up,
        shown: Vec::new(),
    };
    let Config { no_delay, congestion, impair, .. } = config;
    let (claim, copies) = (config.claim, config.copies);
    let several = whereabouts.are_several();
    let make = |now| {
        let mut session = Session::new(session, addresses, seed, now);
        if several {
            session.has_several_servers();
        }
        session.set_copies(copies);
        if config.room.is_some() {
            session.look_first();
        }
        if let Some(token) = claim {
            session.claim_name(token);
        }
        session
    };
    // A signal during the start waits for the handle: the server may know this client before this
    // thread does.
    let mut leaving = leaver.driver.lock().unwrap_or_else(PoisonError::into_inner);
    let (places, tickets) = (whereabouts.clone(), config.tickets.clone());
    let (driver, events, receiver) = Driver::start(
        places,
        config.language,
        *no_delay,
        *congestion,
        impair.as_ref(),
        tickets,
        make,
    )
    .map_err(Error::Start)?;
    *leaving = Some(driver.clone());
    drop(leaving);
    // A pipe has no user to ask.
    let farewell = Farewell::new(config.hosts && io::stdin().is_terminal());
    Ok(Talk { driver, events, receiver, farewell, divert: config.divert })
}

impl Talk {
    /// Runs input and screen until the session is over.
    fn go_on(
        self,
        config: &Config,
        welcome: Option<&Event>,
        mut screen: Screen,
        mut cached: CachedHistory,
        progress: &Progress,
    ) -> Result<CloseReason, Error> {
        let typed = self.edited_lines(config, &mut screen);
        if let Some(welcome) = welcome {
            screen.note(welcome);
        }
        let (reader, stay, farewell) = (self.driver.clone(), config.stay, self.farewell.clone());
        let (failure, unreadable) = channel();
        let read = move || match typed {
            Some(typed) => {
                // The editor asked already.
                let farewell = Farewell::new(false);
                input::converse(typed.into_iter().map(Ok), &reader, stay, farewell, &failure);
            }
            None => {
                let stdin = io::stdin();
                let pipe = Pipe::new(&stdin, stdin.is_terminal());
                input::converse(pipe, &reader, stay, farewell, &failure);
            }
        };
        // Not joined: a read from a pipe cannot be cancelled. It ends with the process.
        thread::Builder::new().name("input".to_owned()).spawn(read).map_err(Error::Start)?;
        let reason = match self.show(&mut screen, &mut cached, false, progress) {
            Shown::Closed(reason) => reason,
            Shown::Welcome(_) | Shown::NameRefused => CloseReason::Refused,
        };
        let reason = self.finish(reason, screen, &mut cached)?;
        unreadable.try_recv().map_or(Ok(reason), |error| Err(Error::Input(error)))
    }

    /// Restores the terminal and saves the cache.
    fn finish(
        self,
        reason: CloseReason,
        mut screen: Screen,
        cached: &mut CachedHistory,
    ) -> Result<CloseReason, Error> {
        (self.divert)(None);
        screen.set_terminal(None);
        cached.save(&mut screen);
        if let Some(done) = self.driver.done() {
            screen.status(&screen.language().bad_network(&done));
        }
        driver::join(self.receiver)?;
        screen.into_error().map_or(Ok(reason), |error| Err(Error::Output(error)))
    }

    /// Ends the session before another one; until then there is none to leave.
    fn end(self, leaver: &Leaver) -> Result<(), Error> {
        leaver.forget();
        driver::join(self.receiver)
    }

    /// Starts an editor at a terminal; its commands come out of the receiver.
    fn edited_lines(&self, config: &Config, screen: &mut Screen) -> Option<Receiver<Command>> {
        if config.format != Format::Text || !terminal::is_possible() {
            return None;
        }
        // Of several servers the address tells which one it is.
        let address = self.driver.turn(|session, _| session.server());
        let address = address.filter(|_| config.servers.len() > 1).map(|it| it.to_string());
        let name = config.servers.first().map(ServerName::to_string);
        let server = address.or(name).unwrap_or_default();
        let leaver = self.driver.clone();
        let interrupt = move || leaver.turn(Session::leave);
        let (style, days, farewell) = (screen.style(), screen.days(), self.farewell.clone());
        match Terminal::start(server, &config.nickname, style, days, farewell, interrupt) {
            Ok((terminal, typed)) => {
                screen.set_terminal(Some(terminal));
                let shown = self.driver.clone();
                (self.divert)(Some(Box::new(move |line| shown.tell(line))));
                Some(typed)
            }
            Err(error) => {
                log::warn!("no line editing here: {error}");
                None
            }
        }
    }

    /// Shows events until the session is over; with `joining` until the client is admitted or its
    /// name refused.
    fn show(
        &self,
        screen: &mut Screen,
        cached: &mut CachedHistory,
        joining: bool,
        progress: &Progress,
    ) -> Shown {
        let driver = &self.driver;
        let (mut looked, mut patient) = (None, joining);
        loop {
            progress.advance();
            if screen.has_status() && looked.is_none_or(|at: Instant| at.elapsed() >= IDLE) {
                looked = Some(Instant::now());
                let (server, condition) = driver.turn(|s, _| (s.server(), s.condition()));
                screen.set_status(server, condition, driver.report());
            }
            match self.events.recv_timeout(IDLE) {
                Ok(event) => {
                    self.farewell.note(&event);
                    let welcome = matches!(event, Event::Welcome { .. });
                    if welcome {
                        looked = None;
                    }
                    let news = cached.precede(&event, screen);
                    cached.remember(&event);
                    let closed = matches!(event, Event::Closed { .. });
                    if joining && closed && driver.turn(|session, _| session.is_name_refused()) {
                        return Shown::NameRefused;
                    }
                    if news {
                        screen.show(&event);
                    }
                    match event {
                        Event::Closed { reason } => return Shown::Closed(reason),
                        event if joining && welcome => return Shown::Welcome(event),
                        _ => {}
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    cached.show_all(screen);
                    cached.save(screen);
                    // The closing event was dropped by a full queue.
                    if let Some(reason) = driver.ended() {
                        return Shown::Closed(screen.close(reason));
                    }
                    if std::mem::take(&mut patient) {
                        screen.status(&screen.language().no_answer_yet());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Shown::Closed(screen.close(CloseReason::Lost));
                }
            }
            let overflowed = driver.take_overflowed();
            if overflowed > 0 {
                screen.events_dropped(overflowed);
            }
            if screen.is_broken() {
                driver.turn(Session::leave);
            }
        }
    }
}

/// Saves the modes of the terminal for `restore_terminal`.
pub fn keep_terminal() {
    terminal::keep();
}

/// Restores the terminal, for a process that exits at once: it does not wait for a blocked
/// terminal.
pub fn restore_terminal() {
    let (done, restored) = sync_channel(1);
    let restore = move || {
        terminal::restore();
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(restore).is_ok() {
        let _ = restored.recv_timeout(IDLE);
    }
}
