//! The options of a search for servers.

use super::timeout;
use chatagram::client::Format;
use clap::Args;
use std::time::Duration;

/// Options of `discover`.
#[derive(Debug, Args)]
pub(crate) struct DiscoverArgs {
    /// Wait this long for answers
    #[arg(
        long, value_name = "DURATION", default_value = "1s", env = "CHATAGRAM_WAIT",
        value_parser = timeout
    )]
    pub(crate) wait: Duration,
    /// Output format; json: one object for each room
    #[arg(long, value_name = "text|json", value_enum, default_value_t, env = "CHATAGRAM_OUTPUT")]
    pub(crate) output: Format,
}
