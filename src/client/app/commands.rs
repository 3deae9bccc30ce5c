//! Parses a line of input. One table of commands serves parsing, `/help`, Tab and suggestions for
//! mistyped commands.

mod typed;

use super::output::delivery_name;
use crate::protocol::{Delivery, Nickname};
use typed::Sigil;

/// The byte order mark at the beginning of a file from Windows, which is no text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// The escape for a line that looks like a whisper or a command.
const ESCAPE: &str = "// says a line that begins with / or @";
/// Words that leave the room, in any case.
const FAREWELLS: [&str; 4] = ["exit", "quit", "/quit", "выход"];
/// Arguments of `/mode`.
const MODES: &str = "/mode takes unreliable, reliable-unordered or reliable-ordered";
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
    pub(super) help: &'static str,
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

const fn entry(name: &'static str, arguments: Arguments, help: &'static str) -> Entry {
    Entry { name, arguments, help }
}

/// All commands, in the order of `/help`.
pub(super) const COMMANDS: [Entry; 14] = [
    entry("msg", Arguments::NameAndText, "the same"),
    entry("r", Arguments::Text, "answer the last whisper to you"),
    entry("me", Arguments::Text, "say what you do: /me waves is said as *waves*"),
    entry("who", Arguments::None, "who is here, and how well they are reached"),
    entry("ping", Arguments::Name, "how long it takes to NAME and back, through the server"),
    entry("stats", Arguments::None, "what the network did so far"),
    entry(
        "mode",
        Arguments::Mode,
        "how lines travel: unreliable, reliable-unordered or reliable-ordered",
    ),
    entry("ticket", Arguments::None, "show the ticket of this private room, for its host"),
    entry("nick", Arguments::NewName, "change your own name"),
    entry("ignore", Arguments::Name, "hide what NAME says and whispers, on this screen"),
    entry("unignore", Arguments::Name, "show it again"),
    entry("clear", Arguments::None, "clear the screen"),
    entry("help", Arguments::None, "this"),
    entry("quit", Arguments::None, "leave (also: exit, quit, Ctrl-C, Ctrl-D)"),
];

/// The commands of the moderator, in the order of `/help` for a host.
pub(super) const MODERATION: [Entry; 7] = [
    entry("kick", Arguments::NameAndText, "remove NAME, and say why; it stays out for 10 minutes"),
    entry("mute", Arguments::NameAndText, "refuse what NAME says, for a time such as 300s"),
    entry("unmute", Arguments::Name, "let NAME speak again"),
    entry("unban", Arguments::Name, "let NAME join again"),
    entry("topic", Arguments::Text, "what the room is about; - for nothing"),
    entry("lock", Arguments::None, "let nobody new in"),
    entry("unlock", Arguments::None, "let everybody in again"),
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
    /// An invalid whisper or command, with the reason.
    Wrong(String),
}

/// An action is a line with stars around it: the protocol has no message for it, every client shows
/// it well, and it cannot forge another author's name.
pub(super) fn action(text: &str) -> String {
    format!("*{text}*")
}

