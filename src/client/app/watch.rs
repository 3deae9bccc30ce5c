//! `watch`: a client that asks for the peers' statistics at intervals and shows them on one screen,
//! for a projector in class, or as JSON for programs.

mod board;
#[cfg(feature = "watch")]
mod frame;
#[cfg(feature = "watch")]
mod screen;
#[cfg(not(feature = "watch"))]
#[path = "watch/no_screen.rs"]
mod screen;

use super::attended::{Progress, attend};
use super::driver::{self, Driver, Tickets};
use super::output::Format;
use super::session::{self, CloseReason, Event, Notice, ServerCounters, Session, Transport};
use super::style::Style;
use super::whereabouts::Whereabouts;
use super::{Error, Leaver};
use crate::link::Congestion;
use crate::net::ServerName;
use crate::protocol::Delivery;
use crate::ticket::Ticket;
use crate::words::Language;
use board::Board;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Default nicknames to try: `watch`, `watch-2`, ...
const NAMES: usize = 64;
/// Interval of keyboard checks.
const LOOK: Duration = Duration::from_millis(50);
/// Lines of the room at the foot of the screen.
const LINES: usize = 8;

/// The configuration of `watch`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names or addresses of the server, or of several servers of one room, at least one.
    pub servers: Vec<ServerName>,
    /// Nickname; by default the first free one of `watch`, `watch-2`, ...
    pub nickname: Option<String>,
    /// Transport.
    pub transport: Transport,
    /// The ticket of a private room.
    pub ticket: Option<Ticket>,
    /// Interval of questions.
    pub interval: Duration,
    /// Output format.
    pub format: Format,
    /// The language of the user; that of programs is English.
    pub language: Language,
}

/// The contents of the screen.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "watch"), allow(dead_code))]
struct View {
    language: Language,
    server: String,
    room: String,
    nickname: String,
    /// State of the connection, if it is not well.
    status: String,
    board: Board,
    /// The server's counters.
    counters: Option<ServerCounters>,
    /// The last lines and notices of the room.
    lines: VecDeque<String>,
}

/// Watches until told to stop, and returns how it ended. `complain` gets the reason of a failure.
///
/// # Errors
/// [`Error`]: the client or its output failed.
pub fn run(config: &Config, leaver: &Leaver, complain: fn(&str)) -> Result<CloseReason, Error> {
    let whereabouts = Whereabouts::new(&config.servers, None);
    let addresses = match whereabouts.resolve() {
        Ok((addresses, _)) => addresses,
        Err(error) => {
            complain(&config.language.not_found(&error));
            return Ok(CloseReason::Unreachable);
        }
    };
    let names: Vec<String> = match &config.nickname {
        Some(name) => vec![name.clone()],
        None => std::iter::once("watch".to_owned())
            .chain((2..=NAMES).map(|number| format!("watch-{number}")))
            .collect(),
    };
    let mut outcome = CloseReason::Refused;
    for (attempt, name) in names.iter().enumerate() {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| Error::Start(io::Error::other(error)))?;
        let session = session::Config {
            nickname: name.clone(),
            transport: config.transport,
            delivery: Delivery::ReliableOrdered,
            give_up: Duration::from_secs(300),
            shown: Vec::new(),
        };
        let make = |now| {
            let mut session = Session::new(session, addresses.clone(), seed, now);
            if whereabouts.are_several() {
                session.has_several_servers();
            }
            session
        };
        let tickets = Tickets { own: config.ticket.clone(), to_give: None };
        let (places, congestion) = (whereabouts.clone(), Congestion::default());
        let started = Driver::start(places, config.language, true, congestion, None, tickets, make);
        let (driver, events, receiver) = started.map_err(Error::Start)?;
        leaver.drive(&driver);
        let (shown, watched) = (config.clone(), driver.clone());
        let print = move |progress: &Progress| watch(&shown, &watched, &events, progress);
        let (reason, complaint) = match attend(&driver, print).map_err(Error::Start)? {
            Ok(outcome) => outcome?,
            Err(reason) => (reason, None),
        };
        driver::join(receiver)?;
        outcome = reason;
        // Tries another name; if none works, the last complaint is shown.
        if reason != CloseReason::Refused || attempt + 1 == names.len() {
            if let Some(complaint) = complaint {
                complain(&complaint);
            }
            break;
        }
    }
    Ok(outcome)
}

