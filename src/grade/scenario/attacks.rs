//! Forged datagrams, another address, another version, and lost sessions.

use super::{Room, STRANGER, heard, joined, open, say_of, shows};
use crate::grade::case::Case;
use crate::grade::judge::model::next_id;
use crate::grade::referee::{Referee, Rule, Way};
use crate::grade::trace::Trace;
use crate::grade::{Error, edit};
use crate::protocol::{Datagram, Flags, Frame};
use std::ffi::OsString;
use std::time::Duration;

/// The defect of a forged datagram, and the function that puts it into a valid one.
type Forgery = (&'static str, fn(Vec<u8>) -> Vec<u8>);

/// Datagrams that every receiver drops (§8.1).
pub(in crate::grade) const FORGERIES: &[Forgery] = &[
    ("a wrong checksum", |mut bytes| {
        bytes[5] ^= 0x10;
        bytes
    }),
    ("a wrong magic", |bytes| resealed(bytes, |it| it[0] = 0x44)),
    ("version 2", |bytes| resealed(bytes, |it| it[2] = 2)),
    ("no FROM_SERVER flag", |bytes| resealed(bytes, |it| it[3] &= !Flags::FROM_SERVER.0)),
    ("an unknown flag", |bytes| resealed(bytes, |it| it[3] |= 0x40)),
    ("another session", |bytes| resealed(bytes, |it| it[8] ^= 0x55)),
    ("an unknown frame", |bytes| resealed(bytes, |it| it.push(31))),
    ("a frame that is cut", |bytes| resealed(bytes, |it| it.extend([4, 9, 200, 1]))),
    ("1,201 bytes", |bytes| {
        resealed(bytes, |it| {
            let missing = 1_201 - it.len() - 4;
            it.extend([0, 251]);
            it.extend((missing as u16).to_be_bytes());
            it.resize(1_201, 0);
        })
    }),
];

/// The same bytes after a change, with the checksum that belongs to them.
fn resealed(mut bytes: Vec<u8>, change: fn(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut bytes);
    let sum = crate::protocol::checksum(&bytes);
    bytes[4..8].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// The text of forgery number `n`.
pub(in crate::grade) fn forged_text(case: &Case, n: usize) -> String {
    case.text("forged", n)
}

/// The sequence number of forgery number `n`.
pub(in crate::grade) fn forged_sequence(n: usize) -> u32 {
    1_000_000 + 2_000 * n as u32
}

/// Damaged and foreign datagrams arrive.
pub(super) fn forged(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if !is_in {
        return Ok(referee.finish());
    }
    referee.teach(&case.text("before", 0));
    if !referee.wait(|it| shows(it, &case.text("before", 0))) {
        return Ok(referee.finish());
    }
    let session = referee.session();
    let line = |referee: &Referee<'_>, n| {
        let (sequence, id) = (forged_sequence(n), next_id(&referee.trace));
        edit::line(session, sequence, id, "stranger", &forged_text(case, n))
    };
    for (n, (_, forge)) in FORGERIES.iter().enumerate() {
        let bytes = forge(line(&referee, n));
        referee.forge(bytes);
    }
    let n = FORGERIES.len();
    let bytes = line(&referee, n);
    referee.forge_from_elsewhere(bytes);
    referee.forge_from_elsewhere(edit::stateless(session, &Frame::Reset));
    referee.forge(edit::stateless(STRANGER, &Frame::Reset));
    referee.mark("forged");
    let after = case.text("after", 0);
    referee.teach(&after);
    referee.wait(|it| shows(it, &after));
    Ok(referee.finish())
}

/// The server sends a path challenge. Then the client's address changes, as behind a NAT.
pub(super) fn roaming(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if is_in {
        let bytes = edit::stateless(referee.session(), &Frame::PathChallenge(cookie(case)));
        referee.mark("challenge");
        referee.forge(bytes);
        let is_answered = referee.wait_for(Duration::from_secs(4), |it| {
            it.sent().any(|seen| seen.frames.contains(&Frame::PathResponse(cookie(case))))
        });
        if is_answered {
            referee.rebind();
            referee.type_line(&case.text("moved", 0));
            if referee.wait(|it| heard(it, &case.text("moved", 0))) {
                referee.teach(&case.text("moved", 1));
                referee.wait(|it| shows(it, &case.text("moved", 1)));
            }
        }
    }
    Ok(referee.finish())
}

/// The cookie of the path challenge.
pub(in crate::grade) fn cookie(case: &Case) -> [u8; 8] {
    std::array::from_fn(|i| case.seed[i])
}

/// The server speaks another version only.
pub(super) fn version(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let mut referee = Referee::open(case, &Room::default(), &[])?;
    referee.start(command, Box::new(|_, _| Vec::new()))?;
    if referee.wait(|it| it.joins().next().is_some()) {
        let refused = Frame::Refused {
            nonce: 0,
            reason: crate::protocol::Refusal::Version,
            detail: "this server speaks version 9",
        };
        let bytes = resealed(edit::stateless(0, &refused), |it| it[2] = 9);
        referee.mark("version");
        referee.forge(bytes);
        referee.wait_for(Duration::from_secs(5), |it| it.end().is_some());
    }
    Ok(referee.finish())
}

/// The rule of a server that has forgotten a session: the hub, which has not, sends nothing in it
/// and hears nothing of it.
fn forgotten(session: u64) -> Rule {
    Box::new(move |_, bytes| match Datagram::decode(&bytes) {
        Ok(it) if it.header.session == session => Vec::new(),
        _ => vec![bytes],
    })
}

/// The server forgets the session, and the client's last line has not arrived.
pub(super) fn lost_line(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if !is_in {
        return Ok(referee.finish());
    }
    let line = case.text("doubtful", 0);
    referee.rule(Box::new(|_, _| Vec::new()));
    referee.type_line(&line);
    if referee.wait(|it| it.ups().any(|up| say_of(up.bytes).is_some())) {
        let session = referee.session();
        referee.rule(forgotten(session));
        referee.mark("reset");
        referee.forge(edit::stateless(session, &Frame::Reset));
        referee.wait(|it| heard(it, &line) || it.end().is_some());
    }
    Ok(referee.finish())
}

/// The server forgets the session. The client's last line has arrived unacknowledged.
pub(super) fn rejoin(command: &[OsString], case: &Case) -> Result<Trace, Error> {
    let (mut referee, is_in) = joined(command, case, &Room::default(), open())?;
    if !is_in {
        return Ok(referee.finish());
    }
    for n in 0..2 {
        referee.teach(&case.text("old", n));
        referee.wait(|it| shows(it, &case.text("old", n)));
    }
    let [arrived, later] = [0, 1].map(|n| case.text("doubtful", n));
    // From here on the client hears nothing.
    referee.rule(Box::new(|way, bytes| if way == Way::Up { vec![bytes] } else { Vec::new() }));
    referee.type_line(&arrived);
    if !referee.wait(|it| heard(it, &arrived)) {
        return Ok(referee.finish());
    }
    referee.rule(Box::new(|_, _| Vec::new()));
    referee.teach(&case.text("missed", 0));
    let session = referee.session();
    referee.rule(forgotten(session));
    referee.mark("reset");
    referee.forge(edit::stateless(session, &Frame::Reset));
    let is_back = |it: &Trace| {
        let mark = it.mark("reset").map_or(usize::MAX, |(index, _)| index);
        it.end().is_some() || it.sent().any(|up| up.index > mark && up.header.session != session)
    };
    if referee.wait(is_back) && referee.trace.end().is_none() {
        referee.type_line(&later);
        referee.wait(|it| heard(it, &later));
        referee.teach(&case.text("new", 0));
        referee.wait(|it| shows(it, &case.text("new", 0)));
    }
    Ok(referee.finish())
}