/// The text of `/help`, with the commands of the moderator if it is one.
pub(super) fn help(moderates: bool) -> impl Iterator<Item = String> {
    let whisper = ("@NAME TEXT".to_owned(), "say something to one person alone");
    let orders = MODERATION.iter().filter(move |_| moderates);
    let commands = COMMANDS.iter().chain(orders).map(|entry| {
        let arguments = match entry.arguments {
            Arguments::None => "",
            Arguments::Text => " TEXT",
            Arguments::Name | Arguments::NewName => " NAME",
            Arguments::NameAndText => " NAME TEXT",
            Arguments::Mode => " [MODE]",
        };
        (format!("/{}{arguments}", entry.name), entry.help)
    });
    let escape = ("//TEXT".to_owned(), "say a line that begins with / or @: //@home says @home");
    std::iter::once(whisper)
        .chain(commands)
        .chain([escape])
        .map(|(usage, help)| format!("{usage:<15} {help}"))
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
            Some((Sigil::At, rest)) => Self::whisper(rest, "to whisper, write: @name text"),
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
            ("msg", rest) => Self::whisper(typed::visible(rest), "/msg takes a name and a text"),
            ("me", "") => Self::wrong("/me takes what you do"),
            ("me", action) => Self::Act(action.to_owned()),
            ("r", rest) if typed::visible(rest).is_empty() => Self::wrong("/r takes a text"),
            ("r", rest) => Self::Reply(rest.to_owned()),
            ("topic", "") => Self::Topic,
            (word, rest) if MODERATION.iter().any(|entry| entry.name == word) => {
                Self::Moderate(format!("{word} {rest}"))
            }
            ("nick" | "ignore" | "unignore", "") => Self::wrong(&format!("/{word} takes a name")),
            ("nick", name) => Self::Nick(bare_name(name)),
            ("ignore", name) => Self::Ignore(bare_name(name)),
            ("unignore", name) => Self::Unignore(bare_name(name)),
            ("who", _) => Self::Who,
            ("ping", "") => Self::wrong("/ping takes a name"),
            ("ping", name) => Self::Ping(bare_name(name)),
            ("stats", _) => Self::Stats,
            ("mode", rest) => Self::mode(&typed::word(rest)),
            ("ticket", _) => Self::Ticket,
            ("clear", _) => Self::Clear,
            ("help", _) => Self::Help,
            ("quit", _) => Self::wrong("/quit takes nothing, and leaves"),
            _ => Self::wrong(&unknown(&word)),
        }
    }

    /// Parses `name text`. The name may end in a comma or a colon, which no nickname has.
    fn whisper(rest: &str, usage: &str) -> Self {
        let (to, text) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        let to = bare_name(to);
        if to.is_empty() || typed::visible(text).is_empty() {
            return Self::wrong(&format!("{usage} ({ESCAPE})"));
        }
        // The server would refuse it too, but a private text should not leave in vain.
        if let Err(error) = Nickname::parse(&to) {
            return Self::wrong(&format!("no peer has that name: {error}; {usage} ({ESCAPE})"));
        }
        Self::Whisper { to, text: text.trim_start().to_owned() }
    }

    fn mode(name: &str) -> Self {
        if name.is_empty() {
            return Self::Mode(None);
        }
        let mode = Delivery::ALL.into_iter().find(|delivery| delivery_name(*delivery) == name);
        mode.map_or_else(|| Self::wrong(MODES), |delivery| Self::Mode(Some(delivery)))
    }

    fn wrong(what: &str) -> Self {
        Self::Wrong(format!("not sent: {what}"))
    }
}

/// A typed name without the punctuation around it.
fn bare_name(typed: &str) -> String {
    let name = typed::word(typed);
    let name = name.trim_end_matches([',', ':', ';', '\u{60C}', '\u{3001}']);
    name.strip_prefix('@').unwrap_or(name).to_owned()
}

/// The message about an unknown command.
fn unknown(word: &str) -> String {
    // A longer word is no typing error, and would fill the screen.
    let word: String = word.chars().take(MAX_NAME_SHOWN).collect();
    let hint = match nearest(&word) {
        Some(name) => format!("did you mean /{name}?"),
        None => "see /help".to_owned(),
    };
    format!("no command /{word}; {hint} ({ESCAPE})")
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
            let Command::Wrong(why) = &meant else { panic!("{line:?} is {meant:?}") };
            assert!(why.starts_with("not sent: ") && crate::protocol::is_clean(why), "{why}");
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
            assert!(unknown(typed).contains(&format!("did you mean /{meant}?")), "{typed}");
        }
        for typed in ["", "x", "home/alice", "nickname"] {
            assert!(unknown(typed).contains("see /help"), "{typed}: {}", unknown(typed));
        }
    }

    #[test]
    fn every_command_of_the_table_parses() {
        for Entry { name, .. } in COMMANDS.iter().chain(&MODERATION) {
            let line = format!("/{name} bob text");
            let meant = Command::parse(&line);
            let unknown = matches!(&meant, Command::Wrong(why) if why.contains("no command"));
            assert!(!unknown, "{line}");
        }
        assert_eq!(help(false).count(), COMMANDS.len() + 2);
        assert_eq!(help(true).count(), COMMANDS.len() + MODERATION.len() + 2);
    }
}
