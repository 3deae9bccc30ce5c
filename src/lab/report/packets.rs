//! The packets of a run's messages in its capture, for the ladder.

use super::Finished;
use super::text::{count, escape, list, ms};
use crate::lab::capture::{Journey, Journeys, Leg, Step, Wait};
use crate::lab::metrics::HELD_FROM_US;
use crate::lab::record::{Record, TRACE, Trace};
use std::fs::File;
use std::io::{self, Read};

/// Limit on the bytes of a capture that are read: a capture from elsewhere may have any length.
const MAX_BYTES: u64 = 256 << 20;
/// Limit on the packets named for a message in one direction.
const MAX_NAMED: usize = 12;

/// Where a message can wait for an earlier one.
const PLACES: [&str; 2] = ["at the server", "at the reader"];

/// The capture of a run, with the packets of each message.
pub(super) struct Followed {
    journeys: Journeys,
    /// The capture as an address on the page.
    pub(super) link: String,
    /// The error that ended the reading of it early.
    pub(super) flaw: Option<String>,
}

/// The packets of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Packets {
    /// To the server and from it: `45 (dropped), 61 → 66`.
    pub(super) up: String,
    pub(super) down: String,
    /// Where it waited for earlier ones, in words.
    pub(super) waits: String,
    /// Whether it waited at the server, and at the reader.
    pub(super) waited: [bool; 2],
}

impl Followed {
    /// `None` if the run has no capture.
    pub(super) fn read(run: &Finished) -> Option<Self> {
        run.info.trace?;
        let link = match run.dir.file_name().filter(|_| run.is_in_lab) {
            Some(name) => format!("runs/{}/{TRACE}", percent_encoded(&name.to_string_lossy())),
            None => TRACE.to_owned(),
        };
        let mut bytes = Vec::new();
        let file = File::open(run.dir.join(TRACE));
        let read = file.and_then(|it| it.take(MAX_BYTES).read_to_end(&mut bytes));
        let (journeys, damage) = Journeys::read(&bytes);
        let flaw = match read.map_err(|error: io::Error| error.to_string()) {
            Err(cause) => Some(cause),
            Ok(_) => damage.map(|it| it.to_string()),
        };
        Some(Self { journeys, link, flaw })
    }
}

impl Packets {
    /// The packets of a row's message. It waited for an earlier one if the row says so, or, as over
    /// TCP, the capture.
    pub(super) fn of(record: &Record, capture: Option<&Followed>) -> Self {
        let Journey { up, down } = capture.map(|it| it.journeys.of(record)).unwrap_or_default();
        let in_capture = [up, down].map(|leg| leg.and_then(|it| it.wait).filter(is_long));
        let at_reader =
            record.delivered_us.zip(record.arrived_us).map(|(to, from)| to - from.min(to));
        let in_row =
            [record.server_held_us, at_reader].map(|it| it.filter(|it| *it >= HELD_FROM_US));
        let mut waits = Vec::new();
        for (at, place) in PLACES.into_iter().enumerate() {
            match (in_capture[at], in_row[at]) {
                (Some(wait), _) => waits.push(explained(wait, place)),
                (None, Some(micros)) => waits.push(format!("{} {place}", ms(micros as f64 / 1e3))),
                (None, None) => {}
            }
        }
        let waited = [0, 1].map(|at| in_capture[at].is_some() || in_row[at].is_some());
        Self { up: named(up), down: named(down), waits: list(&waits), waited }
    }

    /// The packets in a sentence.
    pub(super) fn sentence(&self) -> String {
        let part = |name: &str, it: &str| {
            if it.is_empty() { String::new() } else { format!("; {name} {it}") }
        };
        part("to the server in packets", &self.up)
            + &part("from it in", &self.down)
            + &part("waited", &self.waits)
    }
}

/// The gaps in the captures, a sentence for each run that has one.
pub(super) fn left_out(runs: &[Finished]) -> Vec<String> {
    let sentence = |run: &Finished| {
        let Trace { beyond_limit, too_slow, .. } = run.info.trace?;
        let beyond = (beyond_limit > 0)
            .then(|| format!("{} after it had reached its largest size", packets(beyond_limit)));
        let slow = (too_slow > 0)
            .then(|| format!("{} that the machine wrote too slowly", packets(too_slow)));
        let missing: Vec<_> = beyond.into_iter().chain(slow).collect();
        (!missing.is_empty())
            .then(|| format!("the capture of {} lacks {}", run.name, list(&missing)))
    };
    runs.iter().filter_map(sentence).collect()
}

