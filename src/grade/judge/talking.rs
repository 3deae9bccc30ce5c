//! Lines: heard, said, lost, doubled, out of order (§I.7, §I.8).

use super::{Fault, Finding, absent, expect, ms, worst};
use crate::grade::case::Case;
use crate::grade::scenario::{
    LIMIT, LINES, OUTAGE, covers, long_line, long_message, shows, unclean,
};
use crate::grade::trace::{Seen, Trace, message_of};
use crate::protocol::limits::{MAX_TEXT, tokens};
use crate::protocol::{
    ClientMessage, Frame, Header, ServerMessage, clean, decode_message, encode_message, is_clean,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often the client printed this text.
fn shown(trace: &Trace, text: &str) -> usize {
    trace.printed().filter(|(_, line)| line.contains(text)).count()
}

/// Lines and their author's name are printed.
pub(in crate::grade) fn hear(trace: &Trace, case: &Case) -> Finding {
    let expected = "each Line is printed, on a line of its own, with its author's name";
    for n in 0..4 {
        let text = case.text("heard", n);
        let line = trace.printed().find(|(_, line)| line.contains(&text));
        let Some((_, line)) = line else {
            return Err(absent(trace, &format!("{text:?} was not printed"), expected));
        };
        expect(line.contains(case.teacher), || format!("printed: {line:?}"), expected)?;
    }
    Ok(())
}

/// A whisper is printed.
pub(in crate::grade) fn whisper(trace: &Trace, case: &Case) -> Finding {
    let text = case.text("whisper", 0);
    let expected = "Whisper is printed, with its author's name";
    match trace.printed().find(|(_, line)| line.contains(&text)) {
        None => Err(absent(trace, "the whisper was not printed", expected)),
        Some((_, line)) => {
            expect(line.contains(case.teacher), || format!("printed: {line:?}"), expected)
        }
    }
}

/// The client says each typed line, once and in order.
pub(in crate::grade) fn say(trace: &Trace, case: &Case) -> Finding {
    let expected = "each typed line is heard by the others, once and in order";
    let wanted: Vec<_> = (0..4).map(|n| case.text("said", n)).collect();
    let heard: Vec<_> = trace.heard().filter(|(from, _)| *from == case.name).collect();
    let texts: Vec<_> =
        heard.iter().map(|(_, text)| *text).filter(|text| *text != "exit").collect();
    if texts == wanted {
        return Ok(());
    }
    Err(absent(trace, &format!("typed {wanted:?}, heard {texts:?}"), expected))
}

/// Lines are numbered one after the other.
pub(in crate::grade) fn number(trace: &Trace, _: &Case) -> Finding {
    let expected = "`number` counts the lines, one more each time; `id` counts all messages from 0";
    let (mut numbers, mut ids) = (BTreeMap::new(), BTreeSet::new());
    for (seen, id, message) in trace.said() {
        ids.extend(id);
        if let ClientMessage::Say(say) = message
            && let Some(before) = numbers.insert(say.number, say.text)
            && before != say.text
        {
            let seen_ = format!("number {} for two lines", say.number);
            return Err(Fault::new(seen_, expected).at(seen.index));
        }
    }
    let span = |low: Option<u16>, high: Option<u16>| {
        low.zip(high).map_or(0, |(low, high)| usize::from(high.wrapping_sub(low)) + 1)
    };
    let count = span(numbers.keys().next().copied(), numbers.keys().last().copied());
    expect(
        count == numbers.len(),
        || format!("numbers {:?}", numbers.keys().collect::<Vec<_>>()),
        expected,
    )?;
    let is_counted = ids.iter().copied().eq(0..ids.len() as u16);
    expect(is_counted, || format!("ids {ids:?}"), expected)
}

/// Transmissions of the line with this text.
fn transmissions<'a>(trace: &'a Trace, text: &str) -> Vec<(Seen<'a>, Option<u16>)> {
    let is_it = |message: &ClientMessage<'_>| match message {
        ClientMessage::Say(say) => say.text == text,
        _ => false,
    };
    trace.said().filter(|(_, _, message)| is_it(message)).map(|(seen, id, _)| (seen, id)).collect()
}

