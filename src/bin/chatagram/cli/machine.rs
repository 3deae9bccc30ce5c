//! The options of the commands about this machine and this program: `doctor`, `completions`, `man`.

use chatagram::client::Format;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Output format; json: one object for each finding
    #[arg(long, value_name = "text|json", value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
    /// Check the engine of a room too: redis://HOST:PORT/ROOM
    ///
    /// The URL is that of `server`. A password belongs into --engine-file or the environment.
    #[arg(
        long,
        value_name = "URL",
        env = "CHATAGRAM_ENGINE",
        hide_env_values = true,
        conflicts_with = "engine_file"
    )]
    pub(crate) engine: Option<String>,
    /// Read the URL of --engine from the first line of this file
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_ENGINE_FILE")]
    pub(crate) engine_file: Option<PathBuf>,
    /// Check that the engine suits a server with --engine-durable
    #[arg(long, env = "CHATAGRAM_ENGINE_DURABLE", value_parser = FalseyValueParser::new())]
    pub(crate) engine_durable: bool,
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
