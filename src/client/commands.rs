//! What a line of input means. One table of commands serves parsing, `/help`, Tab and the guess at what
//! a mistyped one was.

use super::output::delivery_name;
use crate::protocol::Delivery;

/// What ends a conversation, whatever the case.
const FAREWELLS: [&str; 4] = ["exit", "quit", "/quit", "выход"];
/// What `/mode` understands.
const MODES: &str = "/mode takes unreliable, reliable-unordered or reliable-ordered";
/// A mistyped command is at most so many edits from the one that was meant.
const NEAR: usize = 2;

/// A command as people see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Without its slash.
    pub(super) name: &'static str,
    pub(super) arguments: Arguments,
    pub(super) help: &'static str,
}

/// What follows a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    None,
    Text,
    Name,
    NameAndText,
    Mode,
}

const fn entry(name: &'static str, arguments: Arguments, help: &'static str) -> Entry {
    Entry { name, arguments, help }
}

/// All there are, in the order of `/help`.
pub(super) const COMMANDS: [Entry; 9] = [
    entry("msg", Arguments::NameAndText, "the same"),
    entry("me", Arguments::Text, "say what you do: /me waves is said as *waves*"),
    entry("who", Arguments::None, "who is here, and how well they are reached"),
    entry("ping", Arguments::Name, "how long it takes to NAME and back, through the server"),
    entry("stats", Arguments::None, "what the network did so far"),
    entry(
        "mode",
        Arguments::Mode,
        "how lines travel: unreliable, reliable-unordered or reliable-ordered",
    ),
    entry("clear", Arguments::None, "clear the screen"),
    entry("help", Arguments::None, "this"),
    entry("quit", Arguments::None, "leave (also: exit, quit, Ctrl-C, Ctrl-D)"),
];

