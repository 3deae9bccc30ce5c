//! Parses a line of input. One table of commands serves parsing, `/help`, Tab and suggestions for
//! mistyped commands.

mod typed;

use super::output::{delivery_name, left};
use crate::protocol::{Delivery, Nickname};
use crate::words::{Language, Mistake};
use typed::Sigil;

/// The byte order mark at the beginning of a file from Windows, which is no text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// Words that leave the room, in any case.
const FAREWELLS: [&str; 4] = ["exit", "quit", "/quit", "выход"];
/// Columns of the usage of a command in `/help`.
const USAGE: usize = 15;
/// Largest edit distance of a suggestion.
const NEAR: usize = 2;
/// Characters shown of a mistyped command.
const MAX_NAME_SHOWN: usize = 32;

/// An entry of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Name, without slash.
    pub(super) name: &'static str,
    pub(super) arguments: Arguments,
    /// Its text in `/help`.
    pub(super) help: fn(Language) -> String,
}

/// Arguments of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    None,
    Text,
    Name,
    NewName,
    NameAndText,
    Mode,
}

const fn entry(name: &'static str, arguments: Arguments, help: fn(Language) -> String) -> Entry {
    Entry { name, arguments, help }
}

/// All commands, in the order of `/help`.
pub(super) const COMMANDS: [Entry; 14] = [
    entry("msg", Arguments::NameAndText, Language::help_msg),
    entry("r", Arguments::Text, Language::help_r),
    entry("me", Arguments::Text, Language::help_me),
    entry("who", Arguments::None, Language::help_who),
    entry("ping", Arguments::Name, Language::help_ping),
    entry("stats", Arguments::None, Language::help_stats),
    entry("mode", Arguments::Mode, Language::help_mode),
    entry("ticket", Arguments::None, Language::help_ticket),
    entry("nick", Arguments::NewName, Language::help_nick),
    entry("ignore", Arguments::Name, Language::help_ignore),
    entry("unignore", Arguments::Name, Language::help_unignore),
    entry("clear", Arguments::None, Language::help_clear),
    entry("help", Arguments::None, Language::help_help),
    entry("quit", Arguments::None, Language::help_quit),
];

/// The commands of the moderator, in the order of `/help` for a host.
pub(super) const MODERATION: [Entry; 7] = [
    entry("kick", Arguments::NameAndText, Language::help_kick),
    entry("mute", Arguments::NameAndText, Language::help_mute),
    entry("unmute", Arguments::Name, Language::help_unmute),
    entry("unban", Arguments::Name, Language::help_unban),
    entry("topic", Arguments::Text, Language::help_topic),
    entry("lock", Arguments::None, Language::help_lock),
    entry("unlock", Arguments::None, Language::help_unlock),
];

/// A parsed line of input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Nothing,
    Quit,
    Say(String),
    Act(String),
    Whisper {
        to: String,
        text: String,
    },
    /// A whisper to the author of the last whisper.
    Reply(String),
    Who,
    Ping(String),
    Stats,
    Mode(Option<Delivery>),
    Ticket,
    Nick(String),
    /// An order of the moderator, without slash.
    Moderate(String),
    /// Shows the topic.
    Topic,
    Ignore(String),
    Unignore(String),
    Clear,
    Help,
    /// An invalid whisper or command.
    Wrong(Mistake),
}

/// An action is a line with stars around it: the protocol has no message for it, every client shows
/// it well, and it cannot forge another author's name.
pub(super) fn action(text: &str) -> String {
    format!("*{text}*")
}

