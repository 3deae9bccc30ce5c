//! Reads and writes the files of golden vectors, of datagrams as well as of streams, and formats
//! the meaning of a frame and its message as text. `proto.md` §13.

use chatagram::protocol::{
    ClientMessage, Flags, Frame, ServerMessage, decode_message, encode_message,
};
use std::fmt::{Debug, Write};
use std::fs;
use std::path::PathBuf;
use std::sync::Once;

/// A file of vectors.
pub(crate) struct Group {
    pub(crate) file: &'static str,
    pub(crate) about: &'static str,
    pub(crate) vectors: Vec<Vector>,
}

/// One datagram or stream and its purpose. The decoder says what it means, or why it is rejected.
pub(crate) struct Vector {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn vector(name: &'static str, about: &'static str, bytes: Vec<u8>) -> Vector {
    Vector { name, about, bytes }
}

/// A vector as read from its file.
pub(crate) struct Golden {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    pub(crate) meaning: String,
}

impl Golden {
    pub(crate) fn is_valid(&self) -> bool {
        !self.meaning.lines().any(|line| line.starts_with("rejected"))
    }
}

fn path(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(file).with_extension("txt")
}

/// The vectors of a file.
pub(crate) fn read(file: &str) -> Vec<Golden> {
    let text = fs::read_to_string(path(file)).expect("set CHATAGRAM_BLESS=1 to write the files");
    let entries = text.split("\nvector ").skip(1).map(|part| {
        let (name, rest) = part.split_once('\n').expect("a name");
        let (_, rest) = rest.split_once("bytes\n").expect("bytes");
        let (hex, rest) = rest.split_once("meaning\n").expect("a meaning");
        let hex: String = hex.split_whitespace().collect();
        let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16));
        let meaning = rest.lines().map(str::trim).filter(|line| !line.is_empty());
        Golden {
            name: name.to_owned(),
            bytes: bytes.collect::<Result<_, _>>().expect("hex"),
            meaning: meaning.collect::<Vec<_>>().join("\n"),
        }
    });
    entries.collect()
}

/// Writes the files anew, once, if `CHATAGRAM_BLESS` asks for it.
pub(crate) fn bless(groups: &[Group], meaning: fn(&[u8]) -> String) {
    static BLESS: Once = Once::new();
    if std::env::var_os("CHATAGRAM_BLESS").is_some() {
        BLESS.call_once(|| {
            for group in groups {
                fs::write(path(group.file), render(group, meaning)).unwrap();
            }
        });
    }
}

/// True if the file holds what would be written now.
pub(crate) fn is_current(group: &Group, meaning: fn(&[u8]) -> String) -> bool {
    fs::read_to_string(path(group.file)).unwrap_or_default() == render(group, meaning)
}

fn render(group: &Group, meaning: fn(&[u8]) -> String) -> String {
    let mut text = String::new();
    for line in group.about.lines() {
        writeln!(text, "# {line}").unwrap();
    }
    text.push_str("# proto.md, section 13, says how to read this file.\n");
    for vector in &group.vectors {
        writeln!(text, "\nvector {}", vector.name).unwrap();
        for line in vector.about.lines() {
            writeln!(text, "# {line}").unwrap();
        }
        text.push_str("bytes\n");
        for row in vector.bytes.chunks(32) {
            for (i, byte) in row.iter().enumerate() {
                let gap = if i == 0 {
                    "  "
                } else if i % 4 == 0 {
                    " "
                } else {
                    ""
                };
                write!(text, "{gap}{byte:02x}").unwrap();
            }
            text.push('\n');
        }
        text.push_str("meaning\n");
        for line in meaning(&vector.bytes).lines() {
            writeln!(text, "  {line}").unwrap();
        }
    }
    text
}

/// The flags that are set.
pub(crate) fn flag_names(flags: Flags) -> String {
    let names = [(Flags::FROM_SERVER, "FROM_SERVER"), (Flags::ACK, "ACK")];
    let names = names.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, name)| *name);
    names.collect::<Vec<_>>().join(", ")
}

