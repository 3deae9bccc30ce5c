//! A datagram, unchanged and with a corrected checksum: it has one encoding, and all readers agree.

use super::meter::allocated;
use super::{assert_clean, sealed};
use chatagram::decode;
use chatagram::protocol::{
    ClientMessage, Datagram, DatagramWriter, DecodeError, Frame, HEADER_LEN, ServerMessage, Trace,
    decode_message, encode_message,
};

const REFUSAL: usize = 512;

pub(crate) fn datagram(data: &[u8]) {
    check(data);
    check(&sealed(data));
}

fn check(bytes: &[u8]) {
    let (datagram, cost) = allocated(|| Datagram::decode(bytes));
    assert!(cost <= limit(&datagram), "decoding allocated {cost} bytes");
    let shown = decode::datagram(bytes);
    assert_eq!(shown.accepted, datagram.is_ok());
    shown.text.lines().for_each(assert_clean);
    agree(bytes, datagram.as_ref().err());
    let Ok(datagram) = datagram else { return };
    let mut again = Vec::new();
    let mut writer = DatagramWriter::new(&mut again);
    for frame in datagram.frames() {
        assert!(writer.push(&frame));
        if let Frame::Once { payload }
        | Frame::Unordered { payload, .. }
        | Frame::Ordered { payload, .. } = frame
        {
            messages(payload);
        }
    }
    writer.finish(&datagram.header);
    assert_eq!(again, bytes, "the encoding is not canonical");
}

/// Bytes that decoding may allocate: none, except for bincode's error text of a rejection.
fn limit<T>(outcome: &Result<T, DecodeError>) -> usize {
    if outcome.is_ok() { 0 } else { REFUSAL }
}

/// Reads a payload as a message of either end.
fn messages(payload: &[u8]) {
    let (read, cost) = allocated(|| decode_message::<ClientMessage<'_>>(payload));
    assert!(cost <= limit(&read), "decoding allocated {cost} bytes");
    if let Ok(message) = read {
        assert_eq!(encode_message(&message), payload);
    }
    let (read, cost) = allocated(|| decode_message::<ServerMessage<'_>>(payload));
    assert!(cost <= limit(&read), "decoding allocated {cost} bytes");
    if let Ok(message) = read {
        assert_eq!(encode_message(&message), payload);
    }
}

/// The table for people fails where the decoder fails.
fn agree(bytes: &[u8], verdict: Option<&DecodeError>) {
    let expected = match verdict {
        None => None,
        Some(error @ (DecodeError::Malformed(_) | DecodeError::NotCanonical(_))) => Some(*error),
        Some(_) => return,
    };
    let mut at = HEADER_LEN;
    let mut found = None;
    while at < bytes.len() && found.is_none() {
        let trace = Trace::frame(bytes, at);
        if trace.trouble.is_some() {
            found = Some(DecodeError::Malformed(at));
        } else if trace.steps.iter().any(|step| step.loose) {
            found = Some(DecodeError::NotCanonical(at));
        }
        at = trace.end;
    }
    assert_eq!(found, expected);
}
