//! A chat of another author, measured under the lab's network and load.
//!
//! The contract is that of a terminal: a client takes lines from standard input and prints what it
//! receives. The lab says lines with a `token` and finds it in what the other clients print,
//! whatever is around it.
//!
//! | module | owns |
//! |---|---|
//! | `words.rs` | a command as words, with its placeholders |
//! | `token.rs` | the text of a message, and finding it in output: fused, cut |
//! | `confine.rs` | privileges and limits of the processes |
//! | `ports.rs` | the ports that a process has opened |
//! | `pty.rs` | a pseudo-terminal for a process |

#[cfg(target_os = "linux")]
pub(crate) mod confine;
#[cfg(target_os = "linux")]
pub(crate) mod ports;
#[cfg(target_os = "linux")]
pub(crate) mod pty;
#[cfg(target_os = "linux")]
pub(crate) mod token;
mod words;

use super::record::ProgramName;
use serde::{Deserialize, Serialize};
#[cfg(target_os = "linux")]
pub(crate) use words::fill;
pub use words::{CommandLine, SplitError};

/// A program under test: its name in the report, and its commands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The name, which is its mode in records and reports.
    pub name: ProgramName,
    /// The server's command; `None` if `load` measured a running server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<CommandLine>,
    /// The command of each client.
    pub client: CommandLine,
    /// Lines that answer what a client asks for when it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
    /// Whether its processes have a terminal as standard input and output, in place of pipes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pty: bool,
}

impl Program {
    /// The options of `load` that name its clients, without `--pty`, which has no value.
    pub(crate) fn load_options(&self) -> Vec<(&'static str, String)> {
        let name = ("--program", self.name.as_str().to_owned());
        let client = ("--client", self.client.to_string());
        let answers = self.answers.iter().map(|it| ("--answers", it.clone()));
        [name, client].into_iter().chain(answers).collect()
    }
}

/// The command of a process of a program. Its pipes are the caller's to choose.
#[cfg(target_os = "linux")]
pub(crate) fn command(words: &[String]) -> std::process::Command {
    let mut command = std::process::Command::new(words.first().map_or("", String::as_str));
    command.args(words.get(1..).unwrap_or_default());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CHATAGRAM_") {
            command.env_remove(name);
        }
    }
    // Else Python keeps what it prints to a pipe until it has 8 KiB of it.
    command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("TERM", "dumb");
    command
}

/// A reason why a process could not be started, with the way out.
#[cfg(target_os = "linux")]
pub(crate) fn start_hint(cause: &std::io::Error) -> &'static str {
    match cause.kind() {
        std::io::ErrorKind::NotFound => ": is it installed, and on the PATH?",
        std::io::ErrorKind::PermissionDenied => {
            ": it runs without privileges, as the user of `sudo` or as nobody: put it where that \
             user can read it"
        }
        _ => "",
    }
}
