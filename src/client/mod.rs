//! The client: a session (sans-IO), the threads that carry it, the user's side of it.

pub mod cache;
mod commands;
pub mod discovery;
mod driver;
mod input;
mod memory;
mod output;
pub(crate) mod reach;
mod screen;
pub mod session;
mod style;
mod terminal;
mod turnstile;
pub mod watch;
mod whereabouts;

pub use input::Unreadable;
pub use output::Format;

use crate::discovery::Known;
use crate::net::Clock;
use crate::net::{BadNetwork, ServerName};
use crate::protocol::Delivery;
use crate::protocol::limits::MAX_RAW_NAME;
use commands::Command;
use driver::Driver;
use input::Pipe;
use memory::Memory;
use screen::Screen;
use session::{CloseReason, Event, Session, Transport};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use terminal::Terminal;
use whereabouts::Whereabouts;

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server is.
    pub server: ServerName,
    /// The room, if the server was found near here: it is looked for again when it is lost.
    pub room: Option<Known>,
    /// The name to ask for.
    pub nickname: String,
    /// What carries the chat.
    pub transport: Transport,
    /// Whether small TCP segments leave at once.
    pub no_delay: bool,
    /// A bad network before the UDP socket, if one is asked for.
    pub impair: Option<BadNetwork>,
    /// How chat lines travel.
    pub delivery: Delivery,
    /// Where the last lines are kept, if anywhere.
    pub cache: Option<PathBuf>,
    /// How to print.
    pub format: Format,
    /// How long to stay after the input has ended; `None`: until told to go.
    pub stay: Option<Duration>,
    /// How long to go on trying to come back to a lost server.
    pub give_up: Duration,
}

/// The client could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No socket, no thread, no randomness.
    #[error("cannot start: {0}")]
    Start(io::Error),
    /// Standard output takes nothing.
    #[error("the output could not be written: {0}")]
    Output(io::Error),
    /// Standard input was not read to its end.
    #[error("not all of the input was sent: {0}")]
    Input(Unreadable),
    /// The socket, or waiting for it, failed for good.
    #[error("the network failed: {0}")]
    Network(io::Error),
}

/// How long the main thread waits for something to show before it looks after the cache; and how old the
/// status may be.
const IDLE: Duration = Duration::from_secs(1);

/// A way to make a running client leave, from any thread.
#[derive(Clone, Debug, Default)]
pub struct Leaver {
    driver: Arc<Mutex<Option<Driver>>>,
}

impl Leaver {
    /// Says goodbye. False when there is no client to do it.
    pub fn leave(&self) -> bool {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(driver) = driver else { return false };
        driver.turn(Session::leave);
        true
    }

    /// From now on it is this one that leaves.
    fn drive(&self, driver: &Driver) {
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.clone());
    }
}

