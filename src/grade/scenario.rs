//! The scenarios. Each one starts the client once.
//!
//! A script waits for each event that it needs, and returns where one does not occur. The judges
//! find out from the trace what is missing.

use super::case::Case;
use super::plan::Own;
use super::referee::{LAST_ANSWER, Referee, Rule, Way};
use super::trace::Trace;
use super::{Error, edit, trace};
use crate::hub::Limit;
use crate::protocol::{
    ClientMessage, Datagram, Flags, Frame, Header, Say, ServerMessage, decode_message,
};
use std::ffi::OsString;
use std::time::Duration;

mod attacks;
mod delivery;
mod optional;
mod own;
mod speech;

pub(super) use attacks::{FORGERIES, cookie as path_cookie, forged_sequence, forged_text};
pub(super) use delivery::{OUTAGE, long as long_message};
pub(super) use optional::{LINES as TCP_LINES, line as tcp_line};
pub(super) use speech::{LIMIT, LINES, covers, long as long_line, unclean};

/// A scenario: its name and its script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scenario {
    pub(super) name: &'static str,
    pub(super) script: Script,
}

/// The course of a scenario.
#[derive(Clone, Copy, Debug)]
pub(super) enum Script {
    /// A built-in one.
    Given(fn(&[OsString], &Case) -> Result<Trace, Error>),
    /// The steps of a plan.
    Own(&'static Own),
}

const fn given(
    name: &'static str,
    script: fn(&[OsString], &Case) -> Result<Trace, Error>,
) -> Scenario {
    Scenario { name, script: Script::Given(script) }
}

/// The usual heartbeat interval. Within it no heartbeat is due, so a datagram has another reason.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The settings of a scenario's room.
pub(super) struct Room {
    pub(super) heartbeat: Duration,
    pub(super) limit: Option<Limit>,
    pub(super) replay: usize,
    /// A name for the client other than the case's.
    pub(super) name: Option<&'static str>,
}

impl Default for Room {
    fn default() -> Self {
        Self { heartbeat: HEARTBEAT, limit: None, replay: 10, name: None }
    }
}

/// All scenarios, the longest first: so none runs alone at the end.
pub(super) const SCENARIOS: &[Scenario] = &[
    given("give-up", give_up),
    given("tcp", optional::whole),
    given("tcp-cut", optional::cut),
    given("tell", optional::tell),
    given("rejoin", attacks::rejoin),
    given("lost-line", attacks::lost_line),
    given("lossy-join", lossy_join),
    given("silent", silent),
    given("loss", delivery::loss),
    given("slow", speech::slow),
    given("version", attacks::version),
    given("window", delivery::window),
    given("idle", idle),
    given("rate", speech::rate),
    given("talk", talk),
    given("order", delivery::order),
    given("twice", delivery::twice),
    given("parts", delivery::parts),
    given("text", speech::text),
    given("forged", attacks::forged),
    given("roaming", attacks::roaming),
    given("refused", refused),
    given("shutdown", shutdown),
];

/// Runs a scenario.
pub(super) fn run(scenario: &Scenario, command: &[OsString], case: &Case) -> Result<Trace, Error> {
    match scenario.script {
        Script::Given(script) => script(command, case),
        Script::Own(own) => own::play(command, case, own),
    }
}

/// The rule that delivers every datagram.
fn open() -> Rule {
    Box::new(|_, bytes| vec![bytes])
}

/// Opens a room, starts the client, and waits until it has joined: it acknowledges `Welcome`, or
/// prints something.
fn joined<'c>(command: &[OsString], case: &'c Case, room: &Room, rule: Rule) -> Started<'c> {
    let mut referee = Referee::open(case, room, &[])?;
    referee.start(command, rule)?;
    let has_printed = |it: &Trace| {
        it.welcome().is_some_and(|(welcome, _)| it.printed().any(|(index, _)| index > welcome))
    };
    let acknowledges = |it: &Trace| it.sent().next().is_some();
    let is_in = referee.wait(|it| acknowledges(it) || has_printed(it));
    // One that prints first acknowledges soon, if at all.
    referee.wait_for(LAST_ANSWER, acknowledges);
    Ok((referee, is_in))
}

/// A referee, and whether the client has joined.
type Started<'c> = Result<(Referee<'c>, bool), Error>;

/// Whether the client printed this text.
pub(super) fn shows(trace: &Trace, text: &str) -> bool {
    trace.printed().any(|(_, line)| line.contains(text))
}

/// Whether the teacher heard this text.
pub(super) fn heard(trace: &Trace, text: &str) -> bool {
    trace.heard().any(|(_, it)| it == text)
}

/// The line in a datagram of the client, if it has one: its id and its text.
fn say_of(bytes: &[u8]) -> Option<(Option<u16>, String)> {
    let datagram = Datagram::decode(bytes).ok()?;
    datagram.frames().find_map(|frame| {
        let (id, payload) = trace::message_of(&frame)?;
        match decode_message(payload) {
            Ok(ClientMessage::Say(Say { text, .. })) => Some((id, text.to_owned())),
            _ => None,
        }
    })
}