/// A lost line is sent again.
pub(in crate::grade) fn retransmit(trace: &Trace, case: &Case) -> Finding {
    let text = case.text("lost", 0);
    let sent = transmissions(trace, &text);
    let expected = "the message again, until a datagram that carried it is acknowledged";
    let has_passed =
        trace.ups().any(|up| up.passed && sent.iter().any(|(it, _)| it.index == up.index));
    match sent.as_slice() {
        [] => Err(absent(trace, "the line was never sent", expected)),
        [(only, _)] => {
            let seen = "the line was sent once, and lost; the client did not send it again";
            Err(absent(trace, seen, expected).at(only.index))
        }
        _ if !has_passed => {
            let seen = format!("the line was sent {} times, and not after that", sent.len());
            Err(absent(trace, &seen, expected))
        }
        _ => Ok(()),
    }
}

/// A line is sent again with the same id and number, in a new datagram.
pub(in crate::grade) fn same_id(trace: &Trace, _: &Case) -> Finding {
    let expected = "the same id and the same number in each transmission of a line, in a datagram \
                    with a new sequence number";
    let (mut lines, mut sequences) = (BTreeMap::new(), BTreeMap::new());
    for (seen, id, message) in trace.said() {
        let ClientMessage::Say(say) = message else { continue };
        let (first, before, number) =
            *lines.entry(say.text).or_insert((seen.index, id, say.number));
        if (before, number) != (id, say.number) {
            let what = format!(
                "id {id:?} and number {}, at first id {before:?} and number {number}",
                say.number
            );
            return Err(Fault::new(what, expected).at(first).at(seen.index));
        }
        if let Some(before) = sequences.insert(seen.header.sequence, seen.index)
            && before != seen.index
        {
            let what = format!("the line twice in sequence number {}", seen.header.sequence);
            return Err(Fault::new(what, expected).at(before).at(seen.index));
        }
    }
    Ok(())
}

/// A lost line is not sent again too often.
pub(in crate::grade) fn backoff(trace: &Trace, case: &Case) -> Finding {
    let sent = transmissions(trace, &case.text("lost", 0));
    let Some((first, _)) = sent.first() else {
        return Err(absent(trace, "the line was never sent", "the line"));
    };
    let late = first.at + Duration::from_millis(1_200)..first.at + OUTAGE;
    let mut times: Vec<_> =
        sent.iter().map(|(it, _)| it.at).filter(|at| late.contains(at)).collect();
    // A pair of probes counts as one.
    times.dedup_by(|later, earlier| *later - *earlier < Duration::from_millis(20));
    expect(
        times.len() <= 6,
        || format!("{} transmissions between 1.2 s and 2.6 s after the first", times.len()),
        "a pause of a second, or one that doubles up to a second",
    )
}

/// Longest time until a client has read an acknowledgment, while it runs.
const UNDER_WAY: Duration = Duration::from_millis(500);

/// A line is not sent again after its acknowledgment.
pub(in crate::grade) fn stop(trace: &Trace, case: &Case) -> Finding {
    let expected = "no transmission of a message after its acknowledgment";
    if trace.mark("through").is_none() {
        return Err(absent(trace, "the line did not get through", expected));
    }
    worst([0, 1].into_iter().filter_map(|n| {
        let sent = transmissions(trace, &case.text("lost", n));
        let has = |header: &Header| sent.iter().any(|(it, _)| covers(header, it.header.sequence));
        let at = trace.received().find(|it| has(&it.header))?.at;
        let (again, _) = sent.iter().find(|(it, _)| it.at > at + UNDER_WAY)?;
        let seen = format!("a line again, {} after its acknowledgment left", ms(again.at - at));
        Some(Fault::new(seen, expected).at(again.index).late(trace, at, again.at))
    }))
}

