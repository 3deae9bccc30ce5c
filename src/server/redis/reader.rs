//! The thread that reads the log and the mail, on a connection of its own.

use super::codec::{entry, id, list, mail, text};
use super::connection::{Link, PATIENCE};
use super::error::EngineError;
use super::feed::{Feed, Over};
use super::url::Target;
use super::writer::Input;
use crate::engine::{Answer, ServerId};
use redis::{Value, cmd};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// `XREAD` returns after this time without an entry, which shows that the connection lives.
const BLOCK: Duration = Duration::from_secs(1);
/// Entries of one `XREAD`.
const ENTRIES: usize = 512;

/// One reading: of one epoch, from one position on.
pub(super) struct Reading {
    pub(super) target: Arc<Target>,
    pub(super) feed: Arc<Feed>,
    /// For the news that this reading has failed.
    pub(super) inbox: Weak<SyncSender<Input>>,
    pub(super) number: u64,
    pub(super) server: ServerId,
    /// The run of Redis that the writer talks to.
    pub(super) run: String,
    pub(super) epoch: u64,
    pub(super) position: u64,
    pub(super) mail: u64,
}

impl Reading {
    /// Reads until another reading begins.
    pub(super) fn run(mut self) {
        if let Err(why) = self.read_on() {
            let lost = Input::Lost { reading: self.number, why };
            self.inbox.upgrade().map(|inbox| inbox.send(lost));
        }
    }

    fn read_on(&mut self) -> Result<(), EngineError> {
        let mut link = Link::open(&self.target, false)?;
        if link.run != self.run {
            let why = "it has started anew".to_owned();
            return Err(EngineError::Broken { place: link.place, why });
        }
        link.patience(BLOCK + PATIENCE)?;
        let (log, mails) = (link.key("log"), link.key(&format!("mail:{:016x}", self.server.0)));
        loop {
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(ENTRIES).arg("BLOCK").arg(BLOCK.as_millis() as u64);
            read.arg("STREAMS").arg(&log).arg(&mails);
            read.arg(format!("{}-0", self.position)).arg(format!("{}-0", self.mail));
            let reply: Value = link.ask(&read)?;
            let (mut answers, mut newest) = (Vec::new(), None);
            let streams: &[Value] = match &reply {
                Value::Nil => &[],
                reply => list(reply).ok_or_else(|| link.unexpected(reply))?,
            };
            for stream in streams {
                let Some([name, items]) = list(stream) else {
                    return Err(link.unexpected(stream));
                };
                for item in list(items).unwrap_or_default() {
                    if text(name) == Some(&log) {
                        self.position = id(item).unwrap_or(self.position);
                        // The hub notices that a malformed entry is missing.
                        let entry = entry(item, self.epoch);
                        answers.extend(entry.map(Answer::Committed));
                    } else {
                        self.mail = id(item).unwrap_or(self.mail);
                        newest = Some(self.mail);
                        answers.extend(mail(item).map(Answer::Mail));
                    }
                }
            }
            match self.feed.read(self.number, answers, newest) {
                Ok(()) => {}
                Err(Over::Superseded | Over::Ended) => return Ok(()),
            }
        }
    }
}
