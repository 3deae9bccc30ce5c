//! The log of a server whose host chats in the same terminal: a file.

use crate::cli::{ClientArgs, LoggingArgs};
use crate::paths;
use chatagram::client::Format;
use chatagram::words::Language;
use std::io::{self, IsTerminal};

/// The log of a host.
pub(super) struct HostLog {
    pub(super) args: LoggingArgs,
    /// The default log file, if it is used.
    pub(super) notice: Option<String>,
}

/// Messages go where the user chose; if that is the chat's terminal, into a file.
pub(super) fn host_log(client: &ClientArgs, logging: &LoggingArgs, say: Language) -> HostLog {
    let amid = client.output == Format::Text && io::stderr().is_terminal();
    let path = if logging.log_file.is_none() && amid { paths::host_log_file() } else { None };
    let Some(path) = path else { return HostLog { args: logging.clone(), notice: None } };
    match crate::logging::try_file(&path) {
        Ok(()) => HostLog {
            notice: Some(say.log_goes_to(&path)),
            args: LoggingArgs { log_file: Some(path), ..logging.clone() },
        },
        // A missing log does not stop the room.
        Err(error) => {
            HostLog { notice: Some(say.log_appears_here(&path, error)), args: logging.clone() }
        }
    }
}
