//! How a program under test behaved in a run: `program` in `run.json`, and `output.csv`.

use super::Error;
use crate::lab::program::Program;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// The file of what the clients printed, in a run's directory.
pub(crate) const OUTPUT: &str = "output.csv";

/// How a program behaved, beside the rows of its run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conduct {
    /// The program.
    pub program: Program,
    /// The mark of this run's messages in `output.csv`: each begins with `~`, the mark and a dot.
    pub nonce: String,
    /// Messages that a receiver printed on one line with a message before them.
    pub fused: u64,
    /// Messages that a receiver printed without their end, or in several lines.
    pub cut: u64,
    /// The first line of fused messages, shortened.
    pub fused_sample: Option<String>,
    /// The first line with a cut message, shortened.
    pub cut_sample: Option<String>,
    /// Clients that ran to the end of the run but had stopped: a receiver printed none of the last
    /// second's messages, or a sender took no more input.
    pub hung: Vec<String>,
    /// Processes that ended before the run did.
    pub ended: Vec<Ended>,
    /// Pairs in which the receiver had not printed the sender's first lines when the load began.
    pub unheard: Vec<String>,
    /// The end of what each process printed to standard error until the load ended.
    pub errors: Vec<ErrorOutput>,
}

/// A process that ended before its run did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// `server`, or the client's name.
    pub who: String,
    /// How: an exit code or a signal.
    pub how: String,
    /// When it was noticed, microseconds since the run's epoch; negative before it.
    pub at_us: i64,
}

/// The end of a process's error output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorOutput {
    /// `server`, or the client's name.
    pub who: String,
    /// The text, without characters that steer a terminal.
    pub text: String,
}

impl Conduct {
    /// Processes that ended before the run did.
    #[must_use]
    pub fn crashed(&self) -> u64 {
        self.ended.len() as u64
    }

    /// Clients that had stopped. Behind a dead server every client is silent, so none counts.
    #[must_use]
    pub fn hung(&self) -> u64 {
        let is_dead = self.ended.iter().any(|it| it.who == SERVER);
        if is_dead { 0 } else { self.hung.len() as u64 }
    }
}

/// The name of the server in [`Ended`] and [`ErrorOutput`].
pub(crate) const SERVER: &str = "server";

/// Writes `output.csv`.
#[derive(Debug)]
pub(crate) struct OutputWriter {
    csv: csv::Writer<BufWriter<File>>,
    path: PathBuf,
}

impl OutputWriter {
    pub(crate) fn create(dir: &Path) -> Result<Self, Error> {
        let path = dir.join(OUTPUT);
        let file = File::create_new(&path).map_err(Error::io("create", &path))?;
        let mut writer = Self { csv: csv::Writer::from_writer(BufWriter::new(file)), path };
        writer.row(["client", "at_us", "ended", "text"])?;
        Ok(writer)
    }

    /// Writes a line that a client has printed; a part of a long one has not ended.
    pub(crate) fn write(
        &mut self,
        client: &str,
        at_us: i64,
        ended: bool,
        text: &str,
    ) -> Result<(), Error> {
        self.row([client, &at_us.to_string(), if ended { "1" } else { "0" }, text])
    }

    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        self.csv.flush().map_err(Error::io("write", &self.path))
    }

    fn row(&mut self, fields: [&str; 4]) -> Result<(), Error> {
        self.csv.write_record(fields).map_err(|e| Error::io("write", &self.path)(e.into()))
    }
}
