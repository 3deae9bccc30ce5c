//! The input thread: carries out commands; it may wait for the network.

mod encoding;
mod pipe;
mod waiting;

pub(super) use pipe::Pipe;
pub use pipe::Unreadable;

use super::commands::{self, Command};
use super::driver::Driver;
use super::farewell::Farewell;
use super::session::{Event, Session, Transport};
use crate::protocol::Delivery;
use crate::protocol::limits::ANSWER_TIMEOUT;
use crate::time::Now;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};
use waiting::Waiting;

/// Time for the server to take pending lines when the client leaves, beyond the pacing.
const LAST_WORDS: Duration = Duration::from_secs(30);

/// Delay before the client reports that it waits.
const BREATH: Duration = Duration::from_secs(1);

/// Runs commands until the input ends, waits until the server has the lines, stays for the given
/// time (`None`: until told to leave), and leaves. Sends the reason to `failure` if some of the
/// input was not sent.
pub(super) fn converse(
    commands: impl Iterator<Item = Result<Command, Unreadable>>,
    driver: &Driver,
    stay: Option<Duration>,
    farewell: Farewell,
    failure: &Sender<Unreadable>,
) {
    let stay = match carry_out(commands, driver, farewell, failure) {
        End::Quit => Some(Duration::ZERO),
        End::Eof => stay,
        End::Closed => return,
    };
    let backlog = driver.turn(|session, now| session.backlog(now.mono));
    let timeout = LAST_WORDS + Duration::from_secs(backlog.as_secs_f64().ceil() as u64);
    let deadline = Instant::now() + timeout;
    let settled =
        |session: &mut Session, _: Now| (session.is_closed() || session.is_settled()).then_some(());
    let soon = driver.wait_until(Some(Instant::now() + BREATH), settled);
    if soon.is_none() && driver.turn(|session, _| session.has_unsettled()) {
        let seconds = timeout.as_secs();
        driver.tell(driver.language().waiting(seconds));
    }
    if soon.or_else(|| driver.wait_until(Some(deadline), settled)).is_none() {
        return driver.turn(|session, _| session.give_up());
    }
    // A time beyond the clock's range is forever.
    let until = stay.and_then(|stay| Instant::now().checked_add(stay));
    driver.wait_until(until, |session, _| session.is_closed().then_some(()));
    driver.turn(Session::leave);
}

/// Why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The user leaves.
    Quit,
    /// The input ended.
    Eof,
    /// The session ended.
    Closed,
}

fn carry_out(
    commands: impl Iterator<Item = Result<Command, Unreadable>>,
    driver: &Driver,
    mut farewell: Farewell,
    failure: &Sender<Unreadable>,
) -> End {
    let say = driver.language();
    for command in commands {
        let command = match command {
            Ok(command) => command,
            Err(unreadable) => {
                driver.complain(say.unreadable(&unreadable));
                // The main thread may have ended.
                let _ = failure.send(unreadable);
                return End::Quit;
            }
        };
        if let Command::Quit = command {
            let Some(question) = farewell.question(say) else { return End::Quit };
            driver.complain(question);
            continue;
        }
        farewell.withdraw();
        let taken = match command {
            Command::Nothing | Command::Quit => true,
            Command::Say(text) => deliver(driver, None, &text),
            Command::Act(text) => deliver(driver, None, &commands::action(&text)),
            Command::Whisper { to, text } => deliver(driver, Some(&to), &text),
            Command::Reply(text) => reply(driver, &text),
            Command::Nick(name) => ask(driver, |session, now| session.rename(&name, now)),
            Command::Moderate(order) => ask(driver, |session, now| session.moderate(&order, now)),
            Command::Topic => show_topic(driver),
            Command::Ignore(name) => settled(driver, |session| session.ignore(&name)),
            Command::Unignore(name) => settled(driver, |session| session.unignore(&name)),
            Command::Who => ask(driver, Session::ask_who),
            Command::Ping(name) => ask(driver, |session, now| session.ping(&name, now)),
            Command::Stats => show_stats(driver),
            Command::Ticket => show_ticket(driver),
            Command::Mode(delivery) => change_mode(driver, delivery),
            Command::Help => {
                commands::help(say, driver.moderates()).for_each(|line| driver.tell(line));
                true
            }
            Command::Clear => complain(driver, say.nothing_to_clear()),
            Command::Wrong(mistake) => complain(driver, say.mistake(&mistake)),
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

fn show_topic(driver: &Driver) -> bool {
    let topic = driver.turn(|session, _| session.topic().map(str::to_owned));
    let say = driver.language();
    driver.tell(topic.map_or_else(|| say.no_topic(), |topic| say.topic(&topic)));
    true
}

/// Does what needs no server.
fn settled(driver: &Driver, act: impl FnOnce(&mut Session)) -> bool {
    driver.turn(|session, _| act(session));
    true
}

/// Whispers to the author of the last whisper.
fn reply(driver: &Driver, text: &str) -> bool {
    match driver.turn(|session, _| session.last_whisperer().map(str::to_owned)) {
        Some(to) => deliver(driver, Some(&to), text),
        None => complain(driver, driver.language().nobody_whispered()),
    }
}

/// Hands a line to the session, waiting while its queue is full: a pipe is read at the speed of the
/// network. False if the session has ended or takes nothing.
fn deliver(driver: &Driver, to: Option<&str>, text: &str) -> bool {
    let mut waiting = Waiting::for_room(LAST_WORDS);
    loop {
        let taken = driver.wait_until(Some(waiting.deadline()), |session, now| {
            if session.is_closed() {
                return Some(false);
            }
            let taken = match to {
                None => session.say(text, now),
                Some(to) => session.whisper(to, text, now),
            };
            waiting.look(session.condition(), session.is_paced(now.mono));
            taken.ok().map(|()| true)
        });
        match taken {
            Some(taken) => return taken,
            None if !waiting.is_over() => {}
            None => {
                let seconds = LAST_WORDS.as_secs();
                driver.complain(driver.language().nothing_taken(seconds));
                driver.turn(|session, _| session.give_up());
                return false;
            }
        }
    }
}

/// Waits briefly for `Welcome`, since a pipe is faster than the join.
fn ask(driver: &Driver, mut question: impl FnMut(&mut Session, Now) -> bool) -> bool {
    let asked = driver.wait_until(Some(Instant::now() + ANSWER_TIMEOUT), |session, now| {
        (question(session, now) || session.is_closed()).then_some(())
    });
    if asked.is_none() {
        driver.complain(driver.language().no_server());
    }
    true
}

fn show_stats(driver: &Driver) -> bool {
    let report = driver.wait_until(Some(Instant::now() + ANSWER_TIMEOUT), |session, _| {
        session.report().map(Some).or_else(|| session.is_closed().then_some(None))
    });
    match report.flatten().and_then(|_| driver.report()) {
        Some(report) => driver.show(Event::Stats(report.into())),
        None => driver.tell(driver.language().no_statistics()),
    }
    if let Some(done) = driver.done() {
        driver.tell(driver.language().bad_network(&done));
    }
    true
}

fn show_ticket(driver: &Driver) -> bool {
    match driver.ticket_to_give() {
        Some(ticket) => {
            driver.tell(driver.language().ticket());
            driver.tell(ticket.reveal());
        }
        None => driver.complain(driver.language().no_ticket()),
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
        driver.tell(driver.language().tcp_is_ordered());
    }
    driver.tell(driver.language().delivery(delivery));
    true
}
