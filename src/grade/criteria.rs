//! The table of criteria, in the order in which a client is written.

use super::Error;
use super::judge::{Judge, acknowledging, form, joining, optional, staying, talking};

/// A criterion.
#[derive(Clone, Copy, Debug)]
pub struct Criterion {
    /// Its short name.
    pub id: &'static str,
    /// Its title.
    pub name: &'static str,
    /// Points for a client that satisfies it.
    pub points: u32,
    /// The section of `proto.md`.
    pub section: &'static str,
    /// The part of `proto.md`: 1 or 2; 3 is optional, and judged only if it is named; 4 is a
    /// plan's own.
    pub part: u8,
    /// Criteria that it needs: it is not judged if one of them did not pass.
    pub needs: &'static [&'static str],
    pub(super) scenarios: &'static [&'static str],
    pub(super) judge: Judge,
}

/// A row of the table.
macro_rules! criterion {
    ($part:literal $id:literal $points:literal $section:literal $name:literal
     needs $needs:expr; in $scenarios:expr; $judge:expr) => {
        Criterion {
            id: $id,
            name: $name,
            points: $points,
            section: $section,
            part: $part,
            needs: &$needs,
            scenarios: &$scenarios,
            judge: $judge,
        }
    };
}

/// Scenarios in which nothing is forged, and nothing overtakes `Welcome`.
const HONEST: [&str; 7] = ["talk", "idle", "loss", "order", "twice", "parts", "rate"];

