//! Joining (§I.5), refusals, other versions.

use super::{Fault, Finding, absent, expect, ms, worst};
use crate::grade::case::Case;
use crate::grade::scenario::{JOINS, STRANGER};
use crate::grade::trace::{Event, Trace};
use crate::protocol::limits::{JOIN_RETRY, JOIN_RETRY_MAX, JOIN_SIZE, JOIN_TIMEOUT};
use crate::protocol::{Datagram, Delivery, Frame, Join};
use std::time::Duration;

/// Longest delay of a datagram that is sent at once. `JOIN_RETRY` is the next longer time.
const AT_ONCE: Duration = Duration::from_millis(240);

/// Longest time until the referee answers a `Join`: the client's next one is due `AT_ONCE` after
/// that at the earliest, since the first two `Join`s are lost.
const MAX_ANSWER: Duration = Duration::from_millis(200);

/// `Join` as §I.5 has it.
pub(in crate::grade) fn join(trace: &Trace, case: &Case) -> Finding {
    let expected = "Join in session 0 with a nonce that stays the same, the name, delivery 2, and \
                    Padding to 512 bytes; all other fields empty or 0";
    let Some((_, _, first)) = trace.joins().next() else {
        return Err(absent(trace, "no Join", expected));
    };
    for (index, _, join) in trace.joins() {
        let Event::Up { bytes, .. } = &trace.entries[index].event else { continue };
        let session = Datagram::decode(bytes).map_or(0, |it| it.header.session);
        let seen = if bytes.len() < JOIN_SIZE {
            format!("a Join of {} bytes", bytes.len())
        } else if session != 0 {
            format!("a Join in session {session:#x}")
        } else if join.nonce == 0 {
            "nonce 0".to_owned()
        } else if join.nonce != first.nonce {
            "another nonce in the second Join of one attempt".to_owned()
        } else if join.nickname != case.name {
            format!("the name {:?} in place of {:?}", join.nickname, case.name)
        } else if join.delivery != Delivery::ReliableOrdered {
            format!("delivery {:?}", join.delivery)
        } else if !join.resume.is_empty() || (join.epoch, join.seen, join.next) != (0, 0, 0) {
            "a first Join with resume, epoch, seen or next".to_owned()
        } else {
            continue;
        };
        return Err(Fault::new(seen, expected).at(index));
    }
    Ok(())
}

/// The pauses between `Join`s that draw no answer.
pub(in crate::grade) fn retry(trace: &Trace, _: &Case) -> Finding {
    let joins: Vec<_> = trace.joins().map(|(index, at, _)| (index, at)).collect();
    let (mut pause, mut earlier, mut faults) = (JOIN_RETRY, Duration::ZERO, Vec::new());
    for pair in joins.windows(2).take(JOINS - 1) {
        let [(_, before), (index, at)] = *pair else { continue };
        let seen = at - before;
        let expected = format!("about {}: 250 ms, doubled each time, up to 750 ms", ms(pause));
        let fault = || {
            Fault::new(format!("a pause of {} between two Joins", ms(seen)), &*expected).at(index)
        };
        if seen < pause * 3 / 5 {
            // It may have been the first of the two that was late.
            faults.push(fault().delayed(trace, earlier, before, pause * 4 / 5 - seen));
        } else if seen > pause * 3 + Duration::from_millis(500) {
            faults.push(fault().late(trace, before + pause, at));
        }
        pause = (pause * 2).min(JOIN_RETRY_MAX);
        earlier = before;
    }
    worst(faults)?;
    let expected = "Join again and again until JOIN_TIMEOUT";
    if joins.len() < 4 {
        return Err(absent(trace, &format!("{} Joins", joins.len()), expected));
    }
    Ok(())
}

/// How much earlier and later than after `JOIN_TIMEOUT` a client may give up.
const EARLY: Duration = Duration::from_millis(1_500);
const LATE: Duration = Duration::from_secs(6);

/// The client gives up in time.
pub(in crate::grade) fn give_up(trace: &Trace, _: &Case) -> Finding {
    let expected = "the end, with an exit code other than 0, 8 s after the first Join";
    let Some((_, first, _)) = trace.joins().next() else {
        return Err(absent(trace, "no Join", expected));
    };
    let due = first + JOIN_TIMEOUT;
    let Some((_, at, code)) = trace.end() else {
        let fault = Fault::new("no end, 16 s after the start", expected);
        return Err(fault.late(trace, due, trace.until()));
    };
    let after = at.saturating_sub(first);
    let seen = format!("the end after {}, with exit code {code:?}", ms(after));
    let fault = Fault::new(seen, expected);
    if code == Some(0) {
        Err(fault)
    } else if after < JOIN_TIMEOUT - EARLY {
        // It may have been the first Join that was late.
        Err(fault.delayed(trace, Duration::ZERO, first, JOIN_TIMEOUT - after))
    } else if after > JOIN_TIMEOUT + LATE {
        Err(fault.late(trace, due, at))
    } else {
        Ok(())
    }
}

