//! The language of what people read while they chat.

use chatagram::client::Format;
use chatagram::words::Language;
use clap::Args;
use std::io::{self, IsTerminal};

/// The language.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct LangArgs {
    /// Language: en, ru or zh [default: that of your locale]
    ///
    /// Without the option, LC_ALL, LC_MESSAGES or LANG names it. JSON, the log and this help are
    /// English.
    #[arg(
        long,
        hide_short_help = true,
        value_name = "en|ru|zh",
        value_enum,
        env = "CHATAGRAM_LANG"
    )]
    pub(crate) lang: Option<Language>,
}

impl LangArgs {
    /// The language of a server. A program may read output that is no terminal: it is English
    /// unless the option says otherwise.
    pub(crate) fn language_of_server(self) -> Language {
        let format = if io::stdout().is_terminal() { Format::Text } else { Format::Json };
        self.lang.unwrap_or_else(|| self.language(format))
    }

    /// The language of this format: programs read English.
    pub(crate) fn language(self, format: Format) -> Language {
        match (format, self.lang) {
            (Format::Json, _) => Language::En,
            (Format::Text, Some(language)) => language,
            (Format::Text, None) => Language::of_locale(|name| std::env::var(name).ok()),
        }
    }
}