/// The meaning of a frame and its message.
pub(crate) fn frame_line(frame: &Frame<'_>, from_server: bool) -> String {
    let carried = |payload| if from_server { server(payload) } else { client(payload) };
    match frame {
        Frame::Padding(bytes) => format!("Padding of {} bytes", bytes.len()),
        Frame::Once { payload } => format!("Once: {}", carried(payload)),
        Frame::Unordered { id, payload } => format!("Unordered {id}: {}", carried(payload)),
        Frame::Ordered { id, payload } => format!("Ordered {id}: {}", carried(payload)),
        frame => in_hex(frame),
    }
}

fn client(payload: &[u8]) -> String {
    match decode_message::<ClientMessage<'_>>(payload) {
        Ok(message) => in_hex(&message),
        Err(error) => format!("unreadable {error:?}"),
    }
}

fn server(payload: &[u8]) -> String {
    match decode_message::<ServerMessage<'_>>(payload) {
        Ok(message) => in_hex(&message),
        Err(error) => format!("unreadable {error:?}"),
    }
}

/// The debug format, with byte strings in hexadecimal. Texts may contain brackets.
fn in_hex(value: &impl Debug) -> String {
    let text = flat(&format!("{value:?}"));
    let mut rest = &*text;
    let mut out = String::new();
    while let Some((before, after)) = rest.split_once('[') {
        out.push_str(before);
        let bytes = |list: &str| -> Option<Vec<u8>> {
            let numbers = list.split(", ").filter(|number| !number.is_empty());
            numbers.map(|number| number.parse().ok()).collect()
        };
        let list = after.split_once(']').and_then(|(list, after)| Some((bytes(list)?, after)));
        let Some((list, after)) = list else {
            out.push('[');
            rest = after;
            continue;
        };
        out.push('<');
        for byte in list {
            write!(out, "{byte:02x}").unwrap();
        }
        out.push('>');
        rest = after;
    }
    out + rest
}

/// The debug format without the names of payload types: the wire has one list of fields.
fn flat(text: &str) -> String {
    let is_name = |name: &str| name.chars().all(char::is_alphanumeric);
    let payload = text.split_once('(').filter(|(variant, _)| is_name(variant));
    if let Some((variant, rest)) = payload
        && let Some((name, fields)) = rest.strip_suffix(')').and_then(|it| it.split_once(' '))
        && is_name(name)
    {
        return format!("{variant} {fields}");
    }
    for nested in ["part: Part { ", "server: ServerCounters { "] {
        if let Some((before, after)) = text.split_once(nested) {
            return format!("{before}{}", after.strip_suffix(" }").unwrap());
        }
    }
    text.to_owned()
}

/// Encodes again what the decoder read from a frame and its message.
pub(crate) fn written_again(
    frame: Frame<'_>,
    from_server: bool,
    write: impl FnOnce(&Frame<'_>) -> bool,
) -> bool {
    let again = |payload| if from_server { server_again(payload) } else { client_again(payload) };
    match frame {
        Frame::Once { payload } => write(&Frame::Once { payload: &again(payload) }),
        Frame::Unordered { id, payload } => {
            write(&Frame::Unordered { id, payload: &again(payload) })
        }
        Frame::Ordered { id, payload } => write(&Frame::Ordered { id, payload: &again(payload) }),
        other => write(&other),
    }
}

fn client_again(payload: &[u8]) -> Vec<u8> {
    let message = decode_message::<ClientMessage<'_>>(payload);
    message.map_or_else(|_| payload.to_vec(), |message| encode_message(&message))
}

fn server_again(payload: &[u8]) -> Vec<u8> {
    let message = decode_message::<ServerMessage<'_>>(payload);
    message.map_or_else(|_| payload.to_vec(), |message| encode_message(&message))
}
