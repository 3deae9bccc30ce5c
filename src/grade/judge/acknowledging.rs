//! Acknowledgments (§I.6, §7.3) and the window (§I.7, §7.4).

use super::model::{Receiver, arrivals};
use super::{Fault, Finding, absent, ms, worst};
use crate::grade::case::Case;
use crate::grade::scenario::covers;
use crate::grade::trace::{Seen, Trace};
use crate::protocol::Flags;
use crate::protocol::limits::MESSAGE_WINDOW;
use std::time::Duration;

/// An acknowledgment later than this is missing. The protocol's limit is 25 ms.
const PROMPT: Duration = Duration::from_millis(1_500);
/// Datagrams without frames that a client may send beyond the number of those it answers.
const SPARE: usize = 3;

/// A datagram of the client, and the states that its receiver may have had then, oldest first.
fn walk(
    trace: &Trace,
    mut judge: impl FnMut(&Seen<'_>, &[Receiver]) -> Result<usize, Fault>,
) -> Finding {
    let arrivals = arrivals(trace);
    let session = trace.welcome().map(|(_, session)| session);
    let (mut states, mut oldest, mut next) = (Vec::<Receiver>::new(), 0, 0);
    for sent in trace.sent().filter(|sent| Some(sent.header.session) == session) {
        while let Some(arrival) = arrivals.get(next).filter(|it| it.index < sent.index) {
            let mut state = states.last().cloned().unwrap_or_default();
            state.take(arrival);
            states.push(state);
            next += 1;
        }
        oldest += judge(&sent, &states[oldest.min(states.len())..])?;
    }
    Ok(())
}

/// `acknowledgment` is the largest number received.
pub(in crate::grade) fn number(trace: &Trace, _: &Case) -> Finding {
    if trace.sent().next().is_none() {
        return Err(Fault::no_session(trace));
    }
    walk(trace, |sent, states| {
        let number = sent.header.acknowledgment;
        let expected = "in each datagram of the session the flag ACK, and in `acknowledgment` the \
                        largest sequence number received so far";
        let has_flag = sent.header.flags.contains(Flags::ACK);
        let fault = |seen: String| Fault::new(seen, expected).at(sent.index);
        if !has_flag {
            return Err(fault("a datagram of the session without the flag ACK".to_owned()));
        }
        states.iter().position(|state| state.largest() == Some(number)).ok_or_else(|| {
            let largest = states.last().and_then(Receiver::largest).unwrap_or_default();
            fault(format!("acknowledgment {number}, after the server's number {largest}"))
        })
    })
}

/// `ack_bitmap` has the numbers received below the acknowledgment.
pub(in crate::grade) fn bitmap(trace: &Trace, _: &Case) -> Finding {
    walk(trace, |sent, states| {
        let header = &sent.header;
        let same = |it: &Receiver| it.largest() == Some(header.acknowledgment);
        let right = |it: &Receiver| same(it) && it.bitmap() == header.ack_bitmap;
        match states.iter().position(right) {
            Some(position) => Ok(position),
            None => {
                let bitmaps: Vec<_> =
                    states.iter().filter(|it| same(it)).map(Receiver::bitmap).collect();
                // Another number is another criterion's.
                let Some(bitmap) = bitmaps.last() else { return Ok(0) };
                let seen = format!(
                    "ack_bitmap {:#x} with acknowledgment {}",
                    header.ack_bitmap, header.acknowledgment
                );
                let expected = format!(
                    "{bitmap:#x}: bit i is set if number acknowledgment - 1 - i was received"
                );
                Err(Fault::new(seen, expected).at(sent.index))
            }
        }
    })
}

/// `ack_delay` is 0, or the time since the acknowledged datagram arrived.
pub(in crate::grade) fn delay(trace: &Trace, _: &Case) -> Finding {
    let arrivals = arrivals(trace);
    for sent in trace.sent() {
        let number = sent.header.acknowledgment;
        let first = arrivals.iter().find(|it| it.header.sequence == number);
        let Some(first) = first.filter(|it| it.index < sent.index) else { continue };
        let delay = Duration::from_micros(100) * u32::from(sent.header.ack_delay);
        let most = sent.at.saturating_sub(first.at) + Duration::from_millis(2);
        if delay > most {
            let seen = format!(
                "ack_delay {}, that is {}, {} after the datagram left for the client",
                sent.header.ack_delay,
                ms(delay),
                ms(most)
            );
            let expected = "0, or the time since the datagram arrived, in units of 100 us";
            return Err(Fault::new(seen, expected).at(sent.index));
        }
    }
    Ok(())
}

/// The window is `next` + 255.
pub(in crate::grade) fn window(trace: &Trace, _: &Case) -> Finding {
    if trace.sent().next().is_none() {
        return Err(Fault::no_session(trace));
    }
    let (mut last, mut newest) = (0, 0);
    let expected = "the smallest message id not received, plus 255";
    walk(trace, |sent, states| {
        let window = sent.header.window;
        let of = |state: &Receiver| u64::from(state.next()) + MESSAGE_WINDOW - 1;
        // It may not have read the messages yet.
        newest = states.last().map_or(MESSAGE_WINDOW - 1, of);
        let fault = |seen| Err(Fault::new(seen, expected).at(sent.index));
        if u64::from(window) > newest {
            return fault(format!("window {window}, more than {newest}"));
        }
        if window < last {
            return fault(format!("window {window}, after {last}: it shrank"));
        }
        last = window;
        Ok(0)
    })?;
    // The last messages may have arrived when the last datagram left.
    if u64::from(last) + 8 < newest {
        return Err(Fault::new(
            format!("window {last} at the end, in place of {newest}"),
            expected,
        ));
    }
    Ok(())
}

/// Each datagram that asks for an acknowledgment gets one in time.
pub(in crate::grade) fn prompt(trace: &Trace, _: &Case) -> Finding {
    let sent: Vec<_> = trace.sent().collect();
    let end = trace.mark("leave").map_or(usize::MAX, |(index, _)| index);
    let last = trace.until();
    let expected = "an acknowledgment of each datagram with a frame other than Padding, at once";
    let arrivals = arrivals(trace);
    let asked = arrivals.iter().filter(|it| it.is_eliciting() && it.index < end);
    worst(asked.filter_map(|arrival| {
        let number = arrival.header.sequence;
        let answer = sent.iter().find(|it| it.index > arrival.index && covers(&it.header, number));
        let until = answer.map_or(last, |it| it.at);
        let after = until - arrival.at;
        let seen = match answer {
            _ if after <= PROMPT => return None,
            Some(_) => format!("number {number} acknowledged after {}", ms(after)),
            None => format!("number {number} was not acknowledged"),
        };
        let fault = Fault::new(seen, expected).at(arrival.index);
        Some(fault.late(trace, arrival.at, until))
    }))
}

/// The client answers no datagram without frames.
pub(in crate::grade) fn only_eliciting(trace: &Trace, _: &Case) -> Finding {
    let arrivals = arrivals(trace);
    let (mut answers, mut next, mut asked) = (0, 0, 0);
    for sent in trace.sent() {
        while let Some(arrival) = arrivals.get(next).filter(|it| it.index < sent.index) {
            asked += usize::from(arrival.is_eliciting());
            next += 1;
        }
        answers += usize::from(sent.frames.is_empty());
        if answers > asked + SPARE {
            let seen =
                format!("{answers} datagrams without frames, after {asked} that ask for an answer");
            let expected = "no answer to a datagram without frames, or with Padding only";
            return Err(Fault::new(seen, expected).at(sent.index));
        }
    }
    Ok(())
}

/// A duplicate is acknowledged again.
pub(in crate::grade) fn duplicate(trace: &Trace, _: &Case) -> Finding {
    let Some((mark, at)) = trace.mark("repeat") else {
        let expected = "a line, printed and acknowledged";
        return Err(absent(trace, "the duplicate could not be sent", expected));
    };
    let expected = "the same acknowledgment again: the first one may be lost";
    match trace.sent().find(|it| it.index > mark).map(|it| it.at) {
        Some(answer) if answer - at <= PROMPT => Ok(()),
        Some(answer) => {
            let seen =
                format!("the first datagram after a duplicate left {} later", ms(answer - at));
            Err(Fault::new(seen, expected).at(mark + 1).late(trace, at, answer))
        }
        None => Err(absent(trace, "no answer to a duplicate", expected).at(mark + 1)),
    }
}
