//! The options of the log.

use clap::{ArgAction, Args};
use std::path::PathBuf;

/// The log's file and level.
#[derive(Clone, Debug, Args)]
pub(crate) struct LoggingArgs {
    /// Append the log to this file instead of printing it
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_LOG_FILE")]
    pub(crate) log_file: Option<PathBuf>,
    /// Log more; give it twice for still more
    #[arg(
        short, long, hide_short_help = true, action = ArgAction::Count, env = "CHATAGRAM_VERBOSE"
    )]
    pub(crate) verbose: u8,
    /// Log less; give it twice for nothing
    #[arg(
        short, long, hide_short_help = true, action = ArgAction::Count, env = "CHATAGRAM_QUIET",
        conflicts_with = "verbose"
    )]
    pub(crate) quiet: u8,
}

impl LoggingArgs {
    /// The log level; `usual` without options.
    pub(crate) fn level(&self, usual: log::LevelFilter) -> log::LevelFilter {
        let steps = i32::from(self.verbose) - i32::from(self.quiet);
        let index = (usual as i32 + steps).clamp(0, 5);
        log::LevelFilter::iter().nth(index as usize).unwrap_or(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbosity_moves_the_level_and_stops_at_the_ends() {
        let args = |verbose, quiet| LoggingArgs { log_file: None, verbose, quiet };
        use log::LevelFilter::{Debug, Info, Off, Trace, Warn};
        assert_eq!(args(0, 0).level(Info), Info);
        assert_eq!(args(1, 0).level(Info), Debug);
        assert_eq!(args(9, 0).level(Warn), Trace);
        assert_eq!(args(0, 9).level(Warn), Off);
    }
}
