//! A scenario of a teacher's plan, step by step.

use super::{Room, has, heard, say_of, shows};
use crate::grade::case::Case;
use crate::grade::plan::{Fate, From, Own, Step};
use crate::grade::referee::{Referee, Rule, Way};
use crate::grade::trace::Trace;
use crate::grade::{Error, edit};
use crate::protocol::{Frame, ServerMessage};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A fault of the network on a datagram with a line.
#[derive(Clone, Copy, Debug)]
enum Act {
    Lose,
    Double,
    Delay,
}

/// The faults that wait for the next datagrams, and the datagrams that are delayed.
#[derive(Debug, Default)]
struct Fates {
    next: Vec<(Way, Act, usize)>,
    delayed: Vec<(Way, Vec<u8>)>,
}

impl Fates {
    fn add(&mut self, act: Act, fate: &Fate) {
        let way = if fate.from == From::Client { Way::Up } else { Way::Down };
        self.next.push((way, act, fate.count()));
    }

    fn apply(&mut self, way: Way, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        let is_line = match way {
            Way::Up => say_of(&bytes).is_some(),
            Way::Down => has(&bytes, |it| matches!(it, ServerMessage::Line(_))),
        };
        if !is_line {
            return vec![bytes];
        }
        let found = self.next.iter_mut().find(|it| it.0 == way && it.2 > 0);
        let act = found.map(|it| {
            it.2 -= 1;
            it.1
        });
        match act {
            Some(Act::Lose) => Vec::new(),
            Some(Act::Double) => vec![bytes.clone(), bytes],
            Some(Act::Delay) => {
                self.delayed.push((way, bytes));
                Vec::new()
            }
            None => {
                let late = self.delayed.extract_if(.., |it| it.0 == way).map(|it| it.1);
                [bytes].into_iter().chain(late).collect()
            }
        }
    }
}

fn lock(fates: &Mutex<Fates>) -> MutexGuard<'_, Fates> {
    fates.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays the steps, up to the first one that waits in vain.
pub(super) fn play(command: &[OsString], case: &Case, own: &Own) -> Result<Trace, Error> {
    let fates = Arc::new(Mutex::new(Fates::default()));
    let rule: Rule = {
        let fates = fates.clone();
        Box::new(move |way, bytes| lock(&fates).apply(way, bytes))
    };
    let usual = Room::default();
    let heartbeat = own.heartbeat().unwrap_or(usual.heartbeat);
    let room = Room { heartbeat, limit: own.limit(), ..usual };
    let (mut referee, is_in) = super::joined(command, case, &room, rule)?;
    let missed = if is_in {
        own.steps().iter().find_map(|step| take(&mut referee, &fates, case, step))
    } else {
        Some("the client did not join".to_owned())
    };
    let mut trace = referee.finish();
    match missed {
        Some(what) => trace.miss(what, true),
        None => disorder(own, case, &trace).into_iter().for_each(|what| trace.miss(what, false)),
    }
    Ok(trace)
}

/// Takes a step. Returns what it waited for in vain.
fn take(
    referee: &mut Referee<'_>,
    fates: &Mutex<Fates>,
    case: &Case,
    step: &Step,
) -> Option<String> {
    match step {
        Step::Teach(text) => referee.teach(&text.of(case)),
        Step::Whisper(text) => referee.whisper(&text.of(case)),
        Step::Type(text) => referee.type_line(&text.of(case)),
        Step::Lose(fate) => lock(fates).add(Act::Lose, fate),
        Step::Double(fate) => lock(fates).add(Act::Double, fate),
        Step::Delay(fate) => lock(fates).add(Act::Delay, fate),
        Step::Shutdown => referee.shut_down(),
        Step::Leave => referee.leave(),
        Step::Reset => {
            // After an earlier reset it is another session than the first.
            let session = referee.trace.received().last().map_or(0, |it| it.header.session);
            referee.forge(edit::stateless(session, &Frame::Reset));
        }
        Step::Printed(text) => {
            let text = text.of(case);
            let is_met = referee.wait(|it| shows(it, &text));
            return (!is_met).then(|| format!("{text:?} was not printed"));
        }
        Step::Heard(text) => {
            let text = text.of(case);
            let is_met = referee.wait(|it| heard(it, &text));
            return (!is_met).then(|| format!("{text:?} was not heard by the others"));
        }
        Step::Ended => {
            let is_met = referee.wait(|it| it.end().is_some());
            return (!is_met).then(|| "the client did not end".to_owned());
        }
    }
    None
}

/// The first text that was printed or heard not exactly once, or before an earlier step's text.
fn disorder(own: &Own, case: &Case, trace: &Trace) -> Option<String> {
    let (mut printed, mut heard) = (None, None);
    own.steps().iter().find_map(|step| {
        let (text, what, last, places) = match step {
            Step::Printed(text) => {
                let text = text.of(case);
                let lines = trace.printed().filter(|(_, line)| line.contains(&text));
                let places: Vec<_> = lines.map(|(place, _)| place).collect();
                (text, "printed", &mut printed, places)
            }
            Step::Heard(text) => {
                let text = text.of(case);
                let lines = trace.heard().enumerate().filter(|(_, (_, it))| *it == text);
                let places: Vec<_> = lines.map(|(place, _)| place).collect();
                (text, "heard", &mut heard, places)
            }
            _ => return None,
        };
        match places[..] {
            [place] if Some(place) > *last => {
                *last = Some(place);
                None
            }
            [_] => Some(format!("{text:?} was {what} too early")),
            _ => Some(format!("{text:?} was {what} {} times", places.len())),
        }
    })
}