/// Lines are printed in the order of their ids.
pub(in crate::grade) fn order(trace: &Trace, case: &Case) -> Finding {
    let expected = "messages in the order of their ids, whatever the order of the datagrams";
    let place = |n: usize| {
        let text = case.text("order", n);
        trace.printed().find(|(_, line)| line.contains(&text)).map(|(index, _)| index)
    };
    let places: Vec<_> = (0..9).map(place).collect();
    if let Some(n) = places.iter().position(Option::is_none) {
        return Err(absent(
            trace,
            &format!("{:?} was not printed", case.text("order", n)),
            expected,
        ));
    }
    expect(
        places.is_sorted(),
        || {
            let mut order: Vec<_> = (0..9).collect();
            order.sort_by_key(|n| places[*n]);
            format!("the lines 0 to 8 were printed in the order {order:?}")
        },
        expected,
    )
}

/// Each message is printed once.
pub(in crate::grade) fn once(trace: &Trace, case: &Case) -> Finding {
    let expected = "each message once, however often it arrives";
    let twice = (0..9).map(|n| case.text("order", n)).find(|text| shown(trace, text) > 1);
    match twice {
        None => Ok(()),
        Some(text) => {
            Err(Fault::new(format!("{text:?} printed {} times", shown(trace, &text)), expected))
        }
    }
}

/// 255 messages ahead of a missing one are kept.
pub(in crate::grade) fn window(trace: &Trace, case: &Case) -> Finding {
    let expected = "all 300 lines, once and in order: messages up to 255 ahead of the missing one \
                    are kept";
    let texts: Vec<_> = (0..300).map(|n| case.text("replay", n)).collect();
    let mut next = 0;
    for (_, line) in trace.printed().filter(|(_, line)| line.contains("replay")) {
        let wanted = texts.get(next);
        if !wanted.is_some_and(|text| line.contains(text.as_str())) {
            let seen = format!("{line:?} was printed in place of {wanted:?}");
            return Err(Fault::new(seen, expected));
        }
        next += 1;
    }
    if next == texts.len() {
        return Ok(());
    }
    Err(absent(trace, &format!("{next} of 300 lines were printed"), expected))
}

/// Messages in parts are joined.
pub(in crate::grade) fn parts(trace: &Trace, case: &Case) -> Finding {
    let expected = "the parts of a message are joined in the order of index, and printed";
    let has_part =
        trace.received().any(|it| it.frames.iter().any(|it| matches!(it, Frame::Part { .. })));
    if !has_part {
        return Err(absent(trace, "the client did not come so far", expected));
    }
    let text = long_message(case);
    let count = shown(trace, &text);
    if count == 1 && shows(trace, &case.text("after", 0)) {
        return Ok(());
    }
    Err(absent(trace, &format!("the message printed {count} times"), expected))
}

/// The client prints no control character.
pub(in crate::grade) fn clean_output(trace: &Trace, case: &Case) -> Finding {
    let expected = "control characters and marks of direction replaced by U+FFFD, a tab by a space \
                    (§I.7)";
    let marker = case.text("hostile", 0);
    if !shows(trace, &marker) {
        return Err(absent(trace, "the line was not printed", expected));
    }
    for (_, line) in trace.printed() {
        let is_it = line.contains(&marker) || line.contains("forged");
        if is_it && (!is_clean(line) || !line.contains(&marker)) {
            return Err(Fault::new(format!("printed: {line:?}"), expected));
        }
    }
    Ok(())
}

/// The texts that the others heard of the client.
fn pieces<'a>(trace: &'a Trace, case: &Case) -> Vec<&'a str> {
    trace.heard().filter(|(from, _)| *from == case.name).map(|(_, text)| text).collect()
}

/// Texts are clean when they leave.
pub(in crate::grade) fn clean_text(trace: &Trace, case: &Case) -> Finding {
    let expected = "the text of Say cleaned as in §I.7, and no blank text";
    for (seen, _, message) in trace.said() {
        let ClientMessage::Say(say) = message else { continue };
        if !is_clean(say.text) || say.text.trim().is_empty() {
            return Err(Fault::new(format!("Say with {:?}", say.text), expected).at(seen.index));
        }
    }
    let wanted = clean(&unclean(case)).into_owned();
    if pieces(trace, case).contains(&wanted.as_str()) {
        return Ok(());
    }
    Err(absent(trace, &format!("{wanted:?} was not heard"), expected))
}