fn packets(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "packet")
}

fn is_long(wait: &Wait) -> bool {
    wait.nanos >= HELD_FROM_US * 1_000
}

fn explained(Wait { nanos, frame, again }: Wait, place: &str) -> String {
    let why = if again { "sent again" } else { "overtaken" };
    format!("{} {place} for packet {frame}, {why}", ms(nanos as f64 / 1e6))
}

/// The packets of a leg. After an arrow: the packet as it left the router towards its receiver.
fn named(leg: Option<&Leg>) -> String {
    let mut text = String::new();
    let seen = leg.map(|it| &it.seen[..]).unwrap_or_default();
    for (at, it) in seen.iter().take(MAX_NAMED).enumerate() {
        text += match (at, it.step) {
            (_, Step::Left) => " → ",
            (0, _) => "",
            _ => ", ",
        };
        text += &it.frame.to_string();
        text += if it.step == Step::Dropped { " (dropped)" } else { "" };
    }
    if seen.len() > MAX_NAMED {
        text += &format!(" and {} more", seen.len() - MAX_NAMED);
    }
    text.trim_start().to_owned()
}

/// A path's component in an address (RFC 3986 §2.1).
fn percent_encoded(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out += &format!("%{byte:02X}"),
        }
    }
    out
}

/// A row of the table: the mode, the message, when it was due, how long it took, its packets.
pub(super) struct Row<'a> {
    pub(super) class: String,
    pub(super) mode: String,
    pub(super) id: u64,
    pub(super) due: f64,
    pub(super) took: Option<f64>,
    pub(super) packets: &'a Packets,
}

/// The table of the lost and late messages, and the links to the captures.
pub(super) fn table(rows: &[Row<'_>], captures: &[(String, &Followed)]) -> String {
    if captures.is_empty() {
        return String::new();
    }
    let links = captures.iter().map(|(mode, it)| {
        let flaw = it.flaw.as_ref().map(|why| format!(" ({})", escape(why))).unwrap_or_default();
        format!("<a href=\"{}\">{}</a>{flaw}", escape(&it.link), escape(mode))
    });
    let mut out = format!(
        "<details><summary>Packets of the lost and late messages</summary>\n<p class=\"note\">The \
         numbers are those of Wireshark in the captures: {}. An arrow leads to where a packet left \
         the network.</p>\n<div class=\"wide\" role=\"region\" tabindex=\"0\" \
         aria-label=\"Packets\"><table>\n<thead><tr>",
        list(&links.collect::<Vec<_>>())
    );
    for head in ["", "message", "due", "took", "to the server", "from the server", "waited"] {
        out += &format!("<th scope=\"col\">{head}</th>");
    }
    out += "</tr></thead>\n<tbody>\n";
    for row in rows {
        let Packets { up, down, waits, .. } = row.packets;
        out += &format!("<tr><th scope=\"row\" class=\"{}\">{}</th>", row.class, escape(&row.mode));
        let took = row.took.map_or_else(|| "lost".to_owned(), ms);
        for cell in [&row.id.to_string(), &ms(row.due), &took, up, down, waits] {
            out += &format!("<td>{}</td>", escape(cell));
        }
        out += "</tr>\n";
    }
    out + "</tbody></table></div></details>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::capture::Sighting;

    #[test]
    fn packets_are_named_in_their_order() {
        let seen = |frame, step| Sighting { frame, nanos: 0, step };
        let seen = vec![
            seen(4, Step::Dropped),
            seen(7, Step::Entered),
            seen(9, Step::Left),
            seen(11, Step::Entered),
        ];
        let leg = Leg { seen, ..Leg::default() };
        assert_eq!(named(Some(&leg)), "4 (dropped), 7 → 9, 11");
        assert_eq!(named(None), "");
    }

    #[test]
    fn a_name_cannot_leave_its_address() {
        assert_eq!(percent_encoded("loss5-a_b.c"), "loss5-a_b.c");
        assert_eq!(percent_encoded("a\"/ü"), "a%22%2F%C3%BC");
    }
}
