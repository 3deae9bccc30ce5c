//! Staying, leaving, and the ends of a session (§I.9, §I.10); attacks; rejoining.

use super::{Fault, Finding, absent, expect, ms, worst};
use crate::client::session;
use crate::grade::case::Case;
use crate::grade::scenario::{FORGERIES, covers, forged_sequence, forged_text, path_cookie, shows};
use crate::grade::trace::{Trace, message_of};
use crate::protocol::{ClientMessage, Flags, Frame, LeaveReason, ServerMessage, decode_message};
use std::time::Duration;

/// `Welcome`, or another message of the server.
fn told<T>(
    trace: &Trace,
    wanted: impl Fn(ServerMessage<'_>) -> Option<T>,
) -> Option<(usize, u32, T)> {
    trace.received().find_map(|seen| {
        let found = seen
            .frames
            .iter()
            .filter_map(message_of)
            .find_map(|(_, payload)| decode_message(payload).ok().and_then(&wanted))?;
        Some((seen.index, seen.header.sequence, found))
    })
}

/// The client sends heartbeats at the interval of `Welcome`.
pub(in crate::grade) fn heartbeat(trace: &Trace, _: &Case) -> Finding {
    let expected = "a Heartbeat when nothing with a frame was sent for heartbeat_ms";
    let beat = told(trace, |it| match it {
        ServerMessage::Welcome(welcome) => Some(welcome.heartbeat_ms),
        _ => None,
    });
    let Some((start, _, beat)) = beat else {
        return Err(absent(trace, "the client did not join", expected));
    };
    let beat = Duration::from_millis(beat.into());
    let start = trace.entries[start].at;
    let sent = trace.sent().filter(|it| it.is_eliciting()).map(|it| it.at);
    let sent = sent.filter(|at| *at >= start);
    // Only the trace of a client that sends too little has this mark.
    let end = trace.mark("silent").map(|(_, at)| at);
    let times: Vec<_> = [start].into_iter().chain(sent).chain(end).collect();
    worst(times.windows(2).filter_map(|pair| {
        let [from, to] = *pair else { return None };
        let gap = to.saturating_sub(from);
        let seen = || {
            format!("nothing with a frame for {}; heartbeat_ms is {}", ms(gap), beat.as_millis())
        };
        let is_long = gap > beat * 2 + Duration::from_millis(300);
        is_long.then(|| Fault::new(seen(), expected).late(trace, from + beat, to))
    }))?;
    let mut gaps: Vec<_> = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
    gaps.sort_unstable();
    // Half of the time lies in longer pauses. A few datagrams at once weigh little, and so do the
    // probes of a client whose acknowledgment is late (RFC 9002 §6.2): a busy referee draws them.
    let (mut left, mut usual) = (gaps.iter().sum::<Duration>() / 2, Duration::ZERO);
    for gap in gaps {
        usual = gap;
        if left < gap {
            break;
        }
        left -= gap;
    }
    let seen = || {
        format!("a datagram with a frame every {}; heartbeat_ms is {}", ms(usual), beat.as_millis())
    };
    expect(usual >= beat / 2, seen, expected)
}

/// The client sends `Leave` with the right number, and ends.
pub(in crate::grade) fn leave(trace: &Trace, case: &Case) -> Finding {
    let expected = "at the end of the input Leave, with the number that the next line would have \
                    had, and after Closing the end, with exit code 0";
    if trace.mark("leave").is_none() {
        return Err(absent(trace, "the client did not come so far", expected));
    }
    let leave = trace.said().find_map(|(seen, _, message)| match message {
        ClientMessage::Leave { next } => Some((seen.index, next)),
        _ => None,
    });
    let Some((index, next)) = leave else {
        return Err(absent(trace, "no Leave", expected));
    };
    let numbers = trace.said().filter_map(|(_, _, message)| match message {
        ClientMessage::Say(say) => Some(say.number),
        _ => None,
    });
    // The last datagram with a line may have an earlier one again.
    let newest = numbers.reduce(|a, b| if b.wrapping_sub(a) < 1 << 15 { b } else { a });
    let wanted = newest.map_or(0, |number| number.wrapping_add(1));
    if next != wanted {
        return Err(Fault::new(format!("Leave with next {next}, not {wanted}"), expected).at(index));
    }
    let has_left = |event: &session::Event| match event {
        session::Event::Left { nicknames, reason: LeaveReason::Quit, .. } => {
            nicknames.iter().any(|name| name == case.name)
        }
        _ => false,
    };
    if !trace.noticed(has_left) {
        return Err(absent(trace, "the others did not see it leave", expected).at(index));
    }
    match trace.end() {
        Some((_, _, Some(0))) => Ok(()),
        Some(_) => Err(Fault::new(trace.last_words().unwrap_or_default(), expected)),
        None => Err(absent(trace, "the program did not end", expected)),
    }
}

/// `Closing` is acknowledged.
pub(in crate::grade) fn closing(trace: &Trace, _: &Case) -> Finding {
    let expected = "an acknowledgment of the datagram with Closing, and then the end";
    let closing = told(trace, |it| matches!(it, ServerMessage::Closing { .. }).then_some(()));
    let Some((index, sequence, ())) = closing else {
        return Err(absent(trace, "the client did not come so far", expected));
    };
    let is_answered = trace.sent().any(|it| it.index > index && covers(&it.header, sequence));
    if !is_answered {
        return Err(absent(trace, "Closing was not acknowledged", expected).at(index));
    }
    match trace.end() {
        Some(_) => Ok(()),
        None => Err(absent(trace, "the program did not end", expected)),
    }
}

/// The client drops the datagrams that §8.1 rejects.
pub(in crate::grade) fn invalid(trace: &Trace, case: &Case) -> Finding {
    judge_forged(trace, case, 0..FORGERIES.len())
}

/// The client drops datagrams from another address, or for another session.
pub(in crate::grade) fn foreign(trace: &Trace, case: &Case) -> Finding {
    judge_forged(trace, case, FORGERIES.len()..FORGERIES.len() + 1)
}

fn judge_forged(trace: &Trace, case: &Case, numbers: std::ops::Range<usize>) -> Finding {
    let expected = "a datagram that is not whole and valid, or not from the server, is dropped: \
                    nothing printed, nothing acknowledged, and the session goes on";
    if trace.mark("forged").is_none() {
        return Err(absent(trace, "the client did not come so far", expected));
    }
    let is_foreign = numbers.start == FORGERIES.len();
    for n in numbers {
        let what = FORGERIES.get(n).map_or("another source address", |(what, _)| *what);
        let number = forged_sequence(n);
        if shows(trace, &forged_text(case, n)) {
            return Err(Fault::new(format!("a datagram with {what} was printed"), expected));
        }
        let taken = trace.sent().find(|it| it.header.acknowledgment == number);
        if let Some(taken) = taken {
            let seen = format!("a datagram with {what} was acknowledged");
            return Err(Fault::new(seen, expected).at(taken.index));
        }
    }
    // A client that believed something foreign is a fault of one of the two criteria only.
    let goes_on = shows(trace, &case.text("after", 0));
    let believed = |n: usize| {
        shows(trace, &forged_text(case, n))
            || trace.sent().any(|it| it.header.acknowledgment == forged_sequence(n))
    };
    if goes_on
        || (!is_foreign && trace.end().is_none())
        || (is_foreign && (0..FORGERIES.len()).any(believed))
    {
        return Ok(());
    }
    if is_foreign && trace.end().is_some() {
        return Err(absent(
            trace,
            "a Reset for another session, or from another address, ended it",
            expected,
        ));
    }
    if is_foreign {
        return Err(absent(trace, "a line after these datagrams was not printed", expected));
    }
    Ok(())
}

/// `Reset` ends the session.
pub(in crate::grade) fn reset(trace: &Trace, _: &Case) -> Finding {
    let expected = "after Reset no datagram in the old session: the client ends, or joins again \
                    with a new nonce";
    let (Some((mark, at)), Some((_, session))) = (trace.mark("reset"), trace.welcome()) else {
        return Err(absent(trace, "the client did not come so far", expected));
    };
    // One may be under way.
    let late = at + Duration::from_millis(300);
    if let Some(it) = trace.sent().find(|it| it.at > late && it.header.session == session) {
        let seen = format!("a datagram in the old session, {} after Reset", ms(it.at - at));
        return Err(Fault::new(seen, expected).at(it.index).late(trace, at, it.at));
    }
    let first = trace.joins().next().map(|(_, _, join)| join.nonce);
    let again = trace.joins().find(|(index, ..)| *index > mark);
    match again {
        Some((index, _, join)) if Some(join.nonce) == first => {
            Err(Fault::new("a Join with the old nonce", expected).at(index))
        }
        Some(_) => Ok(()),
        None if trace.end().is_some() => Ok(()),
        None => Err(absent(trace, "neither the end nor a Join", expected)),
    }
}

/// After `Reset` the client joins again, with the token, and goes on.
pub(in crate::grade) fn rejoin(trace: &Trace, case: &Case) -> Finding {
    let expected = "Join with the token of Welcome; then lines both ways as before (§7.9)";
    let Some((mark, _)) = trace.mark("reset") else {
        return Err(absent(trace, "the client did not come so far", expected));
    };
    let token = told(trace, |it| match it {
        ServerMessage::Welcome(welcome) => Some(welcome.token),
        _ => None,
    });
    let Some((index, _, join)) = trace.joins().find(|(index, ..)| *index > mark) else {
        return Err(absent(trace, "no Join after Reset", expected));
    };
    if token.is_none_or(|(_, _, token)| join.resume != token) {
        return Err(Fault::new("a Join without the token", expected).at(index));
    }
    let is_heard = trace.heard().any(|(_, text)| text == case.text("doubtful", 1));
    let is_shown = shows(trace, &case.text("new", 0));
    if is_heard && is_shown {
        return Ok(());
    }
    let seen = format!(
        "a line typed after it heard: {is_heard}; a line said after it printed: {is_shown}"
    );
    Err(absent(trace, &seen, expected))
}

/// Rejoining neither loses nor doubles a line.
pub(in crate::grade) fn no_double(trace: &Trace, case: &Case) -> Finding {
    let expected = "each line once, both ways: `seen` in Join, positions compared, and an \
                    unconfirmed line looked up in `taken` of Welcome (§7.9)";
    for n in 0..2 {
        let text = case.text("old", n);
        let count = trace.printed().filter(|(_, line)| line.contains(&text)).count();
        if count != 1 {
            return Err(Fault::new(format!("{text:?} printed {count} times"), expected));
        }
    }
    if !shows(trace, &case.text("missed", 0)) {
        return Err(absent(trace, "a line said meanwhile was not printed", expected));
    }
    said_once(trace, case, expected)
}

/// The line whose fate the client did not know is heard once.
fn said_once(trace: &Trace, case: &Case, expected: &str) -> Finding {
    let text = case.text("doubtful", 0);
    let count = trace.heard().filter(|(_, it)| *it == text).count();
    if count == 1 {
        return Ok(());
    }
    Err(absent(trace, &format!("the unconfirmed line {text:?} heard {count} times"), expected))
}

/// A line that did not arrive is said again.
pub(in crate::grade) fn resend(trace: &Trace, case: &Case) -> Finding {
    let expected = "an unconfirmed line that `taken` of Welcome does not have, where `sure` is \
                    true, is said again (§7.9)";
    if trace.mark("reset").is_none() {
        return Err(absent(trace, "the client did not come so far", expected));
    }
    said_once(trace, case, expected)
}

/// A path challenge is answered.
pub(in crate::grade) fn roaming(trace: &Trace, case: &Case) -> Finding {
    let expected =
        "PathResponse with the same cookie, in an ordinary datagram of the session (§7.7)";
    let Some((mark, _)) = trace.mark("challenge") else {
        return Err(absent(trace, "the client did not come so far", expected));
    };
    let answer = trace.sent().find_map(|it| {
        let cookie = it.frames.iter().find_map(|frame| match frame {
            Frame::PathResponse(cookie) => Some(*cookie),
            _ => None,
        })?;
        Some((it.index, cookie, it.header.flags.contains(Flags::ACK)))
    });
    match answer {
        None => Err(absent(trace, "no PathResponse", expected).at(mark + 1)),
        Some((index, cookie, has_ack)) if cookie != path_cookie(case) || !has_ack => {
            let seen = "another cookie, or a datagram without an acknowledgment";
            Err(Fault::new(seen, expected).at(mark + 1).at(index))
        }
        Some(_) if shows(trace, &case.text("moved", 1)) => Ok(()),
        Some(_) => {
            let is_heard = trace.heard().any(|(_, text)| text == case.text("moved", 0));
            let seen = format!("behind another address: a line heard: {is_heard}, printed: false");
            Err(absent(trace, &seen, expected))
        }
    }
}
