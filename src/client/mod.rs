//! The client: a session (sans-IO), the threads that carry it, the user's side of it.

pub mod cache;
pub mod discovery;
mod driver;
mod input;
mod memory;
mod output;
mod screen;
pub mod session;

pub use output::Format;

use crate::net::{BadNetwork, ServerName};
use crate::protocol::Delivery;
use crate::protocol::limits::MAX_RAW_NAME;
use driver::Driver;
use memory::Memory;
use screen::Screen;
use session::{CloseReason, Event, Session, Transport};
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What a client is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the server is.
    pub server: ServerName,
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
}

/// How long the main thread waits for something to show before it looks after the cache.
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
}

/// Runs a client on standard input and output until it is over, and says how it ended.
///
/// # Errors
/// [`Error`] when there is nothing to run with. All that happens later is shown to the user.
pub fn run(config: Config, leaver: &Leaver) -> Result<CloseReason, Error> {
    let mut screen = Screen::new(config.format);
    let mut memory = Memory::open(&config.server, config.cache.as_deref(), &mut screen);
    if config.nickname.len() > MAX_RAW_NAME {
        screen.error("the nickname is far too long: 32 characters at most");
        return Ok(screen.close(CloseReason::Refused));
    }
    let addresses = match config.server.resolve() {
        Ok(addresses) => addresses,
        Err(error) => {
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
        shown: memory.shown(),
    };
    let make = |now| Session::new(session, addresses, seed, now);
    let (driver, events, receiver) =
        Driver::start(config.server.clone(), config.no_delay, config.impair.as_ref(), make)
            .map_err(Error::Start)?;
    *leaver.driver.lock().unwrap_or_else(PoisonError::into_inner) = Some(driver.clone());
    let (reader, stay) = (driver.clone(), config.stay);
    let read = move || input::converse(io::stdin(), &reader, stay);
    // Not joined: a read from a terminal cannot be called off. It ends with the process.
    thread::Builder::new().name("input".to_owned()).spawn(read).map_err(Error::Start)?;
    let reason = show(&driver, &events, &mut screen, &mut memory);
    memory.save(&mut screen);
    if let Some(done) = driver.done() {
        screen.status(&format!("the bad network: {done}"));
    }
    match receiver.join() {
        Ok(Ok(())) => {}
        Ok(Err(error)) => screen.error(&format!("the network failed: {error}")),
        Err(_) => screen.error("the receiver failed: please report this"),
    }
    screen.into_error().map_or(Ok(reason), |error| Err(Error::Output(error)))
}

/// Shows what happens until the session is over.
fn show(
    driver: &Driver,
    events: &Receiver<Event>,
    screen: &mut Screen,
    memory: &mut Memory,
) -> CloseReason {
    loop {
        match events.recv_timeout(IDLE) {
            Ok(event) => {
                memory.remember(&event);
                screen.show(&event);
                if let Event::Closed { reason } = event {
                    return reason;
                }
            }
            Err(RecvTimeoutError::Timeout) => memory.save(screen),
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
