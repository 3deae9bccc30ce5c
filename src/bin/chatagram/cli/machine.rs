//! The options of the commands about this machine and this program: `doctor`, `completions`, `man`.

use chatagram::client::Format;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Output format; json: one object for each finding
    #[arg(long, value_name = "text|json", value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell: bash, zsh or fish
    #[arg(value_enum, env = "CHATAGRAM_SHELL")]
    pub(crate) shell: Shell,
}

/// A shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// eval "$(chatagram completions bash)" in ~/.bashrc
    Bash,
    /// eval "$(chatagram completions zsh)" in ~/.zshrc, after compinit
    Zsh,
    /// chatagram completions fish | source in ~/.config/fish/config.fish
    Fish,
}

/// Options of `man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands to this directory
    ///
    /// A missing directory is created. Pages of an earlier version are replaced; other files stay.
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub(crate) dir: Option<PathBuf>,
}