/// Whether a datagram of the hub has a message that satisfies this.
fn has(bytes: &[u8], wanted: impl Fn(ServerMessage<'_>) -> bool) -> bool {
    Datagram::decode(bytes).is_ok_and(|datagram| {
        datagram
            .frames()
            .filter_map(|frame| trace::message_of(&frame))
            .any(|(_, payload)| decode_message(payload).is_ok_and(&wanted))
    })
}

/// `Joins` whose pauses are judged.
pub(super) const JOINS: usize = 6;

/// The first `Join`s draw no answer.
fn silent(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    unanswered(command, case, JOINS)
}

/// No `Join` draws an answer.
fn give_up(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    unanswered(command, case, usize::MAX)
}

fn unanswered(command: &[OsString], case: &Case, joins: usize) -> Result<Trace, Error> {
    let mut referee = Referee::open(case, &Room::default(), &[])?;
    referee.start(command, Box::new(|_, _| Vec::new()))?;
    referee
        .wait_for(Duration::from_secs(16), |it| it.end().is_some() || it.joins().count() >= joins);
    Ok(referee.finish())
}

/// The first two `Join`s, the first one with the cookie, and the first `Welcome` are lost; the
/// challenge arrives three times; strangers answer too.
fn lossy_join(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut joins, mut answers, mut welcomes, mut challenged) = (0, 0, 0, false);
    let lost = case.chosen("joins", |plan| plan.joins);
    let mut referee = Referee::open(case, &Room::default(), &[])?;
    referee.start(
        command,
        Box::new(move |way, bytes| {
            let Ok(datagram) = Datagram::decode(&bytes) else { return vec![bytes] };
            let first = datagram.frames().next();
            match (way, first) {
                (Way::Up, Some(Frame::Join(join))) if join.cookie.is_empty() => {
                    joins += 1;
                    if joins > lost { vec![bytes] } else { Vec::new() }
                }
                (Way::Up, Some(Frame::Join(_))) => {
                    answers += 1;
                    if answers > 1 { vec![bytes] } else { Vec::new() }
                }
                (Way::Down, Some(Frame::Challenge { nonce, .. })) if !challenged => {
                    challenged = true;
                    let other = Frame::Challenge { nonce: nonce ^ 1, cookie: [7; 20] };
                    let refused = Frame::Refused {
                        nonce: nonce ^ 1,
                        reason: crate::protocol::Refusal::RoomFull,
                        detail: "a stranger's answer",
                    };
                    let welcome = stranger_welcome(nonce ^ 1);
                    let strangers =
                        [edit::stateless(0, &other), edit::stateless(0, &refused), welcome];
                    std::iter::repeat_n(bytes, 3).chain(strangers).collect()
                }
                (Way::Down, _) if has(&bytes, |it| matches!(it, ServerMessage::Welcome(_))) => {
                    welcomes += 1;
                    if welcomes > 1 { vec![bytes] } else { Vec::new() }
                }
                _ => vec![bytes],
            }
        }),
    )?;
    referee.wait(|it| it.joins().any(|(_, _, join)| !join.cookie.is_empty()));
    // With a lost `Welcome`, this line overtakes it.
    referee.wait_for(Duration::from_secs(3), |it| {
        it.joins().filter(|(_, _, join)| !join.cookie.is_empty()).count() > 1
    });
    referee.teach(&case.text("early", 0));
    referee.wait(|it| shows(it, &case.text("early", 0)));
    Ok(referee.finish())
}

/// A `Welcome` of another attempt to join, in a session of its own.
fn stranger_welcome(nonce: u64) -> Vec<u8> {
    let welcome = crate::protocol::Welcome {
        nonce,
        nickname: "stranger",
        room: "elsewhere",
        heartbeat_ms: 1_000,
        expiry_ms: 10_000,
        peers: 1,
        epoch: 1,
        ..Default::default()
    };
    let payload = crate::protocol::encode_message(&ServerMessage::Welcome(welcome));
    let flags = Flags::FROM_SERVER;
    let header = Header { flags, session: STRANGER, sequence: 1, window: 255, ..Header::default() };
    edit::datagram(&header, &[Frame::Ordered { id: 0, payload: &payload }])
}

/// A session that the hub did not make.
pub(super) const STRANGER: u64 = 0x5354_5241_4e47_4552;

/// Both sides talk on a clean network, and the client leaves.
fn talk(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if !is_in {
        return Ok(referee.finish());
    }
    for n in 0..4 {
        referee.teach(&case.text("heard", n));
        referee.wait(|it| shows(it, &case.text("heard", n)));
    }
    for n in 0..4 {
        referee.type_line(&case.text("said", n));
    }
    referee.wait(|it| heard(it, &case.text("said", 3)));
    referee.whisper(&case.text("whisper", 0));
    referee.wait(|it| shows(it, &case.text("whisper", 0)));
    referee.leave();
    referee.wait_for_end();
    Ok(referee.finish())
}

/// No line is said, and the heartbeat interval is short.
fn idle(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let millis = case.chosen("heartbeat_ms", |plan| plan.heartbeat_ms) as u64;
    let room = Room { heartbeat: Duration::from_millis(millis), ..Room::default() };
    let (mut referee, _) = joined(command, case, &room, open())?;
    // Not as many heartbeats: probes of a path, and of a late acknowledgment, look like them.
    let is_long_after = |it: &Trace| {
        let welcome = it.welcome().map(|(index, _)| it.entries[index].at);
        let beat = it.sent().filter(|it| it.frames.contains(&Frame::Heartbeat)).last();
        beat.zip(welcome).is_some_and(|(beat, welcome)| beat.at >= welcome + room.heartbeat * 8)
    };
    if !referee.wait(is_long_after) {
        referee.mark("silent");
    }
    Ok(referee.finish())
}

/// The server refuses the client: its name is taken.
fn refused(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let room = Room { name: Some(case.teacher), ..Room::default() };
    let mut referee = Referee::open(case, &room, &[])?;
    referee.start(command, open())?;
    referee.wait_for_end();
    Ok(referee.finish())
}

/// The server closes the session.
fn shutdown(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if is_in {
        referee.shut_down();
        referee.wait_for_end();
    }
    Ok(referee.finish())
}
