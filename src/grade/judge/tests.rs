//! The judges on traces that nobody recorded.

use super::{Finding, acknowledging, form, joining, staying, talking};
use crate::grade::case::Case;
use crate::grade::edit;
use crate::grade::trace::{Entry, Event, Trace};
use crate::protocol::{
    ClientMessage, Flags, Frame, Header, Join, Say, ServerMessage, Welcome, encode_message,
};
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

fn join(bytes: usize, cookie: &[u8]) -> Event {
    join_of(9, bytes, cookie)
}

fn join_of(nonce: u64, bytes: usize, cookie: &[u8]) -> Event {
    let header = Header::default();
    let mut out = Vec::new();
    let mut writer = crate::protocol::DatagramWriter::new(&mut out);
    writer.push(&Frame::Join(Join { nonce, nickname: case().name, cookie, ..Join::default() }));
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
    let busy = |waited: u64| {
        let mut trace = at(1_600);
        trace.waits.note(Duration::ZERO, Duration::ZERO);
        trace.waits.note(Duration::from_millis(1_600), Duration::from_millis(waited));
        let fault = acknowledging::prompt(&trace, &case()).unwrap_err();
        assert_eq!(fault.seen, "number 1 acknowledged after 1600 ms");
        fault.busy
    };
    // A client that could have run is itself late.
    assert_eq!((busy(1_300), busy(900)), (true, false));
}

/// A client asks again where an acknowledgment is late (RFC 9002 §6.2).
#[test]
fn a_few_probes_are_no_heartbeats() {
    let welcome = Welcome { heartbeat_ms: 400, ..Welcome::default() };
    let welcome = encode_message(&ServerMessage::Welcome(welcome));
    let judge = |times: &[u64]| {
        let mut events = vec![(0, down(1, &[Frame::Ordered { id: 0, payload: &welcome }]))];
        events.extend(times.iter().zip(1..).map(|(&at, sequence)| {
            let header =
                Header { flags: Flags::ACK, session: SESSION, sequence, ..Header::default() };
            let bytes = edit::datagram(&header, &[Frame::Heartbeat]);
            (at, Event::Up { bytes, passed: true })
        }));
        seen(staying::heartbeat(&trace(events), &case()))
    };
    let times = |first: &[u64], probes: &[u64]| -> Vec<_> {
        first.iter().flat_map(|at| probes.iter().map(move |probe| at + probe)).collect()
    };
    assert_eq!(judge(&times(&[400, 800, 1_200], &[0])), "passed");
    assert_eq!(judge(&times(&[400, 970, 1_540], &[0, 30, 34, 90, 94, 170])), "passed");
    let steady: Vec<_> = (1..20).map(|n| 80 * n).collect();
    assert_eq!(judge(&steady), "a datagram with a frame every 80 ms; heartbeat_ms is 400");
    // The machine kept it from that once.
    let stopped: Vec<_> = steady.iter().map(|at| at + if *at > 800 { 600 } else { 0 }).collect();
    assert_eq!(judge(&stopped), "a datagram with a frame every 80 ms; heartbeat_ms is 400");
}

