//! The judges on traces that nobody recorded.

use super::{Finding, acknowledging, form, joining};
use crate::grade::case::Case;
use crate::grade::edit;
use crate::grade::trace::{Entry, Event, Trace};
use crate::protocol::{Flags, Frame, Header, Join, ServerMessage, Welcome, encode_message};
use std::time::Duration;

const SESSION: u64 = 7;

fn trace(events: Vec<(u64, Event)>) -> Trace {
    let entry = |(ms, event)| Entry { at: Duration::from_millis(ms), event };
    Trace { entries: events.into_iter().map(entry).collect(), ..Trace::default() }
}

fn down(sequence: u32, frames: &[Frame<'_>]) -> Event {
    let flags = Flags::FROM_SERVER.with(Flags::ACK);
    let header = Header { flags, session: SESSION, sequence, ..Header::default() };
    Event::Down { bytes: edit::datagram(&header, frames) }
}

fn welcome() -> Event {
    let payload = encode_message(&ServerMessage::Welcome(Welcome::default()));
    down(1, &[Frame::Ordered { id: 0, payload: &payload }])
}

fn up(sequence: u32, acknowledgment: u32, ack_bitmap: u64) -> Event {
    let header = Header {
        flags: Flags::ACK,
        session: SESSION,
        sequence,
        acknowledgment,
        ack_bitmap,
        window: 256,
        ..Header::default()
    };
    Event::Up { bytes: edit::datagram(&header, &[]), passed: true }
}

fn join(bytes: usize) -> Event {
    let header = Header::default();
    let mut out = Vec::new();
    let mut writer = crate::protocol::DatagramWriter::new(&mut out);
    writer.push(&Frame::Join(Join { nonce: 9, nickname: case().name, ..Join::default() }));
    writer.pad_to(bytes);
    writer.finish(&header);
    Event::Up { bytes: out, passed: true }
}

fn case() -> Case {
    Case::new(1, "test", 0, &crate::grade::Plan::default().choices)
}

fn seen(finding: Finding) -> String {
    finding.err().map_or("passed".to_owned(), |fault| fault.seen)
}

#[test]
fn an_acknowledgment_is_that_of_some_state_of_the_receiver() {
    let beat = [Frame::Heartbeat];
    let right = |last: Event| {
        trace(vec![
            (0, welcome()),
            (1, up(1, 1, 0)),
            (2, down(3, &beat)),
            (3, down(2, &beat)),
            // Sent before the number 2 was read.
            (4, up(2, 3, 0b10)),
            (5, last),
        ])
    };
    let judge = |last: Event| {
        let trace = right(last);
        [acknowledging::number, acknowledging::bitmap].map(|judge| seen(judge(&trace, &case())))
    };
    assert_eq!(judge(up(3, 3, 0b11)), ["passed", "passed"]);
    let [number, bitmap] = judge(up(3, 2, 0b1));
    assert_eq!((&*number, &*bitmap), ("acknowledgment 2, after the server's number 3", "passed"));
    let [number, bitmap] = judge(up(3, 3, 0b111));
    assert_eq!((&*number, &*bitmap), ("passed", "ack_bitmap 0x7 with acknowledgment 3"));
    // A state once left does not come back.
    let [_, bitmap] = judge(up(3, 3, 0b1));
    assert_eq!(bitmap, "ack_bitmap 0x1 with acknowledgment 3");
}

#[test]
fn an_answer_to_datagrams_without_frames_is_a_fault() {
    let mut events = vec![(0, welcome()), (1, up(1, 1, 0))];
    for n in 2..8 {
        events.push((u64::from(n), down(n, &[])));
        events.push((u64::from(n), up(n, n, 0)));
    }
    let seen = seen(acknowledging::only_eliciting(&trace(events), &case()));
    assert_eq!(seen, "5 datagrams without frames, after 1 that ask for an answer");
}

#[test]
fn a_late_acknowledgment_may_be_the_machines_fault() {
    let at = |ms| trace(vec![(0, welcome()), (ms, up(1, 1, 0))]);
    assert_eq!(seen(acknowledging::prompt(&at(1_500), &case())), "passed");
    let fault = acknowledging::prompt(&at(1_600), &case()).unwrap_err();
    assert!(fault.late && fault.seen == "number 1 acknowledged after 1600 ms", "{fault:?}");
}

#[test]
fn joins_have_their_size_and_their_pauses() {
    let joins = |times: &[u64]| trace(times.iter().map(|at| (*at, join(512))).collect());
    let judge = |times: &[u64]| seen(joining::retry(&joins(times), &case()));
    assert_eq!(judge(&[0, 250, 750, 1_500, 2_250]), "passed");
    assert_eq!(judge(&[0, 250, 500, 750, 1_000]), "a pause of 250 ms between two Joins");
    assert_eq!(judge(&[0, 2_000]), "a pause of 2000 ms between two Joins");
    assert_eq!(judge(&[0]), "1 Joins");
    let short = trace(vec![(0, join(511))]);
    assert_eq!(seen(joining::join(&short, &case())), "a Join of 511 bytes");
}

#[test]
fn a_damaged_header_is_not_a_fault_of_its_frames() {
    let Event::Up { mut bytes, .. } = up(1, 0, 0) else { unreachable!() };
    bytes[6] ^= 1;
    let broken = trace(vec![(0, Event::Up { bytes, passed: true })]);
    assert!(seen(form::header(&broken, &case())).starts_with("the checksum is "));
    assert_eq!(seen(form::frames(&broken, &case())), "passed");
    let twice = trace(vec![(0, up(1, 0, 0)), (1, up(1, 0, 0))]);
    assert_eq!(seen(form::sequence(&twice, &case())), "number 1 twice");
}
