//! The form of the client's datagrams (§I.2 to §I.4).

use super::{Fault, Finding};
use crate::grade::case::Case;
use crate::grade::edit::is_path_probe;
use crate::grade::trace::{Trace, message_of};
use crate::protocol::limits::{BASE_DATAGRAM, MAX_DATAGRAM};
use crate::protocol::{ClientMessage, DecodeError, Flags, decode_message};
use std::collections::BTreeSet;

/// Size, magic, checksum, version and flags.
pub(in crate::grade) fn header(trace: &Trace, _: &Case) -> Finding {
    for up in trace.ups() {
        let expected = "the header of §I.3: 40 bytes, magic, version 1, flags 0 or 2, and the \
                        CRC-32 of bytes 0 to 3 and 8 to the end";
        let fault = |seen: String| Err(Fault::new(seen, expected).at(up.index));
        match up.datagram {
            Err(DecodeError::Malformed(_) | DecodeError::NotCanonical(_)) => {}
            Err(error) => return fault(error.to_string()),
            Ok(it) if it.header.flags.contains(Flags::FROM_SERVER) => {
                return fault("the flag FROM_SERVER in a datagram of a client".to_owned());
            }
            Ok(_) => {}
        }
    }
    let seen = || super::absent(trace, "no datagram", "a datagram to the address given");
    if trace.ups().next().is_none() { Err(seen()) } else { Ok(()) }
}

/// Frames and messages, in their one encoding.
pub(in crate::grade) fn frames(trace: &Trace, _: &Case) -> Finding {
    for up in trace.ups() {
        let fault = |seen: String| {
            let expected = "frames and messages of §I.4 and §I.8, each value in its one encoding";
            Err(Fault::new(seen, expected).at(up.index))
        };
        match up.datagram {
            Err(error @ (DecodeError::Malformed(_) | DecodeError::NotCanonical(_))) => {
                return fault(error.to_string());
            }
            Err(_) => {}
            Ok(it) => {
                let payloads = it.frames().filter_map(|frame| Some(message_of(&frame)?.1));
                for payload in payloads {
                    if let Err(error) = decode_message::<ClientMessage<'_>>(payload) {
                        return fault(format!("an unreadable message: {error}"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Every datagram of a session has the next number.
pub(in crate::grade) fn sequence(trace: &Trace, _: &Case) -> Finding {
    let (mut used, mut session, mut last) = (BTreeSet::new(), 0, 0);
    for sent in trace.sent() {
        let number = sent.header.sequence;
        if sent.header.session != session {
            (session, last) = (sent.header.session, number.wrapping_sub(1));
            used.clear();
        }
        let seen = if !used.insert(number) {
            format!("number {number} twice")
        } else if number != last.wrapping_add(1) {
            format!("number {number} after {last}")
        } else {
            last = number;
            continue;
        };
        let expected = "a new number, one more than before, for each datagram of the session, \
                        acknowledgments included";
        return Err(Fault::new(seen, expected).at(sent.index));
    }
    if used.is_empty() { Err(Fault::no_session(trace)) } else { Ok(()) }
}

/// No datagram is larger than every path carries, but probes.
pub(in crate::grade) fn size(trace: &Trace, _: &Case) -> Finding {
    let mut probed = BASE_DATAGRAM;
    for up in trace.ups() {
        let bytes = up.bytes.len();
        if up.passed && is_path_probe(up.bytes) {
            probed = probed.max(bytes.min(MAX_DATAGRAM));
        } else if bytes > probed {
            let seen = format!("a datagram of {bytes} bytes");
            let expected = format!("at most {BASE_DATAGRAM} bytes (§I.3), unless a probe passed");
            return Err(Fault::new(seen, expected).at(up.index));
        }
    }
    Ok(())
}
