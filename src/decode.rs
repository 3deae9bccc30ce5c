//! A datagram or stream as text, field by field: offset, name as in `proto.md`, value, and the
//! reason if it is rejected. No I/O; `protocol` does the decoding.

mod dump;
pub mod hex;

use crate::protocol::{
    ClientMessage, Datagram, DecodeError, Flags, HEADER_LEN, Head, MAGIC, Piece, Roll, RollEntry,
    ServerList, ServerMessage, Step, StreamReader, Trace, Traced, VERSION, clean, decode_message,
    encode_message, is_clean,
};
use crate::time::WallTime;
use std::fmt::Write;
use std::ops::Range;

/// Limit on the bytes shown beside a field.
const SHOWN: usize = 8;
/// Limit on byte strings shown in full as a value, such as cookies and tokens.
const SHORT: usize = 20;

/// The decoded text and the verdict.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// Lines for people, safe to print; the last one is the verdict.
    pub text: String,
    /// True if a receiver accepts the input.
    pub accepted: bool,
}

/// Decodes a datagram.
#[must_use]
pub fn datagram(bytes: &[u8]) -> Decoded {
    let mut table = Table::new(bytes);
    let trouble = table.datagram();
    let verdict = Datagram::decode(bytes);
    let text = match &verdict {
        Ok(datagram) => {
            format!(
                "accepted: {}, {}",
                count(bytes.len(), "byte"),
                count(datagram.frames().count(), "frame")
            )
        }
        Err(error) => {
            let why = match (error, trouble) {
                (DecodeError::Malformed(_) | DecodeError::NotCanonical(_), Some(trouble)) => {
                    format!("{error}: {trouble}")
                }
                _ => error.to_string(),
            };
            format!("rejected, {}: {why} (proto.md {})", name(error), clause(error))
        }
    };
    table.finish(&text, verdict.is_ok())
}

/// Decodes one direction of a TCP stream, from its first byte, up to the first incomplete record.
#[must_use]
pub fn stream(bytes: &[u8]) -> Decoded {
    let mut table = Table::new(bytes);
    let (mut reader, mut input, mut at) = (StreamReader::default(), bytes, 0);
    let (mut from_server, mut records) = (false, 0);
    loop {
        let piece = reader.next(&mut input);
        let end = bytes.len() - input.len();
        match piece {
            Ok(None) => break,
            Ok(Some(Piece::Preface(preface))) => {
                from_server = preface.flags.contains(Flags::FROM_SERVER);
                table.preface(at);
            }
            Ok(Some(Piece::Frame(_))) => {
                table.record(at, end, from_server);
                records += 1;
            }
            Err(error) => {
                let why = table.broken_piece(at, end, from_server, &error);
                let text = format!(
                    "rejected at byte {at}, {}: {why} (proto.md §11.2: the receiver hangs up)",
                    name(&error)
                );
                return table.finish(&text, false);
            }
        }
        at = end;
    }
    let rest = match bytes.len() - at {
        0 => String::new(),
        rest => format!("; the last {} are incomplete", count(rest, "byte")),
    };
    let text =
        format!("accepted: {}, {}{rest}", count(bytes.len(), "byte"), count(records, "record"));
    table.finish(&text, true)
}

/// The check in `proto.md` that failed.
#[must_use]
pub fn clause(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooShort(_) => "§8.1, check 1",
        DecodeError::TooLong => "§8.1, check 2",
        DecodeError::Magic(_) => "§8.1, check 3",
        DecodeError::Checksum { .. } => "§8.1, check 4",
        DecodeError::Version(_) => "§8.1, check 5",
        DecodeError::Flags(_) => "§8.1, check 6",
        DecodeError::Malformed(_) => "§8.1, check 7",
        DecodeError::NotCanonical(_) => "§8.1, check 8, and §2.3",
    }
}

