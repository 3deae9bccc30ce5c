//! The thread that connects, and carries out the hub's requests, in their order.

use super::codec;
use super::connection::Link;
use super::error::EngineError;
use super::feed::{Feed, Over};
use super::reader::Reading;
use super::url::Target;
use crate::engine::{Answer, Ask, Attached, Place, Request, Said, Snapshot};
use crate::protocol::limits::{LOG_LINES, MAX_POSITION};
use redis::{Pipeline, Value, cmd, pipe};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// Requests sent together.
const BATCH: usize = 256;
/// Pause before the first attempt to connect again; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);
/// Entries of a snapshot that are read at once.
const PAGE: usize = 2_048;
/// Pages of a snapshot, in a log with more arrivals than lines.
const PAGES: usize = 16;
/// A connection that lasted this long has worked.
const LASTING: Duration = Duration::from_secs(5);

/// Input of the writer.
#[derive(Debug)]
pub(super) enum Input {
    /// By the hub.
    Request(Request),
    /// By a reading that has failed.
    Lost { reading: u64, why: EngineError },
}

/// Why the writer stops to use a connection.
enum Stop {
    Failed(EngineError),
    Ended,
}

impl From<EngineError> for Stop {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<Over> for Stop {
    fn from(_: Over) -> Self {
        Self::Ended
    }
}

/// Failures since the last connection that worked.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    reported: String,
}

impl Trouble {
    /// Logs a failure, unless it is the same as the one before.
    fn report(&mut self, error: &EngineError) {
        let why = error.to_string();
        if why != self.reported {
            log::warn!("{why}");
            self.reported = why;
        }
    }

    /// The pause before the next attempt.
    fn pause(&mut self) -> Duration {
        let pause = (PAUSE * 2_u32.pow(self.failures.min(8))).min(LONGEST_PAUSE);
        self.failures += 1;
        pause
    }
}

/// The thread's state.
pub(super) struct Writer {
    pub(super) target: Arc<Target>,
    pub(super) durable: bool,
    pub(super) feed: Arc<Feed>,
    pub(super) inbox: Receiver<Input>,
    /// For readings; the hub's side keeps it alive.
    pub(super) to_inbox: Weak<SyncSender<Input>>,
}

impl Writer {
    /// Serves the hub until it is gone.
    pub(super) fn run(self, first: Link) {
        let mut link = first;
        let mut trouble = Trouble::default();
        loop {
            let start = Instant::now();
            let Err(stop) = self.serve(&mut link);
            let Stop::Failed(error) = stop else { return };
            if start.elapsed() > LASTING {
                trouble = Trouble::default();
            }
            trouble.report(&error);
            if self.feed.down(error.to_string()).is_err() {
                return;
            }
            let Some(next) = self.connect(&mut trouble) else { return };
            link = next;
        }
    }

