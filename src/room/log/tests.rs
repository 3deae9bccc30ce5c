use super::*;

const EPOCH: u64 = 7;
const ALICE: Owner = Owner(1);

fn fresh() -> Log {
    Log::new(Past::default(), EPOCH)
}

fn said(owner: Owner, number: u16, text: &str) -> Proposal<'_> {
    let identity = LineIdentity { owner, number };
    Proposal { identity, at: WallTime(0), from: "alice", text }
}

/// The position of a new line.
fn say(log: &mut Log, number: u16) -> u64 {
    match log.propose(said(ALICE, number, "ok")) {
        Outcome::Committed(line) => line.mark.position,
        Outcome::Repeated(position) => panic!("{number} is at {position} already"),
    }
}

fn at(position: u64) -> Mark {
    Mark { epoch: EPOCH, position }
}

fn positions(replay: &Replay) -> Vec<u64> {
    replay.lines.iter().map(|line| line.mark.position).collect()
}

/// A line of a history: with a mark, or written by hand.
fn kept(mark: Option<(u64, u64)>, number: u16) -> Kept {
    Kept {
        mark: mark.map(|(epoch, position)| Mark { epoch, position }),
        at: WallTime(u64::MAX),
        from: "alice".to_owned(),
        text: "ok".to_owned(),
        identity: mark.map(|_| LineIdentity { owner: ALICE, number }),
    }
}

fn restored(marks: &[Option<(u64, u64)>]) -> Log {
    let lines: Vec<_> = marks.iter().zip(0..).map(|(mark, number)| kept(*mark, number)).collect();
    let intact = lines.len();
    Log::new(Past { lines, intact }, 99)
}

/// Epoch and position of every line in memory.
fn all(log: &Log) -> Vec<(u64, u64)> {
    let marks = log.newest(usize::MAX).lines;
    marks.iter().map(|line| (line.mark.epoch, line.mark.position)).collect()
}

#[test]
fn positions_increase_and_times_stay_when_the_clock_steps() {
    let mut log = fresh();
    for (number, time) in [5_000, 4_000, u64::MAX, 4_001].into_iter().enumerate() {
        let proposal = Proposal { at: WallTime(time), ..said(ALICE, number as u16, "x") };
        let Outcome::Committed(line) = log.propose(proposal) else { panic!("{number}") };
        assert_eq!((line.mark, line.at), (at(number as u64 + 1), WallTime(time)));
    }
}

#[test]
fn newcomers_get_the_newest_lines_and_rejoining_peers_all_they_missed() {
    let mut log = fresh();
    (0..40).for_each(|number| assert_eq!(say(&mut log, number), u64::from(number) + 1));
    let new = log.newest(10);
    assert_eq!((new.lines.len(), new.lines[0].mark, new.complete), (10, at(31), false));
    let back = log.after(at(5));
    assert_eq!((positions(&back), back.complete), ((6..=40).collect(), true));
    assert!(log.after(at(0)).complete, "there is nothing before the first");
    assert!(log.after(at(40)).complete && log.after(at(40)).lines.is_empty());
    let elsewhere = log.after(Mark { epoch: 8, position: 5 });
    assert_eq!((elsewhere.lines.len(), elsewhere.complete), (40, false));
    let lost = log.after(at(41));
    assert_eq!((lost.lines.len(), lost.complete), (0, false), "this log never had that position");
}

#[test]
fn the_log_is_bounded_and_reports_an_incomplete_replay() {
    let mut log = fresh();
    (0..2_000).for_each(|number| _ = say(&mut log, number));
    assert!(!log.after(at(1)).complete);
    assert!(!log.after(at(975)).complete);
    let back = log.after(at(976));
    assert_eq!((back.lines.len(), back.complete), (LOG_LINES, true));
}

#[test]
fn a_repeat_is_refused_with_its_position_even_after_a_restart() {
    let mut log = fresh();
    (0..300).for_each(|number| _ = say(&mut log, number));
    let mut again = Log::new(Past::from(all_lines(&log)), 99);
    for log in [&mut log, &mut again] {
        for number in [44, 200, 299] {
            let repeated = log.propose(said(ALICE, number, "another text"));
            assert_eq!(repeated, Outcome::Repeated(u64::from(number) + 1));
        }
        let other = log.propose(said(Owner(2), 299, "ok"));
        assert!(matches!(other, Outcome::Committed(_)), "the owner is part of the identity");
    }
    assert_eq!(say(&mut log, 300), 302);
    assert_eq!(
        say(&mut again, 300),
        POSITION_STEP + 2,
        "behind all that the run before may have given"
    );
}

fn all_lines(log: &Log) -> Vec<Line> {
    log.lines.iter().map(|line| (**line).clone()).collect()
}

