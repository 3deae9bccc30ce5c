//! Every text that people read while they chat, in each language: the one catalogue.
//!
//! A text is a function of what is in it, with its words in all languages side by side. So a text
//! that lacks a language does not compile, nor does one whose languages differ in their
//! placeholders, nor a call without a value for one of them; and the compiler finds unused ones.
//!
//! | file | texts |
//! |---|---|
//! | `session` | notices of a session: the server is lost, a line did not arrive |
//! | `refusal` | why a server does not let a client in, and rules for names |
//! | `room` | lines and notices of the room, `/who`, the end |
//! | `commands` | `/help`, and mistakes in commands |
//! | `figures` | `/stats`, the status line, `watch` |
//! | `client` | the program around a session |
//! | `server` | a host, and the terminal of a server |
//! | `options`, `start`, `engine` | why a command does not start |
//! | `moderator` | answers to the orders of a moderator |
//!
//! Options, logs and `--output json` are English.

#[cfg(feature = "cli")]
mod client;
#[cfg(feature = "cli")]
mod commands;
#[cfg(all(feature = "cli", feature = "redis"))]
mod engine;
#[cfg(feature = "cli")]
mod figures;
mod moderator;
#[cfg(feature = "cli")]
mod options;
mod placeholders;
mod refusal;
#[cfg(feature = "cli")]
mod room;
#[cfg(feature = "cli")]
mod server;
mod session;
#[cfg(feature = "cli")]
mod start;

#[cfg(feature = "cli")]
pub(crate) use commands::Mistake;
#[cfg(feature = "cli")]
pub(crate) use figures::Row;

/// A language of the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Language {
    /// English
    #[default]
    En,
    /// Russian
    Ru,
    /// Chinese, simplified
    Zh,
}

/// A text in the words of a language. Placeholders such as `{name}` are variables here.
macro_rules! say {
    ($language:expr, $en:literal, $ru:literal, $zh:literal $(,)?) => {{
        const _: () = $crate::words::placeholders::assert_same(&[$en, $ru, $zh]);
        #[allow(clippy::useless_format)]
        match $language {
            $crate::words::Language::En => format!($en),
            $crate::words::Language::Ru => format!($ru),
            $crate::words::Language::Zh => format!($zh),
        }
    }};
}

/// The same for a text whose English is elsewhere: that of a typed error, or a server's own words.
macro_rules! translate {
    ($language:expr, $en:expr, $ru:literal, $zh:literal $(,)?) => {{
        const _: () = $crate::words::placeholders::assert_same(&[$ru, $zh, $ru]);
        #[allow(clippy::useless_format)]
        match $language {
            $crate::words::Language::En => $en.to_string(),
            $crate::words::Language::Ru => format!($ru),
            $crate::words::Language::Zh => format!($zh),
        }
    }};
}

/// Like `say`, with forms for a number: one and more in English; in Russian one (1, 21), few (2 to
/// 4, 22) and many (0, 5 to 20); in Chinese only one form (CLDR, plural rules).
macro_rules! count {
    (
        $language:expr, $number:expr,
        [$en_one:literal, $en_more:literal],
        [$ru_one:literal, $ru_few:literal, $ru_many:literal],
        $zh:literal $(,)?
    ) => {{
        let language = $language;
        match $crate::words::Form::of(language, $number as u64) {
            $crate::words::Form::One => say!(language, $en_one, $ru_one, $zh),
            $crate::words::Form::Few => say!(language, $en_more, $ru_few, $zh),
            $crate::words::Form::Many => say!(language, $en_more, $ru_many, $zh),
        }
    }};
}

use {count, say, translate};

/// The plural form of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    One,
    Few,
    Many,
}

impl Form {
    fn of(language: Language, number: u64) -> Self {
        match (language, number % 10, number % 100) {
            (Language::En, ..) if number == 1 => Self::One,
            (Language::Ru, 1, hundred) if hundred != 11 => Self::One,
            (Language::Ru, 2..=4, hundred) if !(12..=14).contains(&hundred) => Self::Few,
            _ => Self::Many,
        }
    }
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::En, Self::Ru, Self::Zh];

    /// The language of a user who names none: by the first of `LC_ALL`, `LC_MESSAGES` and `LANG`
    /// that is set (POSIX.1-2024, 8.2), else English.
    pub fn of_locale(variable: impl Fn(&str) -> Option<String>) -> Self {
        let locales = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(variable);
        let locale = locales.into_iter().find(|it| !it.is_empty()).unwrap_or_default();
        // language[_territory][.codeset][@modifier]
        match locale.split(['_', '.', '@', '-']).next().unwrap_or_default() {
            "ru" => Self::Ru,
            "zh" => Self::Zh,
            _ => Self::En,
        }
    }

    /// A decimal number with this many digits after the point.
    #[cfg(feature = "cli")]
    pub(crate) fn decimal(self, number: f64, digits: usize) -> String {
        let text = format!("{number:.digits$}");
        if self == Self::Ru { text.replace('.', ",") } else { text }
    }

    /// A share in percent, with this many digits after the point.
    #[cfg(feature = "cli")]
    #[must_use]
    pub fn percent(self, share: f64, digits: usize) -> String {
        let number = self.decimal(100.0 * share, digits);
        say!(self, "{number} %", "{number} %", "{number}%")
    }

    /// A list: "ann, bob".
    fn list<T: ToString>(self, items: &[T]) -> String {
        let items: Vec<_> = items.iter().map(T::to_string).collect();
        items.join(if self == Self::Zh { "、" } else { ", " })
    }
}