/// All criteria.
#[rustfmt::skip]
pub const CRITERIA: &[Criterion] = &[
    criterion!(1 "header" 3 "§I.3" "Header and checksum"
        needs []; in ["silent", "talk", "idle", "text"]; form::header),
    criterion!(1 "frames" 2 "§I.2" "Frames and messages in their one encoding"
        needs ["header"]; in ["silent", "talk", "idle", "text"]; form::frames),
    criterion!(1 "join" 3 "§I.5" "Join: nonce, name, padding"
        needs ["frames"]; in ["silent", "lossy-join"]; joining::join),
    criterion!(1 "join-retry" 2 "§I.5" "Join again, less and less often"
        needs ["join"]; in ["silent"]; joining::retry),
    criterion!(1 "give-up" 1 "§I.5" "Giving up where nobody answers"
        needs ["join"]; in ["give-up"]; joining::give_up),
    criterion!(1 "cookie" 3 "§I.5" "The cookie of Challenge"
        needs ["join"]; in ["lossy-join"]; joining::cookie),
    criterion!(1 "nonce" 2 "§I.5" "Answers to others are ignored"
        needs ["cookie"]; in ["lossy-join"]; joining::nonce),
    criterion!(1 "welcome" 2 "§I.5" "The session begins with Welcome"
        needs ["cookie", "nonce"]; in ["lossy-join"]; joining::welcome),
    criterion!(1 "refused" 1 "§I.4" "Refused is shown"
        needs ["cookie"]; in ["refused"]; joining::refused),
    criterion!(1 "sequence" 2 "§I.3" "A new sequence number for each datagram"
        needs ["cookie"]; in ["talk", "idle", "loss", "lossy-join"]; form::sequence),
    criterion!(1 "size" 1 "§I.3" "Datagrams of 548 bytes at most"
        needs ["cookie"]; in ["talk", "text"]; form::size),
    criterion!(1 "ack-number" 3 "§I.6" "The acknowledgment number"
        needs ["cookie"]; in HONEST; acknowledging::number),
    criterion!(1 "ack-bitmap" 3 "§I.6" "The acknowledgment bitmap"
        needs ["ack-number"]; in HONEST; acknowledging::bitmap),
    criterion!(1 "ack-delay" 1 "§I.3" "The acknowledgment delay"
        needs ["ack-number"]; in ["talk", "order", "idle"]; acknowledging::delay),
    criterion!(1 "ack-prompt" 2 "§I.6" "Every message is acknowledged, in time"
        needs ["ack-bitmap"]; in ["talk", "order"]; acknowledging::prompt),
    criterion!(1 "ack-only" 2 "§I.6" "Acknowledgments are not acknowledged"
        needs ["ack-number"]; in ["idle"]; acknowledging::only_eliciting),
    criterion!(1 "ack-duplicate" 2 "§I.6" "A duplicate is acknowledged again"
        needs ["ack-prompt"]; in ["twice"]; acknowledging::duplicate),
    criterion!(1 "hear" 3 "§I.7" "Lines are printed"
        needs ["cookie"]; in ["talk"]; talking::hear),
    criterion!(1 "order" 3 "§I.7" "Order, whatever the network does"
        needs ["hear", "ack-prompt"]; in ["order"]; talking::order),
    criterion!(1 "once" 3 "§I.7" "Each message once"
        needs ["hear"]; in ["order"]; talking::once),
    criterion!(1 "window-field" 1 "§I.3" "The window that is announced"
        needs ["ack-number"]; in ["talk", "order", "parts"]; acknowledging::window),
    criterion!(1 "window" 3 "§I.7" "255 messages ahead of a lost one"
        needs ["hear", "ack-prompt", "window-field", "order", "once"]; in ["window"];
        talking::window),
    criterion!(1 "parts" 2 "§I.7" "Messages in parts"
        needs ["hear", "ack-prompt"]; in ["parts"]; talking::parts),
    criterion!(1 "clean" 2 "§I.7" "Nothing harmful is printed"
        needs ["hear"]; in ["text"]; talking::clean_output),
    criterion!(1 "say" 3 "§I.8" "Lines are said, once and in order"
        needs ["cookie"]; in ["talk"]; talking::say),
    criterion!(1 "number" 1 "§I.8" "Numbers of lines, ids of messages"
        needs ["say"]; in ["talk"]; talking::number),
    criterion!(1 "clean-text" 1 "§I.8" "Texts are cleaned, blank ones left out"
        needs ["say"]; in ["text"]; talking::clean_text),
    criterion!(1 "cut" 2 "§I.8" "Long texts are cut"
        needs ["say", "clean-text"]; in ["text"]; talking::cut),
    criterion!(1 "retransmit" 3 "§I.8" "A lost line is sent again"
        needs ["say", "sequence"]; in ["loss"]; talking::retransmit),
    criterion!(1 "same-id" 2 "§I.8" "With the same id, in a new datagram"
        needs ["retransmit"]; in ["loss"]; talking::same_id),
    criterion!(1 "backoff" 1 "§I.8" "And not too often"
        needs ["retransmit"]; in ["loss"]; talking::backoff),
    criterion!(1 "stop" 1 "§I.8" "Until it is acknowledged"
        needs ["same-id"]; in ["loss"]; talking::stop),
    criterion!(1 "rate" 2 "§I.8" "The rate limit of Welcome"
        needs ["say"]; in ["rate"]; talking::rate),
    criterion!(1 "whisper" 1 "§I.7" "Whispers are printed"
        needs ["hear"]; in ["talk"]; talking::whisper),
    criterion!(1 "heartbeat" 2 "§I.9" "The heartbeat"
        needs ["cookie"]; in ["idle"]; staying::heartbeat),
    criterion!(1 "leave" 2 "§I.10" "Leaving in order"
        needs ["number", "hear", "whisper"]; in ["talk"]; staying::leave),
    criterion!(1 "closing" 1 "§I.9" "Closing is acknowledged"
        needs ["ack-prompt"]; in ["shutdown"]; staying::closing),
    criterion!(1 "invalid" 3 "§I.3" "Invalid datagrams are dropped"
        needs ["hear"]; in ["forged"]; staying::invalid),
    criterion!(1 "foreign" 2 "§I.3" "Foreign datagrams are dropped"
        needs ["hear"]; in ["forged"]; staying::foreign),
    criterion!(1 "reset" 1 "§I.9" "Reset ends the session"
        needs ["hear", "say"]; in ["rejoin"]; staying::reset),
    criterion!(2 "rejoin" 6 "§7.9" "Coming back with the token"
        needs ["reset", "retransmit", "ack-prompt"]; in ["rejoin"]; staying::rejoin),
    criterion!(2 "no-double" 3 "§7.9" "No line twice"
        needs ["rejoin"]; in ["rejoin"]; staying::no_double),
    criterion!(2 "resend" 3 "§7.9" "An unconfirmed line is said again"
        needs ["rejoin"]; in ["lost-line"]; staying::resend),
    criterion!(2 "roaming" 3 "§7.7" "Another address: the path challenge"
        needs ["hear", "same-id"]; in ["roaming"]; staying::roaming),
    criterion!(2 "slow" 3 "§7.14" "Slow is obeyed"
        needs ["say"]; in ["slow"]; talking::slow),
    criterion!(2 "version" 2 "§11.1" "Another version is reported"
        needs ["join"]; in ["version"]; joining::version),
    criterion!(3 "tell" 2 "§6.1" "Whispers are said (/msg NAME TEXT)"
        needs ["say"]; in ["tell"]; optional::tell),
    criterion!(3 "tcp" 4 "§11.2" "Lines over TCP (tcp://HOST:PORT)"
        needs ["hear", "say"]; in ["tcp"]; optional::tcp),
    criterion!(3 "tcp-cut" 4 "§11.2" "Records over TCP, cut anywhere"
        needs ["tcp"]; in ["tcp-cut"]; optional::tcp),
];

