//! The options of the commands about this machine and this program: `doctor`, `completions`, `man`.

use chatagram::client::Format;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How to print what was found
    #[arg(long, value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
}

/// Options of `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell that is to complete
    #[arg(value_enum, env = "CHATAGRAM_SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that can be taught.
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
    /// Write chatagram.1 and a page for each command there, such as ~/.local/share/man/man1; made
    /// if it is not there. Pages from earlier are replaced, other files are not
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub(crate) dir: Option<PathBuf>,
}