#[cfg(all(test, feature = "cli"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_is_the_first_variable_that_is_set() {
        for (all, messages, lang, language) in [
            ("", "", "", Language::En),
            ("", "", "ru_RU.UTF-8", Language::Ru),
            ("", "zh_CN.UTF-8", "ru_RU.UTF-8", Language::Zh),
            ("C", "zh_CN.UTF-8", "ru_RU.UTF-8", Language::En),
            ("ru", "zh_CN", "zh_CN", Language::Ru),
            ("", "", "zh", Language::Zh),
            ("", "", "zh_TW@x", Language::Zh),
            ("", "", "run", Language::En),
            ("POSIX", "", "", Language::En),
        ] {
            let value = |name: &str| {
                let value = match name {
                    "LC_ALL" => all,
                    "LC_MESSAGES" => messages,
                    _ => lang,
                };
                // An unset variable counts as an empty one.
                (name != "LC_ALL" || !value.is_empty()).then(|| value.to_owned())
            };
            assert_eq!(Language::of_locale(value), language, "{all} {messages} {lang}");
        }
    }

    /// The texts of a key on the room's page, one for each plural form.
    fn on_page(page: &'static str, key: &str) -> Vec<&'static str> {
        let (_, rest) = page.split_once(&format!("\n  \"{key}\": ")).unwrap();
        let entry = rest.split("\n  \"").next().unwrap();
        entry.split('"').skip(1).step_by(2).collect()
    }

    /// A reader of the page and of a terminal meets the same words.
    #[test]
    fn the_page_and_the_terminal_share_their_terms() {
        use crate::client::session::CloseReason;
        use crate::protocol::LeaveReason::{Flood, Kicked, Quit, Restart, Shutdown, Timeout};
        let pages = [
            (Language::Ru, include_str!("server/web/page/ru.js")),
            (Language::Zh, include_str!("server/web/page/zh.js")),
        ];
        let names = ["{names}".to_owned()];
        for (say, page) in pages {
            let [name, over, _, down, ..] = say.who_titles();
            for (key, text) in [
                ("chat.renamed", say.renamed("{from}", "{to}")),
                ("chat.topic", say.topic("{text}")),
                ("chat.topic.none", say.no_topic_any_more()),
                ("chat.to", say.whispered_to("{name}")),
                ("chat.to.you", say.whispered()),
                ("chat.joined", say.joined(&names, 2)),
                ("chat.left.quit", say.left(&names, 2, Quit)),
                ("chat.left.timeout", say.left(&names, 2, Timeout)),
                ("chat.left.flood", say.left(&names, 2, Flood)),
                ("chat.left.kicked", say.left(&names, 2, Kicked)),
                ("chat.left", say.farewell(CloseReason::Quit)),
                ("chat.closing.shutdown", say.closing(Shutdown, "")),
                ("chat.closing.restart", say.closing(Restart, "")),
                ("chat.closing.flood", say.closing(Flood, "")),
                ("chat.closing.kicked", say.closing(Kicked, "")),
                ("wrong.me", say.mistake(&Mistake::Me)),
                ("people.name", name),
                ("people.over", over),
                ("people.down", down),
            ] {
                let bare = |it: &str| it.to_lowercase().trim_end_matches(['.', '。']).to_owned();
                let text = text.to_lowercase();
                let same = |it: &&str| text.contains(&bare(it));
                let texts = on_page(page, key);
                assert!(texts.iter().any(same), "{say:?} {key}: {text:?} is not {texts:?}");
            }
        }
    }

    #[test]
    fn russian_has_three_plural_forms() {
        let lines = |n: u64| {
            let russian = Language::Ru;
            count!(
                russian,
                n,
                ["{n} line", "{n} lines"],
                ["{n} строка", "{n} строки", "{n} строк"],
                "{n} 条",
            )
        };
        for (n, word) in [(0, "строк"), (1, "строка"), (2, "строки"), (4, "строки"), (5, "строк")]
        {
            assert_eq!(lines(n), format!("{n} {word}"));
        }
        for (n, word) in [(11, "строк"), (14, "строк"), (21, "строка"), (111, "строк")]
        {
            assert_eq!(lines(n), format!("{n} {word}"));
        }
        assert_eq!(Form::of(Language::En, 1), Form::One);
        assert_eq!([0, 2, 21].map(|n| Form::of(Language::En, n)), [Form::Many; 3]);
    }
}
