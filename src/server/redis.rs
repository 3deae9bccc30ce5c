//! Redis as the engine of a room: it keeps the log and the names for several servers.
//!
//! ```text
//!   hub ── Request ──► writer ── scripts ─────────► Redis
//!   hub ◄── Answer ─── writer ◄── replies ────────────┤
//!   hub ◄── Answer ─── reader ◄── XREAD log, mail ────┘
//! ```
//!
//! Two threads, each with a connection of its own: a blocked `XREAD` must not delay a request. The
//! writer sends the requests that wait together, so a round trip carries many. It connects again by
//! itself, and then starts a new reader. The scripts (`redis/*.lua`, each one atomic step) make all
//! decisions about names and lines.

mod codec;
mod connection;
mod error;
mod feed;
mod inspect;
mod reader;
mod url;
mod wire;
mod writer;

pub use error::{EngineError, Version};
pub(super) use inspect::inspect;
pub use url::UrlError;

use super::engine::EngineFigures;
use crate::engine::{Answer, Request};
use connection::Link;
use feed::{Feed, Meter};
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use url::Target;
use writer::{Input, Writer};

/// Requests and answers that wait between the threads, at most.
const QUEUE: usize = 1_024;

/// The hub's side of the threads. When it is dropped, they end.
#[derive(Debug)]
pub(super) struct Redis {
    requests: Arc<SyncSender<Input>>,
    /// A request that did not fit.
    waiting: Option<Request>,
    answers: Receiver<Answer>,
    meter: Arc<Meter>,
}

impl Redis {
    /// Connects, and starts the threads. `waker` wakes the hub's thread when there are answers.
    pub(super) fn start(url: &str, durable: bool, waker: Arc<Waker>) -> Result<Self, EngineError> {
        let target = Arc::new(Target::parse(url)?);
        let first = Link::open(&target, durable)?;
        let (requests, inbox) = sync_channel(QUEUE);
        let (answer, answers) = sync_channel(QUEUE);
        let requests = Arc::new(requests);
        let meter = Arc::new(Meter::default());
        let feed = Arc::new(Feed::new(answer, waker, meter.clone()));
        let to_inbox = Arc::downgrade(&requests);
        let writer = Writer { target, durable, feed, inbox, to_inbox };
        thread::Builder::new()
            .name("engine-write".to_owned())
            .spawn(move || writer.run(first))
            .map_err(|error| EngineError::Thread(error.to_string()))?;
        Ok(Self { requests, waiting: None, answers, meter })
    }

    /// Passes on requests as far as there is space.
    pub(super) fn send(&mut self, mut next: impl FnMut() -> Option<Request>) {
        while let Some(request) = self.waiting.take().or_else(&mut next) {
            if let Err(TrySendError::Full(Input::Request(request))) =
                self.requests.try_send(Input::Request(request))
            {
                self.waiting = Some(request);
                return;
            }
        }
    }

    /// The next answer.
    pub(super) fn receive(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }

    pub(super) fn figures(&self) -> EngineFigures {
        self.meter.figures()
    }
}