#[test]
fn missing_numbers_are_known_across_a_wrap() {
    let mut log = fresh();
    for number in [65_533, 65_535, 0, 2] {
        say(&mut log, number);
    }
    let taken = log.taken(ALICE, at(0));
    assert_eq!((taken.newest, taken.bytes(), taken.sure), (2, &[0b0010_1101][..], true));
    assert!(!log.taken(ALICE, Mark { epoch: 8, position: 0 }).sure);
    let silent = log.taken(Owner(9), at(3));
    assert_eq!((silent.bytes(), silent.sure), (&[][..], true));
}

#[test]
fn forgotten_owners_are_reported_as_unknown() {
    let mut log = fresh();
    say(&mut log, 0);
    for owner in 2..4_097 {
        assert!(matches!(log.propose(said(Owner(owner), 0, "ok")), Outcome::Committed(_)));
    }
    assert!(log.taken(ALICE, at(0)).sure);
    assert!(matches!(log.propose(said(Owner(4_097), 0, "ok")), Outcome::Committed(_)));
    let taken = log.taken(ALICE, at(0));
    assert_eq!((taken.bytes(), taken.sure), (&[][..], false));
    assert!(log.taken(ALICE, at(1)).sure, "its later lines are still known");
}

#[test]
fn a_restored_log_continues_its_epoch_after_a_position_step() {
    let log = restored(&[Some((3, 5)), Some((3, 6)), Some((3, POSITION_STEP + 1))]);
    assert_eq!(all(&log), [(3, 5), (3, 6), (3, POSITION_STEP + 1)]);
    assert_eq!(
        (log.next, log.latest()),
        (2 * POSITION_STEP + 1, Mark { epoch: 3, position: POSITION_STEP + 1 })
    );
    let whole = log.after(Mark { epoch: 3, position: 6 });
    assert!(whole.complete, "nothing is missing between two runs");
    assert!(log.after(Mark { epoch: 3, position: 4 }).complete);
    assert!(!log.after(Mark { epoch: 3, position: 7 }).complete, "the end of that run is lost");
}

#[test]
fn lines_missing_from_a_history_are_detected() {
    let log = restored(&[Some((3, 5)), Some((3, 8)), Some((3, 9))]);
    let complete = |position| log.after(Mark { epoch: 3, position }).complete;
    assert_eq!([5, 6, 7, 8, 9].map(complete), [false, false, true, true, true]);
    assert!(!log.taken(ALICE, Mark { epoch: 3, position: 6 }).sure);
    assert!(log.taken(ALICE, Mark { epoch: 3, position: 7 }).sure);
}

#[test]
fn a_replay_is_complete_only_after_the_last_damage() {
    let lines: Vec<_> =
        (0..4).map(|number| kept(Some((3, 1 + u64::from(number))), number)).collect();
    let log = Log::new(Past { lines: lines.clone(), intact: 2 }, 99);
    let complete = |position| log.after(Mark { epoch: 3, position }).complete;
    assert_eq!([1, 2, 3, 4].map(complete), [false, true, true, true]);
    let log = Log::new(Past { lines, intact: 0 }, 99);
    assert!(!log.after(Mark { epoch: 3, position: 4 }).complete);
    assert_eq!(log.latest().position, POSITION_STEP);
    assert!(log.after(log.latest()).complete);
}

#[test]
fn lines_written_by_hand_get_stable_positions() {
    let log = restored(&[None, None]);
    assert_eq!(all(&log), [(99, POSITION_STEP - 1), (99, POSITION_STEP)]);
    assert_eq!(log.next, POSITION_STEP + 1);
    // The next run gives them the same positions, before a line that has its own.
    let log = restored(&[None, None, Some((99, POSITION_STEP + 1))]);
    assert_eq!(all(&log), [(99, POSITION_STEP - 1), (99, POSITION_STEP), (99, POSITION_STEP + 1)]);
    // So do lines of another log.
    let log = restored(&[Some((4, 9)), Some((4, 10)), Some((99, POSITION_STEP + 1))]);
    assert_eq!(all(&log), [(99, POSITION_STEP - 1), (99, POSITION_STEP), (99, POSITION_STEP + 1)]);
}

#[test]
fn a_history_without_usable_positions_begins_a_new_epoch() {
    for marks in [
        // The newest line was written by hand.
        &[Some((3, 5)), None][..],
        // There are too few positions below it.
        &[None, Some((3, 1))],
        &[Some((3, 4)), Some((3, 4)), Some((3, 1))],
        // There are no positions above it.
        &[Some((3, u64::MAX))],
        &[Some((3, 0))],
        &[Some((0, 5))],
    ] {
        let log = restored(marks);
        let expected: Vec<_> =
            (POSITION_STEP + 1 - marks.len() as u64..=POSITION_STEP).map(|it| (99, it)).collect();
        assert_eq!((all(&log), log.next), (expected, POSITION_STEP + 1), "{marks:?}");
    }
}