/// Long texts are cut between two characters.
pub(in crate::grade) fn cut(trace: &Trace, case: &Case) -> Finding {
    let expected = "a long text in several lines, cut between two characters, nothing left out";
    let wanted = long_line(case);
    let heard = pieces(trace, case).concat();
    for (seen, _, message) in trace.said() {
        if let ClientMessage::Say(say) = message
            && say.text.len() > MAX_TEXT
        {
            let what = format!("a text of {} bytes", say.text.len());
            return Err(Fault::new(what, expected).at(seen.index));
        }
    }
    if heard.contains(&wanted) {
        return Ok(());
    }
    let what = format!("{} bytes were typed, and other text was heard", wanted.len());
    Err(absent(trace, &what, expected))
}

/// The limit of `Welcome` is kept.
pub(in crate::grade) fn rate(trace: &Trace, case: &Case) -> Finding {
    let expected = format!(
        "at most {} messages at once and {} a second after that, as Welcome says (§7.14)",
        LIMIT.0, LIMIT.1
    );
    let (burst, rate) = (f64::from(LIMIT.0), f64::from(LIMIT.1));
    let (mut bucket, mut last, mut known) = (burst, Duration::ZERO, BTreeSet::new());
    let (mut delay, mut faults) = (Duration::ZERO, Vec::new());
    for (seen, id, message) in trace.said() {
        if !known.insert(id) || matches!(message, ClientMessage::Leave { .. }) {
            continue;
        }
        bucket = (bucket + (seen.at - last).as_secs_f64() * rate).min(burst);
        bucket -= tokens(encode_message(&message).len()) as f64;
        if bucket < -2.0 {
            let what = format!("message {} is {:.1} tokens too early", known.len(), -bucket);
            let fault = Fault::new(what, &*expected).at(seen.index);
            // It may have been an earlier one that was late.
            let busy = delay.as_secs_f64() >= -bucket / rate;
            faults.push(Fault { busy, ..fault });
        }
        // The bucket is full at the first message, however late it is.
        if known.len() > 1 {
            delay = delay.max(trace.waits.between(last, seen.at));
        }
        last = seen.at;
    }
    worst(faults)?;
    let missing = (0..LINES)
        .map(|n| case.text("rate", n))
        .find(|text| !trace.heard().any(|(_, it)| it == text));
    missing.map_or(Ok(()), |text| Err(absent(trace, &format!("{text:?} was not heard"), &expected)))
}

/// `Slow` is obeyed.
pub(in crate::grade) fn slow(trace: &Trace, case: &Case) -> Finding {
    let expected = "no new line for wait_ms after Slow (§7.14)";
    let told = trace.received().find_map(|seen| {
        seen.frames.iter().filter_map(message_of).find_map(|(_, payload)| {
            match decode_message(payload) {
                Ok(ServerMessage::Slow { wait_ms }) => Some((seen.at, seen.index, wait_ms)),
                _ => None,
            }
        })
    });
    let Some((at, place, wait)) = told.filter(|_| trace.mark("slow").is_some()) else {
        let times: Vec<_> = trace.said().map(|(seen, ..)| seen.at).collect();
        let fault = absent(trace, "the client did not come so far", expected);
        return Err(match times[..] {
            // On a busy machine its lines may be so far apart that the limit allows them.
            [first, .., last] => fault.delayed(trace, first, last, (last - first) / 2),
            _ => fault,
        });
    };
    let sent = transmissions(trace, &case.text("patient", 0));
    let Some((first, _)) = sent.first() else {
        return Err(absent(trace, "the line after Slow was not sent", expected).at(place));
    };
    let wait = Duration::from_millis(wait.into());
    expect(
        first.at >= at + wait * 9 / 10,
        || format!("a line {} after Slow with wait_ms {}", ms(first.at - at), wait.as_millis()),
        expected,
    )
    .map_err(|fault| fault.at(place).at(first.index))
}