/// The text of `/help`, with the commands of the moderator if it is one.
pub(super) fn help(language: Language, moderates: bool) -> impl Iterator<Item = String> {
    let (name, text) = (language.name_argument(), language.text_argument());
    let whisper = (format!("@{name} {text}"), language.help_whisper());
    let escape = (format!("//{text}"), language.help_escape());
    let orders = MODERATION.iter().filter(move |_| moderates);
    let commands = COMMANDS.iter().chain(orders).map(move |entry| {
        let arguments = match entry.arguments {
            Arguments::None => String::new(),
            Arguments::Text => format!(" {text}"),
            Arguments::Name | Arguments::NewName => format!(" {name}"),
            Arguments::NameAndText => format!(" {name} {text}"),
            Arguments::Mode => format!(" {}", language.mode_argument()),
        };
        (format!("/{}{arguments}", entry.name), (entry.help)(language))
    });
    std::iter::once(whisper)
        .chain(commands)
        .chain([escape])
        .map(|(usage, help)| format!("{} {help}", left(&usage, USAGE)))
}

impl Command {
    /// Parses `line`, with or without a line end.
    ///
    /// A line that looks like a whisper or a command never becomes [`Command::Say`], even after
    /// invisible characters. Only `//` escapes.
    pub(super) fn parse(line: &str) -> Self {
        let line = line.trim_end_matches(['\r', '\n']);
        let seen = typed::visible(line);
        if seen.is_empty() {
            return Self::Nothing;
        }
        if FAREWELLS.contains(&typed::word(seen).to_lowercase().as_str()) {
            return Self::Quit;
        }
        match Sigil::split(seen) {
            Some((Sigil::At, rest)) => Self::whisper(rest, Mistake::At),
            Some((Sigil::Slash, rest)) => Self::after_slash(rest),
            None => Self::Say(line.trim_start_matches(BYTE_ORDER_MARK).to_owned()),
        }
    }

