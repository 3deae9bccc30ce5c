//! What the user types: lines, and what they mean. Reads in a thread of its own, blocking.

use super::driver::Driver;
use super::output::delivery_name;
use super::session::{Event, Session};
use crate::protocol::Delivery;
use crate::time::Now;
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

/// The longest piece of input without a line end that is kept in memory, bytes.
const MAX_INPUT: u64 = 64 * 1024;
/// How long a client that wants to leave waits for the server to take what was typed.
const LAST_WORDS: Duration = Duration::from_secs(30);
/// What ends a conversation, whatever the case.
const FAREWELLS: [&str; 4] = ["exit", "quit", "/quit", "выход"];

/// What `/mode` understands.
const MODES: &str = "/mode takes unreliable, reliable-unordered or reliable-ordered";
/// What `/help` prints.
const HELP: [&str; 6] = [
    "@name text     say something to one person",
    "/who           who is here, and how well they are reached",
    "/ping NAME     how long it takes to NAME and back, through the server",
    "/stats         what the network did so far",
    "/mode [MODE]   how lines travel: unreliable, reliable-unordered or reliable-ordered",
    "/quit          leave (also: exit, quit, Ctrl-C, Ctrl-D)",
];

/// What a line of input means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command<'a> {
    Nothing,
    Quit,
    Say(&'a str),
    Whisper { to: &'a str, text: &'a str },
    Who,
    Ping(&'a str),
    Stats,
    Mode(Option<Delivery>),
    Help,
    Wrong(&'a str),
}

/// Reads until there is no more, sends what is to be sent, waits until the server has it, stays
/// for as long as was asked (`None`: until told to go), and leaves.
pub(super) fn converse(input: impl Read, driver: &Driver, stay: Option<Duration>) {
    let stay = match read(input, driver) {
        End::Quit => Some(Duration::ZERO),
        End::Eof => stay,
        End::Closed => return,
    };
    let settled = driver.wait_until(Some(Instant::now() + LAST_WORDS), |session, _| {
        (session.is_closed() || session.is_settled()).then_some(())
    });
    if settled.is_none() {
        return driver.turn(|session, _| session.give_up());
    }
    let until = stay.map(|stay| Instant::now() + stay);
    driver.wait_until(until, |session, _| session.is_closed().then_some(()));
    driver.turn(Session::leave);
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The user wants to leave.
    Quit,
    /// There is no more input.
    Eof,
    /// There is no session any more.
    Closed,
}

fn read(input: impl Read, driver: &Driver) -> End {
    let mut input = io::BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut input).take(MAX_INPUT).read_until(b'\n', &mut line) {
            Ok(0) => return End::Eof,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                driver.complain(format!("cannot read the input: {error}"));
                return End::Eof;
            }
        }
        let text = String::from_utf8_lossy(&line);
        let taken = match interpret(&text) {
            Command::Nothing => true,
            Command::Quit => return End::Quit,
            Command::Say(text) => deliver(driver, None, text),
            Command::Whisper { to, text } => deliver(driver, Some(to), text),
            Command::Who => ask(driver, Session::ask_who),
            Command::Ping(name) => ask(driver, |session, now| session.ping(name, now)),
            Command::Stats => show_stats(driver),
            Command::Mode(delivery) => change_mode(driver, delivery),
            Command::Help => {
                HELP.iter().for_each(|line| driver.tell((*line).to_owned()));
                true
            }
            Command::Wrong(what) => {
                driver.complain(what.to_owned());
                true
            }
        };
        if !taken {
            return End::Closed;
        }
    }
}

/// Hands a line to the session, and waits while it has too many: a pipe is read as fast as the
/// network takes it. False when there is no session any more.
fn deliver(driver: &Driver, to: Option<&str>, text: &str) -> bool {
    let taken = driver.wait_until(None, |session, now| {
        if session.is_closed() {
            return Some(false);
        }
        let taken = match to {
            None => session.say(text, now),
            Some(to) => session.whisper(to, text, now),
        };
        taken.ok().map(|()| true)
    });
    taken.unwrap_or(false)
}

fn ask(driver: &Driver, question: impl FnOnce(&mut Session, Now) -> bool) -> bool {
    if !driver.turn(question) {
        driver.complain("not asked: there is no server at the moment".to_owned());
    }
    true
}

fn show_stats(driver: &Driver) -> bool {
    match driver.turn(|session, _| session.report()) {
        Some(report) => driver.show(Event::Stats(report.into())),
        None => driver.tell("no statistics yet: not connected".to_owned()),
    }
    if let Some(done) = driver.done() {
        driver.tell(format!("the bad network: {done}"));
    }
    true
}

fn change_mode(driver: &Driver, delivery: Option<Delivery>) -> bool {
    let delivery = driver.turn(|session, _| {
        delivery.inspect(|delivery| session.set_delivery(*delivery));
        session.delivery()
    });
    driver.tell(format!("delivery: {}", delivery_name(delivery)));
    true
}

fn mode(rest: &str) -> Command<'_> {
    match rest.trim() {
        "" => Command::Mode(None),
        name => Delivery::ALL
            .into_iter()
            .find(|delivery| delivery_name(*delivery) == name)
            .map_or(Command::Wrong(MODES), |delivery| Command::Mode(Some(delivery))),
    }
}

fn interpret(line: &str) -> Command<'_> {
    let line = line.trim_end_matches(['\r', '\n']);
    let trimmed = line.trim();
    if trimmed.is_empty() {
        return Command::Nothing;
    }
    if FAREWELLS.contains(&trimmed.to_lowercase().as_str()) {
        return Command::Quit;
    }
    if let Some(rest) = line.strip_prefix('@') {
        return match rest.split_once(char::is_whitespace) {
            Some((to, text)) if !to.is_empty() && !text.trim().is_empty() => {
                Command::Whisper { to, text: text.trim_start() }
            }
            _ => Command::Wrong("not sent; to whisper, write: @name text"),
        };
    }
    let Some(command) = line.strip_prefix('/') else { return Command::Say(line) };
    match command.split_once(char::is_whitespace).unwrap_or((command, "")) {
        _ if command.starts_with('/') => Command::Say(command),
        ("who", _) => Command::Who,
        ("ping", name) if !name.trim().is_empty() => Command::Ping(name.trim()),
        ("ping", _) => Command::Wrong("/ping takes a name"),
        ("stats", _) => Command::Stats,
        ("mode", rest) => mode(rest),
        ("help", _) => Command::Help,
        _ => Command::Wrong(
            "not sent: no such command, see /help; begin with // to say a line that begins with /",
        ),
    }
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
            ("//quit", Command::Say("/quit")),
            ("/stats", Command::Stats),
            ("/mode", Command::Mode(None)),
            ("/mode unreliable\n", Command::Mode(Some(Delivery::Unreliable))),
            ("/help", Command::Help),
        ] {
            assert_eq!(interpret(line), meant, "{line:?}");
        }
    }

    #[test]
    fn what_was_meant_as_a_command_is_not_said_to_the_room() {
        for line in ["@bob", "@ bob hi", "@", "@bob  ", "/exit", "/", "/mode fast"] {
            assert!(matches!(interpret(line), Command::Wrong(_)), "{line:?}");
        }
    }
}