/// What a line of input means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    Nothing,
    Quit,
    Say(&'a str),
    Act(&'a str),
    Whisper { to: &'a str, text: &'a str },
    Who,
    Ping(&'a str),
    Stats,
    Mode(Option<Delivery>),
    Clear,
    Help,
    Wrong(&'static str),
    Unknown(&'a str),
}

/// An action has no message of its own in the protocol. With stars around it every client shows it well,
/// and after its author's name, as any line: it names nobody itself, so there is nobody to forge.
pub(super) fn action(text: &str) -> String {
    format!("*{text}*")
}

/// What `/help` prints.
pub(super) fn help() -> impl Iterator<Item = String> {
    let whisper = ("@NAME TEXT".to_owned(), "say something to one person alone");
    let commands = COMMANDS.iter().map(|entry| {
        let arguments = match entry.arguments {
            Arguments::None => "",
            Arguments::Text => " TEXT",
            Arguments::Name => " NAME",
            Arguments::NameAndText => " NAME TEXT",
            Arguments::Mode => " [MODE]",
        };
        (format!("/{}{arguments}", entry.name), entry.help)
    });
    std::iter::once(whisper).chain(commands).map(|(usage, help)| format!("{usage:<15} {help}"))
}

/// What to say about a command that does not exist.
pub(super) fn unknown(word: &str) -> String {
    let hint = match nearest(word) {
        Some(name) => format!("did you mean /{name}?"),
        None => "see /help".to_owned(),
    };
    format!("not sent: no command /{word}; {hint} (// says a line that begins with /)")
}

fn nearest(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase();
    let far = |name: &str| strsim::damerau_levenshtein(&word, name);
    let near = COMMANDS.iter().map(|entry| (far(entry.name), entry.name));
    near.filter(|(far, name)| *far <= NEAR && *far < name.len()).min().map(|(_, name)| name)
}

/// What `line` means; a line end on it is ignored.
pub(super) fn interpret(line: &str) -> Command<'_> {
    let line = line.trim_end_matches(['\r', '\n']);
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Command::Nothing;
    }
    if FAREWELLS.contains(&trimmed.to_lowercase().as_str()) {
        return Command::Quit;
    }
    if let Some(rest) = line.strip_prefix('@') {
        return whisper(rest, "not sent; to whisper, write: @name text");
    }
    let Some(command) = line.strip_prefix('/') else { return Command::Say(line) };
    if command.starts_with('/') {
        return Command::Say(command);
    }
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    match (word, rest.trim()) {
        ("msg", rest) => whisper(rest, "not sent; /msg takes a name and a text"),
        ("me", "") => Command::Wrong("/me takes what you do"),
        ("me", action) => Command::Act(action),
        ("who", _) => Command::Who,
        ("ping", "") => Command::Wrong("/ping takes a name"),
        ("ping", name) => Command::Ping(name.strip_prefix('@').unwrap_or(name)),
        ("stats", _) => Command::Stats,
        ("mode", rest) => mode(rest),
        ("clear", _) => Command::Clear,
        ("help", _) => Command::Help,
        ("quit", _) => Command::Wrong("not sent; /quit takes nothing, and leaves"),
        _ => Command::Unknown(word),
    }
}

/// `name text`. As people write, the name may end in a comma or a colon; no nickname has one.
fn whisper<'a>(rest: &'a str, usage: &'static str) -> Command<'a> {
    let Some((to, text)) = rest.split_once(char::is_whitespace) else {
        return Command::Wrong(usage);
    };
    let to = to.trim_end_matches([',', ':']);
    let to = to.strip_prefix('@').unwrap_or(to);
    if to.is_empty() || text.trim().is_empty() {
        return Command::Wrong(usage);
    }
    Command::Whisper { to, text: text.trim_start() }
}

fn mode(name: &str) -> Command<'_> {
    if name.is_empty() {
        return Command::Mode(None);
    }
    let mode = Delivery::ALL.into_iter().find(|delivery| delivery_name(*delivery) == name);
    mode.map_or(Command::Wrong(MODES), |delivery| Command::Mode(Some(delivery)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_mean_what_they_meant_in_the_chats_before() {
        for (line, meant) in [
            ("hello there\r\n", Command::Say("hello there")),
            ("  indented", Command::Say("  indented")),
            (" \n", Command::Nothing),
            ("exit\n", Command::Quit),
            ("Quit", Command::Quit),
            ("/quit", Command::Quit),
            ("ВЫХОД\n", Command::Quit),
            ("exit now", Command::Say("exit now")),
            ("@bob  hi you", Command::Whisper { to: "bob", text: "hi you" }),
            ("@bob, hi", Command::Whisper { to: "bob", text: "hi" }),
            ("@bob: hi: you", Command::Whisper { to: "bob", text: "hi: you" }),
            ("/msg bob hi", Command::Whisper { to: "bob", text: "hi" }),
            ("/msg @bob, hi", Command::Whisper { to: "bob", text: "hi" }),
            ("/me waves ", Command::Act("waves")),
            ("//quit", Command::Say("/quit")),
            ("/stats", Command::Stats),
            ("/ping @bob", Command::Ping("bob")),
            ("/mode", Command::Mode(None)),
            ("/mode unreliable\n", Command::Mode(Some(Delivery::Unreliable))),
            ("/clear", Command::Clear),
            ("/help", Command::Help),
        ] {
            assert_eq!(interpret(line), meant, "{line:?}");
        }
    }

    #[test]
    fn what_was_meant_as_a_command_is_not_said_to_the_room() {
        for line in
            ["@bob", "@ bob hi", "@", "@, hi", "@bob  ", "/mode fast", "/me", "/msg bob", "/quit x"]
        {
            assert!(matches!(interpret(line), Command::Wrong(_)), "{line:?}");
        }
        for line in ["/exit", "/", "/home/alice", "/WHO"] {
            assert!(matches!(interpret(line), Command::Unknown(_)), "{line:?}");
        }
    }

    #[test]
    fn a_mistyped_command_is_guessed_and_a_foreign_one_is_not() {
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
    fn every_command_of_the_table_is_understood() {
        for Entry { name, .. } in COMMANDS {
            let line = format!("/{name} bob text");
            assert!(!matches!(interpret(&line), Command::Unknown(_)), "{line}");
        }
        assert_eq!(help().count(), COMMANDS.len() + 1);
    }
}