    /// Parses the text after a slash.
    fn after_slash(rest: &str) -> Self {
        if let Some((Sigil::Slash, said)) = Sigil::split(rest) {
            let said =
                if Sigil::split(said).is_some_and(|it| it.0 == Sigil::At) { said } else { rest };
            return Self::Say(said.to_owned());
        }
        let (typed, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let word = typed::word(typed);
        match (&*word, rest.trim()) {
            ("msg", rest) => Self::whisper(typed::visible(rest), Mistake::Msg),
            ("me", "") => Self::Wrong(Mistake::Me),
            ("me", action) => Self::Act(action.to_owned()),
            ("r", rest) if typed::visible(rest).is_empty() => Self::Wrong(Mistake::Reply),
            ("r", rest) => Self::Reply(rest.to_owned()),
            ("topic", "") => Self::Topic,
            (word, rest) if MODERATION.iter().any(|entry| entry.name == word) => {
                Self::Moderate(format!("{word} {rest}"))
            }
            ("nick", "") => Self::Wrong(Mistake::NameMissing("nick")),
            ("ignore", "") => Self::Wrong(Mistake::NameMissing("ignore")),
            ("unignore", "") => Self::Wrong(Mistake::NameMissing("unignore")),
            ("nick", name) => Self::Nick(bare_name(name)),
            ("ignore", name) => Self::Ignore(bare_name(name)),
            ("unignore", name) => Self::Unignore(bare_name(name)),
            ("who", _) => Self::Who,
            ("ping", "") => Self::Wrong(Mistake::NameMissing("ping")),
            ("ping", name) => Self::Ping(bare_name(name)),
            ("stats", _) => Self::Stats,
            ("mode", rest) => Self::mode(&typed::word(rest)),
            ("ticket", _) => Self::Ticket,
            ("clear", _) => Self::Clear,
            ("help", _) => Self::Help,
            ("quit", _) => Self::Wrong(Mistake::Quit),
            _ => Self::Wrong(unknown(&word)),
        }
    }

    /// Parses `name text`. The name may end in a comma or a colon, which no nickname has.
    fn whisper(rest: &str, usage: Mistake) -> Self {
        let (to, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let to = bare_name(to);
        if to.is_empty() || typed::visible(text).is_empty() {
            return Self::Wrong(usage);
        }
        // The server would refuse it too, but a private text should not leave in vain.
        if let Err(error) = Nickname::parse(&to) {
            return Self::Wrong(Mistake::NoName(error));
        }
        Self::Whisper { to, text: text.trim_start().to_owned() }
    }

    fn mode(name: &str) -> Self {
        if name.is_empty() {
            return Self::Mode(None);
        }
        let mode = Delivery::ALL.into_iter().find(|delivery| delivery_name(*delivery) == name);
        mode.map_or(Self::Wrong(Mistake::Mode), |delivery| Self::Mode(Some(delivery)))
    }
}

/// A typed name without the punctuation around it.
fn bare_name(typed: &str) -> String {
    let name = typed::word(typed);
    let name = name.trim_end_matches([',', ':', ';', '\u{60C}', '\u{3001}']);
    name.strip_prefix('@').unwrap_or(name).to_owned()
}

/// The mistake of an unknown command.
fn unknown(word: &str) -> Mistake {
    // A longer word is no typing error, and would fill the screen.
    let word: String = word.chars().take(MAX_NAME_SHOWN).collect();
    Mistake::Unknown { nearest: nearest(&word), word }
}

fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let far = |name: &str| strsim::damerau_levenshtein(&word, name);
    let near = COMMANDS.iter().chain(&MODERATION).map(|entry| (far(entry.name), entry.name));
    near.filter(|(far, name)| *far <= NEAR && *far < name.len()).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(text: &str) -> Command {
        Command::Say(text.to_owned())
    }

    fn whisper(to: &str, text: &str) -> Command {
        Command::Whisper { to: to.to_owned(), text: text.to_owned() }
    }

    fn is_wrong(line: &str) -> bool {
        matches!(Command::parse(line), Command::Wrong(_))
    }

    /// Characters that are invisible before others.
    const UNSEEN: [&str; 20] = [
        "\u{feff}", "\u{200b}", "\u{200c}", "\u{200d}", "\u{200e}", "\u{200f}", "\u{202e}",
        "\u{2066}", "\u{2060}", "\u{a0}", "\u{2000}", "\u{200a}", "\u{202f}", "\u{3000}", "\t",
        " ", "\u{ad}", "\u{3164}", "\0", "\u{fe0f}",
    ];

    #[test]
    fn lines_parse_as_in_earlier_chats() {
        for (line, meant) in [
            ("hello there\r\n", say("hello there")),
            ("  indented", say("  indented")),
            ("mail bob@home", say("mail bob@home")),
            ("either/or", say("either/or")),
            (" \n", Command::Nothing),
            ("exit\n", Command::Quit),
            ("Quit", Command::Quit),
            ("/quit", Command::Quit),
            ("ВЫХОД\n", Command::Quit),
            ("exit now", say("exit now")),
            ("@bob  hi you", whisper("bob", "hi you")),
            ("@bob, hi", whisper("bob", "hi")),
            ("@bob: hi: you", whisper("bob", "hi: you")),
            ("@@bob hi", whisper("bob", "hi")),
            ("/msg bob hi", whisper("bob", "hi")),
            ("/msg @bob, hi", whisper("bob", "hi")),
            ("/me waves ", Command::Act("waves".to_owned())),
            ("//quit", say("/quit")),
            ("//@bob hi", say("@bob hi")),
            ("///who", say("//who")),
            ("/stats", Command::Stats),
            ("/ping @bob", Command::Ping("bob".to_owned())),
            ("/mode", Command::Mode(None)),
            ("/mode unreliable\n", Command::Mode(Some(Delivery::Unreliable))),
            ("/clear", Command::Clear),
            ("/help", Command::Help),
        ] {
            assert_eq!(Command::parse(line), meant, "{line:?}");
        }
    }

    #[test]
    fn invisible_characters_change_no_meaning() {
        for unseen in UNSEEN {
            for before in
                [unseen.to_owned(), unseen.repeat(3), format!(" {unseen}"), format!("{unseen} ")]
            {
                for (line, meant) in [
                    ("@bob secret", whisper("bob", "secret")),
                    ("\u{ff20}bob secret", whisper("bob", "secret")),
                    ("\u{fe6b}ｂｏｂ， secret", whisper("bob", "secret")),
                    ("@\u{200b}b\u{200d}ob\u{3000}secret", whisper("bob", "secret")),
                    ("/msg bob secret", whisper("bob", "secret")),
                    ("\u{ff0f}ｍｓｇ\u{a0}bob secret", whisper("bob", "secret")),
                    ("exit", Command::Quit),
                    ("ＱＵＩＴ\u{200e}", Command::Quit),
                    ("выход\u{feff}\r", Command::Quit),
                    ("/quit", Command::Quit),
                    ("\u{ff0f}who", Command::Who),
                    ("//@bob hi", say("@bob hi")),
                    ("", Command::Nothing),
                ] {
                    let line = format!("{before}{line}\n");
                    assert_eq!(Command::parse(&line), meant, "{line:?}");
                }
                for line in ["@bob", "@ bob secret", "@bob:secret", "/mgs bob secret"] {
                    assert!(is_wrong(&format!("{before}{line}")), "{before:?} {line}");
                }
            }
        }
        assert_eq!(Command::parse("\u{feff}hello"), say("hello"));
    }

    #[test]
    fn invalid_whispers_and_commands_are_not_sent_to_the_room() {
        for line in [
            "@",
            "@bob",
            "@ bob hi",
            "@, hi",
            "@bob  ",
            "@bob \u{200b}",
            "@bob:secret",
            "@bob,secret text",
            "@bob/eve secret",
            "@!! secret",
            "@bobя secret",
            "＠",
            "＠ bob secret",
            "/mode fast",
            "/me",
            "/r",
            "/r \u{200b}",
            "/ignore",
            "/nick",
            "/msg bob",
            "/msg",
            "/quit x",
            "/exit",
            "/",
            "/ msg bob hi",
            "/home/alice",
            "/WHO",
            "/mgs bob hi",
        ] {
            let meant = Command::parse(line);
            let Command::Wrong(mistake) = &meant else { panic!("{line:?} is {meant:?}") };
            for language in Language::ALL {
                assert!(crate::protocol::is_clean(&language.mistake(mistake)), "{mistake:?}");
            }
            let why = Language::En.mistake(mistake);
            assert!(why.starts_with("not sent: "), "{why}");
            if line.starts_with(['@', '＠']) {
                assert!(why.contains("@name text") && why.contains("// says"), "{why}");
            }
        }
    }

    #[test]
    fn a_mistyped_command_gets_a_suggestion_and_a_foreign_one_does_not() {
        for (typed, meant) in
            [("hwo", "who"), ("stat", "stats"), ("WHO", "who"), ("pin", "ping"), ("msgs", "msg")]
        {
            let why = Language::En.mistake(&unknown(typed));
            assert!(why.contains(&format!("did you mean /{meant}?")), "{typed}: {why}");
        }
        for typed in ["", "x", "home/alice", "nickname"] {
            let why = Language::En.mistake(&unknown(typed));
            assert!(why.contains("see /help"), "{typed}: {why}");
        }
    }

    #[test]
    fn every_command_of_the_table_parses() {
        for Entry { name, .. } in COMMANDS.iter().chain(&MODERATION) {
            let line = format!("/{name} bob text");
            let meant = Command::parse(&line);
            let unknown = matches!(&meant, Command::Wrong(Mistake::Unknown { .. }));
            assert!(!unknown, "{line}");
        }
        for language in Language::ALL {
            assert_eq!(help(language, false).count(), COMMANDS.len() + 2);
            assert_eq!(help(language, true).count(), COMMANDS.len() + MODERATION.len() + 2);
        }
    }
}