#[test]
fn joins_have_their_size_and_their_pauses() {
    let joins = |times: &[u64]| trace(times.iter().map(|at| (*at, join(512, &[]))).collect());
    let judge = |times: &[u64]| seen(joining::retry(&joins(times), &case()));
    assert_eq!(judge(&[0, 250, 750, 1_500, 2_250]), "passed");
    assert_eq!(judge(&[0, 250, 500, 750, 1_000]), "a pause of 250 ms between two Joins");
    assert_eq!(judge(&[0, 2_000]), "a pause of 2000 ms between two Joins");
    assert_eq!(judge(&[0]), "1 Joins");
    let short = trace(vec![(0, join(511, &[]))]);
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

#[test]
fn a_repetition_hides_no_fault_that_the_machine_does_not_explain() {
    let criterion = crate::grade::CRITERIA.iter().find(|it| it.id == "ack-prompt").unwrap();
    let answered = |ms, waited| {
        let mut trace = trace(vec![(0, welcome()), (ms, up(1, 1, 0))]);
        trace.waits.note(Duration::ZERO, Duration::ZERO);
        trace.waits.note(Duration::from_millis(ms), Duration::from_millis(waited));
        trace
    };
    let [in_time, starved, late] =
        [(20, 0), (2_000, 1_900), (2_000, 100)].map(|it| answered(it.0, it.1));
    let judge = |traces: &[&Trace]| {
        let traces = traces.iter().map(|it| (*it).clone()).collect();
        let run = crate::grade::Run { case: case(), traces };
        run.judge(criterion).1.map_err(|fault| fault.busy)
    };
    assert_eq!(judge(&[&starved]), Err(true));
    assert_eq!(judge(&[&starved, &in_time]), Ok(()));
    assert_eq!(judge(&[&starved, &late, &in_time]), Err(false));
}

/// A client that keeps its pauses, and was kept from sending in time before the second.
#[test]
fn joins_that_bunch_behind_a_delay_are_the_machines() {
    let judge = |waited| {
        let times = [0, 700, 800, 1_550, 2_300];
        let mut trace = trace(times.iter().map(|at| (*at, join(512, &[]))).collect());
        trace.waits.note(Duration::ZERO, Duration::ZERO);
        trace.waits.note(Duration::from_millis(700), Duration::from_millis(waited));
        joining::retry(&trace, &case()).unwrap_err().busy
    };
    assert_eq!((judge(450), judge(100)), (true, false));
}

/// A delay explains one `Join` that comes too early; it would take a longer one to explain more.
#[test]
fn a_crowd_of_joins_for_one_challenge_is_the_clients() {
    let cookie = [3; 20];
    let judge_all = |answers: Vec<(u64, Event)>, waited: &dyn Fn(u64) -> u64| {
        let mut events: Vec<_> = [0, 250, 750].map(|at| (at, join(512, &[]))).into();
        let challenge = edit::stateless(0, &Frame::Challenge { nonce: 9, cookie });
        events.push((760, Event::Down { bytes: challenge }));
        events.extend(answers);
        let mut trace = trace(events);
        trace.waits.note(Duration::ZERO, Duration::ZERO);
        for at in (50..3_000).step_by(50) {
            trace.waits.note(Duration::from_millis(at), Duration::from_millis(waited(at)));
        }
        joining::cookie(&trace, &case()).map_err(|fault| (fault.busy, fault.seen))
    };
    let judge = |cookie: &[u8], answers: &[u64], waited| {
        let answers = answers.iter().map(|at| (*at, join(512, cookie))).collect();
        judge_all(answers, &|at| at * waited / 100)
    };
    assert_eq!(judge(&cookie, &[790, 1_500, 2_250], 60), Ok(()));
    let two = judge(&cookie, &[790, 795], 60).unwrap_err();
    assert_eq!(two, (true, "2 Joins within 5 ms for one Challenge".to_owned()));
    let three = judge(&cookie, &[790, 795, 800], 60).unwrap_err();
    assert_eq!(three, (false, "3 Joins within 10 ms for one Challenge".to_owned()));
    // A delay before the last `Join` but one explains nothing after the Challenge.
    let both = [790, 795].map(|at| (at, join(512, &cookie)));
    let (busy, _) = judge_all(both.into(), &|at| at.min(250)).unwrap_err();
    assert!(!busy);
    let another = vec![(790, join(512, &cookie)), (1_000, join_of(10, 512, &[]))];
    assert_eq!(judge_all(another, &|_| 0), Ok(()));

    let without = "a Join without cookie after Challenge".to_owned();
    let asleep = judge(&[], &[1_500, 2_250, 3_000], 95).unwrap_err();
    assert_eq!(asleep, (true, without.clone()));
    let each: Vec<_> = (800..2_000).step_by(120).collect();
    assert_eq!(judge(&[], &each, 95).unwrap_err(), (false, without));
}

/// The limit is 2 messages a second.
#[test]
fn a_delay_explains_as_many_messages_as_fit_into_it() {
    let says = |n: u16| {
        let say = ClientMessage::Say(Say { number: n, sent: 0, text: "hello" });
        let payload = encode_message(&say);
        let header =
            Header { flags: Flags::ACK, session: SESSION, sequence: n.into(), ..Header::default() };
        Event::Up {
            bytes: edit::datagram(&header, &[Frame::Ordered { id: n, payload: &payload }]),
            passed: true,
        }
    };
    let judge = |waited| {
        // A pause of 2 s, and then six at once: 3 of the bucket, 2 of tolerance, 1 too many.
        let times = [0, 2_000, 2_001, 2_002, 2_003, 2_004, 2_005];
        let mut trace = trace(times.iter().zip(0..).map(|(at, n)| (*at, says(n))).collect());
        trace.waits.note(Duration::ZERO, Duration::ZERO);
        trace.waits.note(Duration::from_millis(2_000), Duration::from_millis(waited));
        talking::rate(&trace, &case()).unwrap_err()
    };
    let busy = |waited| {
        let fault = judge(waited);
        assert!(fault.seen.ends_with("tokens too early"), "{fault:?}");
        fault.busy
    };
    assert_eq!((busy(1_990), busy(100)), (true, false));
}