    /// Connects, again and again. `None` once the hub is gone.
    fn connect(&self, trouble: &mut Trouble) -> Option<Link> {
        loop {
            let until = Instant::now() + trouble.pause();
            // The hub repeats the requests of this time on the next connection.
            while let Some(left) = until.checked_duration_since(Instant::now()) {
                match self.inbox.recv_timeout(left) {
                    Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
            match Link::open(&self.target, self.durable) {
                Ok(link) => return Some(link),
                Err(error) => trouble.report(&error),
            }
        }
    }

    /// Carries out requests on this connection until it fails.
    fn serve(&self, link: &mut Link) -> Result<std::convert::Infallible, Stop> {
        self.feed.up()?;
        let (mut reading, mut next) = (None, None);
        loop {
            let input = match next.take() {
                Some(input) => input,
                None => self.inbox.recv().map_err(|_| Stop::Ended)?,
            };
            match input {
                Input::Lost { reading: lost, why } if Some(lost) == reading => {
                    return Err(why.into());
                }
                Input::Request(request) if is_attach(&request) => {
                    reading = self.attach(link, &request)?;
                }
                Input::Request(request) if reading.is_some() => {
                    let mut batch = vec![request];
                    while next.is_none() && batch.len() < BATCH {
                        match self.inbox.try_recv() {
                            Ok(Input::Request(it)) if !is_attach(&it) => batch.push(it),
                            Ok(input) => next = Some(input),
                            Err(_) => break,
                        }
                    }
                    self.carry_out(link, &batch)?;
                }
                // Of an earlier connection or reading. The hub may wait for the room.
                Input::Request(_) | Input::Lost { .. } => self.feed.wake()?,
            }
        }
    }

    /// Attaches, and begins to read where the log goes on. Returns the number of that reading;
    /// `None` if the request came too late.
    fn attach(&self, link: &mut Link, request: &Request) -> Result<Option<u64>, Stop> {
        // Before the answer, so that no entry of an earlier reading follows it.
        let number = self.feed.begin_reading();
        let Request { server, number: id, .. } = *request;
        let mut pipe = pipe();
        pipe.add_command(codec::command(link, request, 0));
        let replies = self.query(link, &pipe)?;
        let reply = replies.first().and_then(codec::list).unwrap_or_default();
        let (place, clock, servers, outcome) = match reply {
            [word, clock, servers] if codec::text(word) == Some("continues") => {
                let Ask::Attach { resume: Some(place), .. } = *request.ask else {
                    return Err(link.unexpected(clock).into());
                };
                (place, clock, servers, Attached::Continues)
            }
            [word, clock, servers, epoch, position, chain, began, seats]
                if codec::text(word) == Some("fresh") =>
            {
                let position = codec::number(position).filter(|it| *it < MAX_POSITION);
                let fields = (codec::unhex(epoch), position, codec::unhex(chain));
                let (Some(epoch), Some(position), Some(chain)) = fields else {
                    return Err(link.unexpected(epoch).into());
                };
                let place = Place { epoch, position, chain };
                let seats = codec::list(seats).unwrap_or_default();
                let mut seats: Vec<_> = seats.iter().filter_map(codec::seat).collect();
                seats.sort_by_key(|seat| seat.fence);
                let began = codec::number(began).unwrap_or(position);
                let (lines, floor) = self.lines(link, position, began)?;
                self.feed.forget_mail();
                let snapshot = Snapshot { place, seats, lines, floor };
                (place, clock, servers, Attached::Fresh(snapshot))
            }
            [word] if codec::text(word) == Some("stale") => {
                self.feed.send([Answer::Stale { request: id }])?;
                return Ok(None);
            }
            _ => return Err(link.unexpected(replies.first().unwrap_or(&Value::Nil)).into()),
        };
        let clock = codec::number(clock).ok_or_else(|| link.unexpected(clock))?;
        let servers = codec::servers(servers);
        self.feed.send([Answer::Attached { request: id, clock, servers, outcome }])?;
        log::info!("taking part in the room at {}", link.place);
        let reading = Reading {
            target: self.target.clone(),
            feed: self.feed.clone(),
            inbox: self.to_inbox.clone(),
            number,
            server,
            run: link.run.clone(),
            epoch: place.epoch,
            position: place.position,
            mail: self.feed.mail(),
        };
        let thread = thread::Builder::new().name("engine-read".to_owned());
        thread
            .spawn(move || reading.run())
            .map_err(|error| EngineError::Thread(error.to_string()))?;
        Ok(Some(number))
    }

    /// The newest lines up to `newest`, oldest first, and the position after which none is missing.
    fn lines(
        &self,
        link: &mut Link,
        newest: u64,
        began: u64,
    ) -> Result<(Vec<(u64, Said)>, u64), EngineError> {
        let (mut lines, mut floor) = (Vec::new(), newest);
        for _ in 0..PAGES {
            let mut range = cmd("XREVRANGE");
            range.arg(link.key("log")).arg(format!("{floor}-0")).arg(format!("{began}-0"));
            range.arg("COUNT").arg(PAGE);
            let page: Value = link.ask(&range)?;
            let page = codec::list(&page).unwrap_or_default();
            for item in page {
                if lines.len() == LOG_LINES {
                    return Ok((reversed(lines), floor));
                }
                lines.extend(codec::line(item));
                floor = codec::id(item).unwrap_or(floor).saturating_sub(1);
            }
            if page.len() < PAGE {
                break;
            }
        }
        Ok((reversed(lines), floor))
    }

    /// Carries out requests, all of them in one round trip.
    fn carry_out(&self, link: &mut Link, batch: &[Request]) -> Result<(), Stop> {
        let mut pipe = Pipeline::with_capacity(batch.len() + 2);
        let read = self.feed.mail();
        for request in batch {
            pipe.add_command(codec::command(link, request, read));
        }
        let replies = self.query(link, &pipe)?;
        let mut answers = Vec::with_capacity(batch.len());
        for (request, reply) in batch.iter().zip(&replies) {
            let answer = codec::answer(request.number, reply);
            answers.push(answer.ok_or_else(|| link.unexpected(reply))?);
        }
        self.feed.send(answers)?;
        Ok(())
    }

    /// Sends commands together. Returns their replies once what they wrote is as durable as
    /// configured.
    fn query(&self, link: &mut Link, pipe: &Pipeline) -> Result<Vec<Value>, EngineError> {
        let start = Instant::now();
        let replies = link.ask_all(pipe)?;
        self.feed.meter.measured(start.elapsed());
        link.until_durable()?;
        Ok(replies)
    }
}

fn is_attach(request: &Request) -> bool {
    matches!(*request.ask, Ask::Attach { .. })
}

fn reversed<T>(mut items: Vec<T>) -> Vec<T> {
    items.reverse();
    items
}
