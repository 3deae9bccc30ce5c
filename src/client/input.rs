//! What the user types, carried out: a thread of its own that may wait for the network.

use super::commands::{self, Command, interpret};
use super::driver::Driver;
use super::output::delivery_name;
use super::session::{Event, Session, Transport};
use crate::protocol::Delivery;
use crate::protocol::limits::ANSWER_TIMEOUT;
use crate::time::Now;
use std::io::{self, BufRead, Read};
use std::time::{Duration, Instant};

/// The longest piece of input without a line end that is kept in memory, bytes.
const MAX_INPUT: u64 = 64 * 1024;
/// How long a client that wants to leave waits for the server to take what was typed, once it may be said.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// How long before it says that it waits.
const BREATH: Duration = Duration::from_secs(1);

/// The lines of a pipe or a file, or of a terminal that edits them itself.
pub(super) fn lines(input: impl Read, driver: &Driver) -> impl FnMut() -> Option<String> {
    let mut input = io::BufReader::new(input);
    let driver = driver.clone();
    move || loop {
        let mut line = Vec::new();
        match (&mut input).take(MAX_INPUT).read_until(b'\n', &mut line) {
            Ok(0) => return None,
            Ok(_) => return Some(String::from_utf8_lossy(&line).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                driver.complain(format!("cannot read the input: {error}"));
                return None;
            }
        }
    }
}

/// Takes lines until there are no more, sends what is to be sent, waits until the server has it, stays
/// for as long as was asked (`None`: until told to go), and leaves.
pub(super) fn converse(
    lines: impl FnMut() -> Option<String>,
    driver: &Driver,
    stay: Option<Duration>,
) {
    let stay = match carry_out(lines, driver) {
        End::Quit => Some(Duration::ZERO),
        End::Eof => stay,
        End::Closed => return,
    };
    let backlog = driver.turn(|session, now| session.backlog(now.mono));
    let patience = LAST_WORDS + Duration::from_secs(backlog.as_secs_f64().ceil() as u64);
    let deadline = Instant::now() + patience;
    let settled =
        |session: &mut Session, _: Now| (session.is_closed() || session.is_settled()).then_some(());
    let soon = driver.wait_until(Some(Instant::now() + BREATH), settled);
    if soon.is_none() {
        let seconds = patience.as_secs();
        let text = format!(
            "waiting up to {seconds} s for the server to take what was typed; Ctrl-C leaves at once"
        );
        driver.tell(text);
    }
    if soon.or_else(|| driver.wait_until(Some(deadline), settled)).is_none() {
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

fn carry_out(mut lines: impl FnMut() -> Option<String>, driver: &Driver) -> End {
    while let Some(line) = lines() {
        let taken = match interpret(&line) {
            Command::Nothing => true,
            Command::Quit => return End::Quit,
            Command::Say(text) => deliver(driver, None, text),
            Command::Act(text) => deliver(driver, None, &commands::action(text)),
            Command::Whisper { to, text } => deliver(driver, Some(to), text),
            Command::Who => ask(driver, Session::ask_who),
            Command::Ping(name) => ask(driver, |session, now| session.ping(name, now)),
            Command::Stats => show_stats(driver),
            Command::Mode(delivery) => change_mode(driver, delivery),
            Command::Help => {
                commands::help().for_each(|line| driver.tell(line));
                true
            }
            Command::Clear => complain(driver, "there is no screen to clear".to_owned()),
            Command::Wrong(what) => complain(driver, what.to_owned()),
            Command::Unknown(word) => complain(driver, commands::unknown(word)),
        };
        if !taken {
            return End::Closed;
        }
    }
    End::Eof
}

fn complain(driver: &Driver, message: String) -> bool {
    driver.complain(message);
    true
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

/// Waits a little for the welcome: a pipe is quicker than any server.
fn ask(driver: &Driver, mut question: impl FnMut(&mut Session, Now) -> bool) -> bool {
    let asked = driver.wait_until(Some(Instant::now() + ANSWER_TIMEOUT), |session, now| {
        (question(session, now) || session.is_closed()).then_some(())
    });
    if asked.is_none() {
        driver.complain("not asked: there is no server at the moment".to_owned());
    }
    true
}

fn show_stats(driver: &Driver) -> bool {
    let report = driver.wait_until(Some(Instant::now() + ANSWER_TIMEOUT), |session, _| {
        session.report().map(Some).or_else(|| session.is_closed().then_some(None))
    });
    match report.flatten() {
        Some(report) => driver.show(Event::Stats(report.into())),
        None => driver.tell("no statistics yet: not connected".to_owned()),
    }
    if let Some(done) = driver.done() {
        driver.tell(format!("the bad network: {done}"));
    }
    true
}

fn change_mode(driver: &Driver, delivery: Option<Delivery>) -> bool {
    let delivery = driver.turn(|session, now| {
        delivery.inspect(|delivery| session.set_delivery(*delivery, now));
        session.delivery()
    });
    let over_tcp = driver.turn(|session, _| session.report());
    if over_tcp.is_some_and(|report| report.transport == Transport::Tcp) {
        driver.tell("over TCP every line is reliable and in order, whatever the mode".to_owned());
    }
    driver.tell(format!("delivery: {}", delivery_name(delivery)));
    true
}