/// Runs one session from join to end; returns the last complaint.
fn watch(
    config: &Config,
    driver: &Driver,
    events: &Receiver<Event>,
    progress: &Progress,
) -> Result<(CloseReason, Option<String>), Error> {
    let server = config.servers.first().map(ServerName::to_string).unwrap_or_default();
    let mut view = View { language: config.language, server, ..View::default() };
    let mut complaint = None;
    let mut display = Display::Waiting;
    let mut next = Instant::now();
    loop {
        progress.advance();
        match events.recv_timeout(LOOK) {
            Ok(Event::Closed { reason }) => {
                display.close();
                let why = match reason {
                    CloseReason::Quit => None,
                    CloseReason::Refused | CloseReason::Unreachable => complaint,
                    reason => Some(config.language.farewell(reason)),
                };
                return Ok((reason, why));
            }
            Ok(event) => {
                if let Event::Welcome { .. } = event
                    && matches!(display, Display::Waiting)
                {
                    display = Display::open(config.format).map_err(Error::Output)?;
                }
                if let Event::Error { notice } = &event {
                    complaint = Some(config.language.notice(notice));
                }
                let told = view.take_in(event);
                if told {
                    display.show(&view, config.format).map_err(Error::Output)?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(reason) = driver.ended() {
                    return Ok((reason, complaint));
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok((CloseReason::Lost, complaint)),
        }
        if next <= Instant::now() && driver.turn(Session::ask_who) {
            next = Instant::now() + config.interval;
        }
        if display.wants_to_leave(&view).map_err(Error::Output)? {
            driver.turn(Session::leave);
        }
    }
}

/// The output.
enum Display {
    /// None yet.
    Waiting,
    /// The whole screen.
    Screen(screen::Screen),
    /// Standard output, line by line.
    Lines,
}

impl Display {
    /// Gives the terminal back.
    fn close(self) {}

    fn open(format: Format) -> io::Result<Self> {
        let whole =
            format == Format::Text && io::stdout().is_terminal() && io::stdin().is_terminal();
        if !whole {
            return Ok(Self::Lines);
        }
        Ok(screen::Screen::open()?.map_or(Self::Lines, Self::Screen))
    }

    /// Shows a new answer.
    fn show(&mut self, view: &View, format: Format) -> io::Result<()> {
        match self {
            Self::Waiting => Ok(()),
            Self::Screen(screen) => screen.draw(view),
            Self::Lines => {
                let event = Event::Who { server: view.counters, peers: view.board.reports() };
                let Some(text) = format.event(&event, view.style()) else { return Ok(()) };
                let mut out = io::stdout().lock();
                writeln!(out, "{text}").and_then(|()| out.flush())
            }
        }
    }

    /// Whether a key to quit was pressed. Redraws after a resize.
    fn wants_to_leave(&mut self, view: &View) -> io::Result<bool> {
        match self {
            Self::Screen(screen) => screen.wants_to_leave(view),
            Self::Waiting | Self::Lines => Ok(false),
        }
    }
}

impl View {
    fn style(&self) -> Style {
        Style { language: self.language, ..Style::default() }
    }

    /// Takes an event. True for a new answer with all peers.
    fn take_in(&mut self, event: Event) -> bool {
        match event {
            Event::Welcome { room, nickname, server, moved, .. } => {
                (self.room, self.nickname) = (room, nickname);
                if moved {
                    self.server = server.to_string();
                }
                self.status.clear();
            }
            Event::Renamed { ref from, ref to, own } => {
                if own {
                    self.nickname.clone_from(to);
                }
                self.board.rename(from, to);
                self.tell(&event);
            }
            Event::Who { server, mut peers } => {
                self.counters = server;
                peers.retain(|peer| peer.nickname != self.nickname);
                self.board.update(peers);
                return true;
            }
            // An answer of the server clears the problem.
            Event::Status { notice: Notice::Back } => self.status.clear(),
            Event::Status { notice } => self.status = self.language.notice(&notice),
            Event::Message { .. }
            | Event::History { .. }
            | Event::Joined { .. }
            | Event::Left { .. } => self.tell(&event),
            _ => {}
        }
        false
    }

    /// Adds a line of the room.
    fn tell(&mut self, event: &Event) {
        if let Some(line) = Format::Text.event(event, self.style()) {
            self.lines.push_back(line);
            self.lines.drain(..self.lines.len().saturating_sub(LINES));
        }
    }
}