/// The error's name in `proto.md` §8.1 and in the test vectors.
fn name(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::TooShort(_) => "TooShort",
        DecodeError::TooLong => "TooLong",
        DecodeError::Magic(_) => "Magic",
        DecodeError::Checksum { .. } => "Checksum",
        DecodeError::Version(_) => "Version",
        DecodeError::Flags(_) => "Flags",
        DecodeError::Malformed(_) => "Malformed",
        DecodeError::NotCanonical(_) => "NotCanonical",
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn flag_names(flags: Flags) -> String {
    let names = [(Flags::FROM_SERVER, "FROM_SERVER"), (Flags::ACK, "ACK")];
    let set = names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name);
    let mut all: Vec<_> = set.collect();
    if flags.has_unknown() {
        all.push("bits that are not defined");
    }
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// The acknowledged sequence numbers below the largest, descending.
fn acknowledged(acknowledgment: u32, bitmap: u64) -> String {
    let below = (0..64).filter(|bit| bitmap >> bit & 1 == 1);
    let numbers = below.map(|bit| acknowledgment.wrapping_sub(bit + 1).to_string());
    let numbers: Vec<_> = numbers.collect();
    if numbers.is_empty() { "no others".to_owned() } else { format!("also {}", numbers.join(" ")) }
}

/// The fault of a frame.
#[derive(Clone, Debug, thiserror::Error)]
enum Trouble {
    /// A field cannot be decoded.
    #[error("{0}")]
    Field(String),
    /// A number is longer than its canonical encoding.
    #[error("{0} has a shorter form")]
    NotCanonical(&'static str),
}

/// The text, one line per field.
struct Table<'a> {
    bytes: &'a [u8],
    text: String,
}

impl<'a> Table<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, text: format!("{:>6}  {:<25}  field\n", "offset", "bytes") }
    }

    fn finish(mut self, verdict: &str, accepted: bool) -> Decoded {
        self.text.push_str(verdict);
        Decoded { text: self.text, accepted }
    }

    /// Adds one line. A field that is cut off is left out.
    fn row(&mut self, at: Range<usize>, depth: usize, name: &str, value: &str) {
        let Some(bytes) = self.bytes.get(at.clone()) else { return };
        let mut shown = String::new();
        for (i, byte) in bytes.iter().take(SHOWN).enumerate() {
            let gap = if i == 0 { "" } else { " " };
            let _ = write!(shown, "{gap}{byte:02x}");
        }
        if bytes.len() > SHOWN {
            shown.push_str(" …");
        }
        let indent = "  ".repeat(depth);
        let line =
            format!("{:>6}  {shown:<25}  {:<16} {value}", at.start, format!("{indent}{name}"));
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn note(&mut self, text: &str) {
        let _ = writeln!(self.text, "{:>6}  {:<25}  ! {text}", "", "");
    }

    /// Adds all fields that can be read, also of a rejected datagram. Returns what is wrong with
    /// the frames.
    fn datagram(&mut self) -> Option<Trouble> {
        let bytes = self.bytes;
        // Pad a short datagram to a full header; `row` omits fields that are cut off.
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().max(HEADER_LEN), 0);
        let head = Head::read(&padded)?;
        self.row(0..2, 0, "magic", &format!("{:#06x}", head.magic));
        if head.magic != MAGIC {
            self.row(2..bytes.len(), 0, "(not decoded)", "");
            return None;
        }
        self.row(2..3, 0, "version", &head.version.to_string());
        self.row(3..4, 0, "flags", &flag_names(head.header.flags));
        let sum = match head.computed {
            _ if bytes.len() < HEADER_LEN => format!("{:#010x}", head.found),
            right if right == head.found => format!("{right:#010x}, right"),
            right => format!("{:#010x}, wrong: these bytes give {right:#010x}", head.found),
        };
        self.row(4..8, 0, "checksum", &sum);
        if head.version != VERSION {
            // The format after these fields is not defined for other versions (§11.1).
            self.row(8..bytes.len(), 0, "(not decoded)", "");
            return None;
        }
        self.fields_of_the_header(&head);
        let from_server = head.header.flags.contains(Flags::FROM_SERVER);
        let mut at = HEADER_LEN;
        while at < bytes.len() {
            match self.frame(at, bytes.len(), from_server) {
                Ok(end) => at = end,
                Err(trouble) => return Some(trouble),
            }
        }
        None
    }

    fn fields_of_the_header(&mut self, head: &Head) {
        let header = &head.header;
        let ack = header.flags.contains(Flags::ACK);
        let or_not =
            |text: String| if ack { text } else { "without ACK it does not count".to_owned() };
        self.row(8..16, 0, "session", &format!("{:#018x}", header.session));
        self.row(16..20, 0, "sequence", &header.sequence.to_string());
        self.row(20..24, 0, "acknowledgment", &or_not(header.acknowledgment.to_string()));
        let others = acknowledged(header.acknowledgment, header.ack_bitmap);
        self.row(24..32, 0, "ack_bitmap", &or_not(others));
        self.row(32..36, 0, "timestamp", &format!("{} µs", header.timestamp));
        let delay = match header.ack_delay {
            u16::MAX => "65535: 6.5535 s or more".to_owned(),
            delay => format!("{delay}: {}.{} ms", delay / 10, delay % 10),
        };
        self.row(36..38, 0, "ack_delay", &or_not(delay));
        self.row(38..40, 0, "window", &header.window.to_string());
    }

    /// Adds a frame of a datagram or record. Returns its end, or what is wrong with it.
    fn frame(&mut self, at: usize, end: usize, from_server: bool) -> Result<usize, Trouble> {
        let trace = Trace::frame(&self.bytes[..end], at);
        let part = trace.get("count").is_some();
        for step in &trace.steps {
            let depth = usize::from(step.name != "frame");
            self.step(step, depth);
            // A part of a message cannot be decoded alone.
            if let (Traced::Bytes(payload), "payload", false) = (step.value, step.name, part) {
                self.message(payload, step.at.end - payload.len()..step.at.end, from_server);
            }
        }
        if let Some(trouble) = trace.trouble {
            self.row(trace.end..end, 1, "(not decoded)", "");
            self.note(&format!("byte {}: {trouble}", trace.end));
            return Err(Trouble::Field(trouble));
        }
        let loose = trace.steps.iter().find(|step| step.loose);
        loose.map_or(Ok(trace.end), |step| Err(Trouble::NotCanonical(step.name)))
    }

    fn message(&mut self, payload: &[u8], at: Range<usize>, from_server: bool) {
        let trace = Trace::message(self.bytes, at.clone(), from_server);
        for step in &trace.steps {
            self.step(step, if step.name == "message" { 1 } else { 2 });
            match (step.value, step.name) {
                (Traced::Bytes(bytes), "roll") => self.roll(bytes, step.at.end - bytes.len()),
                (Traced::Bytes(bytes), "servers") => self.servers(bytes, step.at.end - bytes.len()),
                _ => {}
            }
        }
        let verdict = if from_server {
            decode_message::<ServerMessage<'_>>(payload).err()
        } else {
            decode_message::<ClientMessage<'_>>(payload).err()
        };
        let Some(error) = verdict else { return };
        self.row(trace.end..at.end, 2, "(not decoded)", "");
        let why = match trace.trouble {
            Some(trouble) => trouble,
            None if trace.end < at.end => format!("{} too many", count(at.end - trace.end, "byte")),
            None => "a number has a shorter form".to_owned(),
        };
        self.note(&format!(
            "unreadable, {}: {why} (proto.md §8.3: ignored, but acknowledged)",
            name(&error)
        ));
    }

    fn roll(&mut self, bytes: &[u8], mut at: usize) {
        for entry in Roll::parse(bytes).into_iter().flat_map(Roll::entries) {
            let RollEntry { peer, nickname, next } = entry;
            let end = at + encode_message(&entry).len();
            let value = format!("peer {peer}, \"{}\", next {next}", clean(nickname));
            self.row(at..end, 3, "entry", &value);
            at = end;
        }
    }

    fn servers(&mut self, bytes: &[u8], at: usize) {
        let list = ServerList::parse(bytes).unwrap_or_default();
        let entry = bytes.len() / list.addresses().count().max(1);
        for (index, address) in list.addresses().enumerate() {
            let at = at + index * entry;
            self.row(at..at + entry, 3, "entry", &address.to_string());
        }
    }

    fn step(&mut self, step: &Step<'_>, depth: usize) {
        self.row(step.at.clone(), depth, step.name, &value(step));
        if step.loose {
            self.note(&format!("{}: there is a shorter form (proto.md §2.3)", step.name));
        }
        if let Traced::Text(text) = step.value
            && !is_clean(text)
        {
            self.note(&format!(
                "{}: characters that no sender may send (proto.md §4.2)",
                step.name
            ));
        }
    }

    fn preface(&mut self, at: usize) {
        let Some(bytes) = self.bytes.get(at..at + 12) else { return };
        self.row(at..at + 2, 0, "magic", &format!("0x{:02x}{:02x}", bytes[0], bytes[1]));
        self.row(at + 2..at + 3, 0, "version", &bytes[2].to_string());
        self.row(at + 3..at + 4, 0, "flags", &flag_names(Flags(bytes[3])));
        let session: String = bytes[4..].iter().map(|byte| format!("{byte:02x}")).collect();
        self.row(at + 4..at + 12, 0, "session", &format!("0x{session}"));
    }

    fn length(&mut self, at: usize) -> Option<u16> {
        let length = u16::from_be_bytes(*self.bytes.get(at..)?.first_chunk()?);
        self.row(at..at + 2, 0, "length", &length.to_string());
        Some(length)
    }

    fn record(&mut self, at: usize, end: usize, from_server: bool) {
        self.length(at);
        let _ = self.frame(at + 2, end, from_server);
    }

    /// Adds the piece on which a receiver closes the connection. Returns the reason.
    fn broken_piece(
        &mut self,
        at: usize,
        end: usize,
        from_server: bool,
        error: &DecodeError,
    ) -> String {
        match error {
            DecodeError::TooLong => match self.length(at) {
                Some(length) => format!("a record has 1 to 1,160 bytes, not {length}"),
                None => error.to_string(),
            },
            DecodeError::Malformed(_) | DecodeError::NotCanonical(_) => {
                self.length(at);
                match self.frame(at + 2, end, from_server) {
                    Err(trouble) => trouble.to_string(),
                    Ok(frame) => {
                        self.row(frame..end, 1, "(not decoded)", "");
                        format!("{} after the record's frame", count(end - frame, "byte"))
                    }
                }
            }
            _ => {
                self.preface(at);
                error.to_string()
            }
        }
    }
}

fn value(step: &Step<'_>) -> String {
    match step.value {
        Traced::Number(number) if is_moment(step.name, number) => {
            let moment = u64::try_from(number).map(WallTime);
            moment.map_or_else(|_| number.to_string(), |moment| format!("{number}, {moment}"))
        }
        Traced::Number(number) => number.to_string(),
        Traced::Bool(value) => value.to_string(),
        Traced::Text(text) => format!("\"{}\"", clean(text)),
        Traced::Name(name, number) => format!("{name} ({number})"),
        Traced::Bytes(bytes) if is_opaque(step.name) && (1..=SHORT).contains(&bytes.len()) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("<{hex}>")
        }
        Traced::Bytes(bytes) => count(bytes.len(), "byte"),
    }
}

/// Returns true for microseconds since 1970 (§6); zero, and counters of the same name, are not.
fn is_moment(name: &str, number: i128) -> bool {
    ["at", "sent"].contains(&name) && number > u32::MAX.into()
}

/// Returns true for byte strings that are values; others are padding or messages.
fn is_opaque(name: &str) -> bool {
    ["cookie", "resume", "token", "taken"].contains(&name)
}