/// The part of a plan's own criteria.
pub(super) const OWN: u8 = 4;

/// These criteria, with all that they need, in the order of the table.
pub(super) fn with_needs(
    table: &[&'static Criterion],
    only: &[String],
) -> Result<Vec<&'static Criterion>, Error> {
    let mut wanted = Vec::new();
    for name in only {
        let part = name.strip_prefix("part").and_then(|part| part.parse().ok());
        let named = |it: &&Criterion| Some(it.part) == part || it.id == name;
        let before = wanted.len();
        wanted.extend(table.iter().copied().filter(named).map(|it| it.id));
        if wanted.len() == before {
            return Err(Error::Unknown(crate::protocol::clean(name).into_owned()));
        }
    }
    let mut at = 0;
    while let Some(id) = wanted.get(at).copied() {
        wanted.extend(table.iter().filter(|it| it.id == id).flat_map(|it| it.needs));
        wanted.sort_unstable();
        wanted.dedup();
        at = if wanted.get(at) == Some(&id) { at + 1 } else { 0 };
    }
    Ok(table.iter().filter(|it| wanted.contains(&it.id)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::super::scenario::SCENARIOS;
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (at, it) in CRITERIA.iter().enumerate() {
            let earlier: Vec<_> = CRITERIA[..at].iter().map(|it| it.id).collect();
            assert!(!earlier.contains(&it.id), "{} twice", it.id);
            let later: Vec<_> = it.needs.iter().filter(|id| !earlier.contains(id)).collect();
            assert!(later.is_empty(), "{} needs {later:?}, which come later", it.id);
            let known = |name| SCENARIOS.iter().any(|scenario| scenario.name == name);
            assert!(it.scenarios.iter().copied().all(known), "{}: {:?}", it.id, it.scenarios);
            assert_eq!(it.part == 1, it.section.starts_with("§I."), "{}", it.id);
        }
        let points = |part| CRITERIA.iter().filter(|it| it.part == part).map(|it| it.points).sum();
        let points: [u32; 2] = [1, 2].map(points);
        assert_eq!(points, [80, 20]);
    }

    #[test]
    fn a_criterion_brings_what_it_needs() {
        let table: Vec<_> = CRITERIA.iter().collect();
        let ids = |only: &[&str]| {
            let only: Vec<_> = only.iter().map(|it| (*it).to_owned()).collect();
            with_needs(&table, &only).unwrap().iter().map(|it| it.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&["give-up"]), ["header", "frames", "join", "give-up"]);
        assert!(ids(&["tcp-cut"]).ends_with(&["say", "tcp", "tcp-cut"]));
        assert!(with_needs(&table, &["no\u{1b}".to_owned()]).is_err());
    }
}