/// Runs a client on standard input and output until it is over, and says how it ended.
///
/// # Errors
/// [`Error`] when there is nothing to run with, or nothing to go on with.
pub fn run(config: Config, leaver: &Leaver) -> Result<CloseReason, Error> {
    let mut screen = Screen::new(config.format);
    let now = Clock::start().now().wall;
    let mut memory = Memory::open(&config.server, config.cache.as_deref(), now, &mut screen);
    if config.nickname.len() > MAX_RAW_NAME {
        memory.show_all(&mut screen);
        screen.error("the nickname is far too long: 32 characters at most");
        return Ok(screen.close(CloseReason::Refused));
    }
    let addresses = config.room.as_ref().map(|room| room.addresses().to_vec());
    let addresses = match addresses.map_or_else(|| config.server.resolve(), Ok) {
        Ok(addresses) => addresses,
        Err(error) => {
            memory.show_all(&mut screen);
            screen.error(&error.to_string());
            return Ok(screen.close(CloseReason::Unreachable));
        }
    };
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| Error::Start(io::Error::other(error)))?;
    let session = session::Config {
        nickname: config.nickname.clone(),
        transport: config.transport,
        delivery: config.delivery,
        give_up: config.give_up,
        shown: Vec::new(),
    };
    let make = |now| {
        let mut session = Session::new(session, addresses, seed, now);
        if config.room.is_some() {
            session.look_first();
        }
        session
    };
    let whereabouts = Whereabouts::new(config.server.clone(), config.room.clone());
    let (driver, events, receiver) =
        Driver::start(whereabouts, config.no_delay, config.impair.as_ref(), make)
            .map_err(Error::Start)?;
    leaver.drive(&driver);
    let typed = edited_lines(&config, &driver, &mut screen);
    let (reader, stay) = (driver.clone(), config.stay);
    let (failure, unreadable) = channel();
    let read = move || match typed {
        Some(typed) => input::converse(typed.into_iter().map(Ok), &reader, stay, &failure),
        None => {
            let stdin = io::stdin();
            let pipe = Pipe::new(&stdin, stdin.is_terminal());
            input::converse(pipe, &reader, stay, &failure);
        }
    };
    // Not joined: a read from a pipe cannot be called off. It ends with the process.
    thread::Builder::new().name("input".to_owned()).spawn(read).map_err(Error::Start)?;
    let reason = show(&driver, &events, &mut screen, &mut memory);
    crate::logging::divert(None);
    screen.set_terminal(None);
    memory.save(&mut screen);
    if let Some(done) = driver.done() {
        screen.status(&format!("the bad network: {done}"));
    }
    driver::join(receiver)?;
    if let Some(error) = screen.into_error() {
        return Err(Error::Output(error));
    }
    unreadable.try_recv().map_or(Ok(reason), |error| Err(Error::Input(error)))
}

/// Where a person sits at a terminal, an editor for what they type; its commands come out of the receiver.
fn edited_lines(
    config: &Config,
    driver: &Driver,
    screen: &mut Screen,
) -> Option<Receiver<Command>> {
    if config.format != Format::Text || !terminal::is_possible() {
        return None;
    }
    let (server, leaver) = (config.server.to_string(), driver.clone());
    let interrupt = move || leaver.turn(Session::leave);
    match Terminal::start(server, &config.nickname, screen.style(), interrupt) {
        Ok((terminal, lines)) => {
            screen.set_terminal(Some(terminal));
            let shown = driver.clone();
            crate::logging::divert(Some(Box::new(move |line| shown.tell(line))));
            Some(lines)
        }
        Err(error) => {
            log::warn!("no line editing here: {error}");
            None
        }
    }
}

/// Remembers how the terminal is now, so that `restore_terminal` puts it back.
pub fn keep_terminal() {
    terminal::keep();
}

/// Puts the terminal back to how a client found it. For whoever ends the process at once.
pub fn restore_terminal() {
    terminal::restore();
}

/// Shows what happens until the session is over.
fn show(
    driver: &Driver,
    events: &Receiver<Event>,
    screen: &mut Screen,
    memory: &mut Memory,
) -> CloseReason {
    let mut looked = None;
    loop {
        if screen.has_status() && looked.is_none_or(|at: Instant| at.elapsed() >= IDLE) {
            looked = Some(Instant::now());
            let (condition, report) = driver.turn(|s, _| (s.condition(), s.report()));
            screen.set_status(condition, report);
        }
        match events.recv_timeout(IDLE) {
            Ok(event) => {
                if matches!(event, Event::Welcome { .. }) {
                    looked = None;
                }
                let news = memory.precede(&event, screen);
                memory.remember(&event);
                if news {
                    screen.show(&event);
                }
                if let Event::Closed { reason } = event {
                    return reason;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                memory.show_all(screen);
                memory.save(screen);
            }
            Err(RecvTimeoutError::Disconnected) => return screen.close(CloseReason::Lost),
        }
        let overflowed = driver.take_overflowed();
        if overflowed > 0 {
            screen.status(&format!("{overflowed} events were not shown: nobody read the output"));
        }
        if screen.is_broken() {
            driver.turn(Session::leave);
        }
    }
}
