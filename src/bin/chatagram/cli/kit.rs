//! The arguments of `kit`.

use chatagram::kit::KITS;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::path::PathBuf;

/// Arguments of `kit`.
#[derive(Debug, Args)]
pub(crate) struct KitArgs {
    /// Language: python, java, c, rust or javascript
    #[arg(
        value_name = "LANGUAGE",
        env = "CHATAGRAM_LANGUAGE",
        value_parser = PossibleValuesParser::new(KITS.iter().map(|kit| kit.name)),
        hide_possible_values = true
    )]
    pub(crate) language: String,
    /// Directory to write to: a new or an empty one
    #[arg(value_name = "DIR", env = "CHATAGRAM_DIR")]
    pub(crate) dir: PathBuf,
}