/// The challenge's cookie comes back, and one challenge draws one `Join`.
pub(in crate::grade) fn cookie(trace: &Trace, _: &Case) -> Finding {
    let expected = "one Join with the cookie at once after the first Challenge; later ones when \
                    they are due";
    let nonce = trace.joins().next().map(|(_, _, join)| join.nonce);
    let challenges = trace.entries.iter().enumerate().filter_map(|(index, entry)| {
        let Event::Down { bytes } = &entry.event else { return None };
        match Datagram::decode(bytes).ok()?.frames().next()? {
            Frame::Challenge { nonce: it, cookie } if Some(it) == nonce => {
                Some((index, entry.at, cookie))
            }
            _ => None,
        }
    });
    let challenges: Vec<_> = challenges.collect();
    let Some(&(place, at, _)) = challenges.first() else {
        return Err(absent(trace, "the client drew no Challenge", expected));
    };
    // A busy referee's Challenge may leave when the client's next Join is due: no answer to it.
    let drawn = trace.joins().take_while(|it| it.0 < place).last().map_or(at, |it| it.1);
    if at - drawn > MAX_ANSWER {
        let seen = format!("Challenge left {} after the Join", ms(at - drawn));
        return Err(Fault { busy: true, ..Fault::new(seen, expected).at(place) });
    }
    // One without the cookie may have been under way.
    let is_earlier = |it: &Join<'_>, sent: Duration| it.cookie.is_empty() && sent < at + AT_ONCE;
    let answers: Vec<_> = trace
        .joins()
        .filter(|(index, sent, join)| *index > place && !is_earlier(join, *sent))
        .collect();
    let Some((index, first, join)) = answers.first() else {
        return Err(absent(trace, "no Join after Challenge", expected).at(place));
    };
    // A client that was not woken reads several Challenges at once, with different cookies.
    if !challenges.iter().any(|it| it.0 < *index && join.cookie == it.2) {
        let is_empty = join.cookie.is_empty();
        let seen = if is_empty { "a Join without" } else { "another" };
        let fault = Fault::new(format!("{seen} cookie after Challenge"), expected).at(*index);
        let without: Vec<_> = trace
            .joins()
            .filter(|it| it.0 > place)
            .take_while(|it| it.2.cookie.is_empty())
            .collect();
        // A client that was not woken had not read the Challenge yet, and sends few Joins.
        let may_sleep = is_empty && crowd(trace, place, &without).is_none_or(|it| it.busy);
        return Err(if may_sleep { fault.late(trace, at, *first) } else { fault });
    }
    if *first - at > AT_ONCE {
        let seen = format!("the cookie {} after Challenge", ms(*first - at));
        return Err(Fault::new(seen, expected).at(*index).late(trace, at, *first));
    }
    crowd(trace, place, &answers).map_or(Ok(()), Err)
}

