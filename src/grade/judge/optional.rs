//! The optional criteria: TCP (§11.2), and whispers of the client (§6.1).

use super::{Fault, Finding, absent};
use crate::client::session;
use crate::grade::case::Case;
use crate::grade::scenario::{TCP_LINES, heard, tcp_line};
use crate::grade::trace::{Event, Trace};

/// Lines both ways over a connection, once and in order.
pub(in crate::grade) fn tcp(trace: &Trace, case: &Case) -> Finding {
    let place = trace.entries.iter().position(|it| matches!(it.event, Event::Stream { .. }));
    lines(trace, case).map_err(|fault| place.into_iter().fold(fault, Fault::at))
}

fn lines(trace: &Trace, case: &Case) -> Finding {
    let expected = "over TCP: preface, Join, then lines both ways in Once frames, each once and in \
                    order (§11.2)";
    let mut last = None;
    for n in 0..TCP_LINES {
        let text = tcp_line(case, n);
        let printed = trace.printed().filter(|(_, line)| line.contains(&text));
        let places: Vec<_> = printed.map(|(place, _)| place).collect();
        match places[..] {
            [place] if Some(place) > last => last = Some(place),
            [] => return Err(absent(trace, &format!("{text:?} was not printed"), expected)),
            _ => {
                let seen = format!("{text:?} printed {} times, or too early", places.len());
                return Err(Fault::new(seen, expected));
            }
        }
    }
    let wanted: Vec<_> = (0..TCP_LINES).map(|n| case.text("said", n)).collect();
    let heard = trace.heard().filter(|(from, _)| *from == case.name);
    let texts: Vec<_> = heard.map(|(_, text)| text).collect();
    if texts != wanted {
        return Err(absent(trace, &format!("typed {wanted:?}, heard {texts:?}"), expected));
    }
    Ok(())
}

/// The teacher hears the whisper, and the room does not.
pub(in crate::grade) fn tell(trace: &Trace, case: &Case) -> Finding {
    let expected = "at the line `/msg NAME TEXT` a Whisper to NAME, and nothing to the room";
    let secret = case.text("secret", 0);
    let mut whispers = 0;
    for entry in &trace.entries {
        let Event::Teacher(event) = &entry.event else { continue };
        let session::Event::Message { text, private, .. } = &**event else { continue };
        if text.contains(&secret) && !private {
            return Err(Fault::new(format!("{text:?} was said to the room"), expected));
        }
        whispers += usize::from(*private && *text == secret);
    }
    if whispers == 1 {
        return Ok(());
    }
    let is_heard = heard(trace, &case.text("open", 0));
    let seen = format!(
        "{whispers} whispers of {secret:?} arrived; a line typed after it heard: {is_heard}"
    );
    Err(absent(trace, &seen, expected))
}
