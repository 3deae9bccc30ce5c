//! The output of the dissector in the words of the vectors (proto.md §13).

use super::tshark::Field;
use std::fmt::Write;

/// A line of the meaning, with its fields.
struct Part<'a> {
    begin: &'a Field,
    fields: Vec<&'a Field>,
}

/// The meaning of a datagram.
pub(crate) fn datagram(fields: &[Field]) -> String {
    if let Some(why) = fields.iter().find(|field| field.name == "chatagram.rejected") {
        return format!("rejected {}", why.show);
    }
    let parts = parts(fields, &["chatagram.magic", "chatagram.frame"]);
    let lines = parts.iter().map(|part| match &*part.begin.name {
        "chatagram.magic" => {
            format!(
                "header {{ {}, {} }}",
                flags_and_session(part),
                named(part, "sequence acknowledgment ack_bitmap timestamp ack_delay window")
            )
        }
        _ => frame(part),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The meaning of a stream, from the fields of all its segments.
pub(crate) fn stream(fields: &[Field]) -> String {
    let mut lines = Vec::new();
    for part in parts(fields, &["chatagram.magic", "chatagram.record"]) {
        if let Some(why) = part.fields.iter().find(|field| field.name == "chatagram.rejected") {
            lines.push(format!("rejected {}", why.show));
        } else if part.begin.name == "chatagram.magic" {
            lines.push(format!("preface {{ {} }}", flags_and_session(&part)));
        } else {
            lines.push(frame(&part));
        }
    }
    lines.join("\n")
}

fn parts<'a>(fields: &'a [Field], begins: &[&str]) -> Vec<Part<'a>> {
    let mut parts: Vec<Part<'a>> = Vec::new();
    for field in fields {
        if begins.contains(&&*field.name) {
            parts.push(Part { begin: field, fields: Vec::new() });
        }
        if let Some(part) = parts.last_mut() {
            part.fields.push(field);
        }
    }
    parts
}

impl Part<'_> {
    fn get(&self, name: &str) -> &str {
        let field = self.fields.iter().find(|field| field.name == format!("chatagram.{name}"));
        &field.unwrap_or_else(|| panic!("no {name} in {:?}", self.fields)).show
    }
}

fn flags_and_session(part: &Part<'_>) -> String {
    let flags = [("FROM_SERVER", "flags.from_server"), ("ACK", "flags.ack")];
    let set = flags.iter().filter(|(_, field)| is_true(part.get(field))).map(|(name, _)| *name);
    format!("flags: [{}], session: {}", set.collect::<Vec<_>>().join(", "), part.get("session"))
}

fn named(part: &Part<'_>, names: &str) -> String {
    let all = names.split(' ').map(|name| format!("{name}: {}", part.get(name)));
    all.collect::<Vec<_>>().join(", ")
}

fn frame(part: &Part<'_>) -> String {
    let at = part.fields.iter().position(|field| field.name == "chatagram.frame").expect("a frame");
    let name = value_name(part.fields[at]);
    let fields = &part.fields[at + 1..];
    let carried = || {
        let unreadable = fields.iter().find(|field| field.name == "chatagram.unreadable");
        let message = fields.iter().find(|field| field.name == "chatagram.message");
        match (unreadable, message) {
            (Some(why), _) => format!("unreadable {}", why.show),
            (None, Some(message)) => composed(&message.show, fields),
            (None, None) => panic!("no message in {fields:?}"),
        }
    };
    match &*name {
        "Padding" => format!("Padding of {} bytes", hex(part.get("padding.content")).len() / 2),
        "Once" => format!("Once: {}", carried()),
        "Unordered" | "Ordered" => {
            let id = part.get(&format!("{}.id", name.to_lowercase()));
            format!("{name} {id}: {}", carried())
        }
        _ => composed(&name, fields),
    }
}

/// A frame or message with its fields, in the order of display.
fn composed(name: &str, fields: &[&Field]) -> String {
    let prefix = format!("chatagram.{}.", name.to_lowercase());
    let mut own = Vec::new();
    let has_list = matches!(name, "Present" | "Joined" | "Left" | "Servers");
    for field in fields {
        let Some(field_name) = field.name.strip_prefix(&prefix) else { continue };
        match (own.last_mut(), field_name) {
            (_, "roll" | "servers") => own.push((field_name, "[".to_owned())),
            // The fields of an entry, after those of the previous entry.
            (Some((_, list)), "peer" | "nickname" | "next" | "server") if has_list => {
                let first = list.len() == 1;
                let between = if matches!(field_name, "peer" | "server") { ", " } else { " " };
                write!(list, "{}{}", if first { "" } else { between }, value(field_name, field))
                    .unwrap();
            }
            _ => own.push((field_name, value(field_name, field))),
        }
    }
    if let Some((_, list)) = own.last_mut().filter(|_| has_list) {
        if list == "[" {
            *list = "<>".to_owned();
        } else {
            list.push(']');
        }
    }
    let mut out = name.to_owned();
    match &own[..] {
        [] => {}
        // Tuple variants in Rust's debug format.
        [(_, value)] if matches!(name, "PathChallenge" | "PathResponse" | "Deliver") => {
            write!(out, "({value})").unwrap();
        }
        own => {
            let all = own.iter().map(|(name, value)| format!("{name}: {value}"));
            write!(out, " {{ {} }}", all.collect::<Vec<_>>().join(", ")).unwrap();
        }
    }
    out
}

fn value(name: &str, field: &Field) -> String {
    match name {
        "cookie" | "resume" | "token" | "taken" | "payload" => format!("<{}>", hex(&field.show)),
        "nickname" | "room" | "from" | "to" | "text" | "detail" | "order" => {
            format!("{:?}", field.show)
        }
        "delivery" | "reason" | "transport" => value_name(field),
        "complete" | "ordered" | "own" | "sure" | "private" => is_true(&field.show).to_string(),
        _ => field.show.clone(),
    }
}

/// The name in "reason: Quit (0)".
fn value_name(field: &Field) -> String {
    let (_, value) = field.label.split_once(": ").unwrap();
    value.split_once(" (").unwrap_or((value, "")).0.to_owned()
}

/// Formats differ between versions of tshark.
fn is_true(show: &str) -> bool {
    matches!(show, "1" | "True")
}

fn hex(show: &str) -> String {
    show.replace(':', "")
}