/// The fault of these `Join`s after the Challenge at `place`, if some of the first one's attempt
/// come before they are due. The more of them come early, the longer is the delay that explains it.
fn crowd(trace: &Trace, place: usize, joins: &[(usize, Duration, Join<'_>)]) -> Option<Fault> {
    let before: Vec<_> = trace.joins().take_while(|it| it.0 < place).map(|it| it.1).collect();
    // A delay of the last of these began after the one before it.
    let begin = *before.iter().rev().nth(1)?;
    let (first, nonce) = joins.first().map(|it| (it.1, it.2.nonce))?;
    // A client that sends Joins too often fails join-retry, not this. At least two `Join`s were
    // lost, so one of its pauses after the first is among these.
    let pauses: Vec<_> = before.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let least = pauses.iter().min().copied().unwrap_or(AT_ONCE);
    let at_once = if least < AT_ONCE { least * 3 / 5 } else { AT_ONCE };
    let pause = pauses.last().copied().unwrap_or(least).min(JOIN_RETRY_MAX) * 3 / 5;
    let attempt = joins.iter().filter(|it| it.2.nonce == nonce);
    let faults = attempt.zip(0_u32..).skip(1).filter_map(|(&(index, at, _), n)| {
        let (after, due) = (at - first, at_once + pause * (n - 1));
        let seen = format!("{} Joins within {} for one Challenge", n + 1, ms(after));
        let fault = Fault::new(seen, "one Join at once, and later ones when they are due");
        // It may have been the first of them that was late, or the pause before that was long.
        (after < due).then(|| fault.at(index).delayed(trace, begin, first, due - after))
    });
    worst(faults).err()
}

/// The client ignores answers with another nonce.
pub(in crate::grade) fn nonce(trace: &Trace, _: &Case) -> Finding {
    let expected = "Challenge, Refused and Welcome with another nonce are ignored";
    for up in trace.ups() {
        let Ok(datagram) = up.datagram else { continue };
        let seen = match datagram.frames().next() {
            _ if datagram.header.session == STRANGER => "a datagram in a stranger's session",
            Some(Frame::Join(join)) if join.cookie == [7; 20] => "a stranger's cookie",
            _ => continue,
        };
        return Err(Fault::new(seen, expected).at(up.index));
    }
    expect(trace.end().is_none(), || "the client ended".to_owned(), expected)
}

/// The session begins with `Welcome`, and what overtakes it is dropped.
pub(in crate::grade) fn welcome(trace: &Trace, case: &Case) -> Finding {
    let expected = "the session begins with Welcome; datagrams that overtook it are dropped \
                    without an acknowledgment, and their messages come again";
    let Some((welcome, session)) = trace.welcome() else {
        return Err(absent(trace, "no Welcome: the client did not come so far", expected));
    };
    if let Some(early) = trace.sent().find(|it| it.index < welcome && it.header.session != STRANGER)
    {
        return Err(
            Fault::new("a datagram in the session before Welcome", expected).at(early.index)
        );
    }
    let text = case.text("early", 0);
    let shown = trace.printed().filter(|(_, line)| line.contains(&text)).count();
    if shown != 1 {
        if !trace.sent().any(|it| it.header.session == session) {
            let seen = "no datagram in the session after Welcome";
            return Err(absent(trace, seen, expected).at(welcome));
        }
        let seen = format!("the line that overtook Welcome printed {shown} times");
        return Err(absent(trace, &seen, expected));
    }
    Ok(())
}

/// A refusal is shown.
pub(in crate::grade) fn refused(trace: &Trace, _: &Case) -> Finding {
    let expected = "the detail of Refused is printed, and the client ends with an exit code other \
                    than 0";
    let detail = trace.entries.iter().find_map(|entry| {
        let Event::Down { bytes } = &entry.event else { return None };
        match Datagram::decode(bytes).ok()?.frames().next()? {
            Frame::Refused { detail, .. } => Some(detail.to_owned()),
            _ => None,
        }
    });
    let Some(detail) = detail else {
        return Err(absent(trace, "the client drew no Refused", expected));
    };
    let is_shown = trace.entries.iter().any(|entry| match &entry.event {
        Event::Printed(line) | Event::Complained(line) => line.contains(&detail),
        _ => false,
    });
    let code = trace.end().map(|(_, _, code)| code);
    let has_failed = code.is_some_and(|code| code != Some(0));
    if is_shown && has_failed {
        return Ok(());
    }
    let shown = if is_shown { "printed" } else { "not printed" };
    let end = code.map_or("no end".to_owned(), |code| format!("exit code {code:?}"));
    Err(absent(trace, &format!("{detail:?} {shown}; {end}"), expected))
}

/// Another version is reported at once.
pub(in crate::grade) fn version(trace: &Trace, _: &Case) -> Finding {
    let expected = "the client reports the server's version and ends, with an exit code other than \
                    0, within 5 s (§11.1)";
    if trace.mark("version").is_none() {
        return Err(absent(trace, "no Join", expected));
    }
    let code = trace.end().map(|(_, _, code)| code);
    let names_it = trace.entries.iter().any(|entry| match &entry.event {
        Event::Printed(line) | Event::Complained(line) => line.contains('9'),
        _ => false,
    });
    if code.is_some_and(|code| code != Some(0)) && names_it {
        return Ok(());
    }
    let end = code.map_or("no end".to_owned(), |code| format!("exit code {code:?}"));
    let seen = format!("{end}; the version was {}printed", if names_it { "" } else { "not " });
    Err(absent(trace, &seen, expected))
}
