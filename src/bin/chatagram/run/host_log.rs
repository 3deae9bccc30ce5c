//! Where the messages of a server go whose host talks in the same terminal: into a file.

use crate::cli::{ClientArgs, LoggingArgs};
use crate::paths;
use chatagram::client::Format;
use std::io::{self, IsTerminal};

/// How a host logs.
pub(super) struct HostLog {
    pub(super) args: LoggingArgs,
    /// Where the messages go, if the user did not say it.
    pub(super) notice: Option<String>,
}

/// Messages go where the user said; where that would be amid the conversation, into a file.
pub(super) fn host_log(client: &ClientArgs, logging: &LoggingArgs) -> HostLog {
    let amid = client.output == Format::Text && io::stderr().is_terminal();
    let path = if logging.log_file.is_none() && amid { paths::host_log_file() } else { None };
    let Some(path) = path else { return HostLog { args: logging.clone(), notice: None } };
    match crate::logging::try_file(&path) {
        Ok(()) => HostLog {
            notice: Some(format!("messages of the server go to {}", path.display())),
            args: LoggingArgs { log_file: Some(path), ..logging.clone() },
        },
        // A room need not stay shut for that.
        Err(error) => HostLog {
            notice: Some(format!(
                "messages of the server appear here: cannot write {}: {error}; --log-file FILE names \
                 another place",
                path.display()
            )),
            args: logging.clone(),
        },
    }
}
