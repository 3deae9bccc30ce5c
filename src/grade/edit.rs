//! Datagrams made anew: with other frames, or from nothing.

use crate::protocol::limits::BASE_DATAGRAM;
use crate::protocol::{
    Datagram, DatagramWriter, Flags, Frame, Header, LiveLine, ServerMessage, decode_message,
    encode_message,
};

/// A datagram with this header and these frames.
pub(super) fn datagram(header: &Header, frames: &[Frame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = DatagramWriter::new(&mut bytes);
    for frame in frames {
        writer.push(frame);
    }
    writer.finish(header);
    bytes
}

/// A datagram of the server outside of every session's numbers.
pub(super) fn stateless(session: u64, frame: &Frame<'_>) -> Vec<u8> {
    datagram(&Header { flags: Flags::FROM_SERVER, session, ..Header::default() }, &[*frame])
}

/// The same datagram with the frames that `keep` accepts; a `Padding` in place of none, so that its
/// number arrives.
pub(super) fn filtered(bytes: &[u8], keep: impl Fn(&Frame<'_>) -> bool) -> Vec<u8> {
    let Ok(it) = Datagram::decode(bytes) else { return bytes.to_vec() };
    let mut frames: Vec<_> = it.frames().filter(|frame| keep(frame)).collect();
    if frames.is_empty() {
        frames.push(Frame::Padding(&[]));
    }
    datagram(&it.header, &frames)
}

/// The same datagram with another message in place of each that `change` changes.
pub(super) fn changed(
    bytes: &[u8],
    change: impl Fn(ServerMessage<'_>) -> Option<Vec<u8>>,
) -> Vec<u8> {
    let Ok(it) = Datagram::decode(bytes) else { return bytes.to_vec() };
    let frames: Vec<_> = it.frames().collect();
    let payloads: Vec<_> = frames
        .iter()
        .map(|frame| match frame {
            Frame::Ordered { payload, .. } => decode_message(payload).ok().and_then(&change),
            _ => None,
        })
        .collect();
    if payloads.iter().all(Option::is_none) {
        return bytes.to_vec();
    }
    let frames: Vec<_> = std::iter::zip(&frames, &payloads)
        .map(|(frame, payload)| match (frame, payload) {
            (Frame::Ordered { id, .. }, Some(payload)) => Frame::Ordered { id: *id, payload },
            (frame, _) => *frame,
        })
        .collect();
    datagram(&it.header, &frames)
}

/// A datagram of the session whose line shows that the client took it.
pub(super) fn line(session: u64, sequence: u32, id: u16, from: &str, text: &str) -> Vec<u8> {
    let line = LiveLine { position: 1 << 40, at: 0, upstream: 0, peer: 999, number: 0, from, text };
    let payload = encode_message(&ServerMessage::Line(line));
    let flags = Flags::FROM_SERVER.with(Flags::ACK);
    let header = Header { flags, session, sequence, window: 255, ..Header::default() };
    datagram(&header, &[Frame::Ordered { id, payload: &payload }])
}

/// Whether the datagram is a path probe: larger than the base, and nothing but a `Heartbeat`.
pub(super) fn is_path_probe(bytes: &[u8]) -> bool {
    let only_probe = |it: Datagram<'_>| {
        it.frames().all(|frame| matches!(frame, Frame::Heartbeat | Frame::Padding(_)))
    };
    bytes.len() > BASE_DATAGRAM && Datagram::decode(bytes).is_ok_and(only_probe)
}
