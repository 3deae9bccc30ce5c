//! Runs tshark with the dissector, and reads its output.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Separates the values of one field in a packet. No compared text contains it.
const AGGREGATOR: char = '|';

pub(crate) fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/chatagram.lua")
}

/// Runs tshark with the dissector and without the user's settings and plugins.
pub(crate) fn run(args: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new("tshark")
        .args(args)
        .arg("-X")
        .arg(format!("lua_script:{}", script().display()))
        .env("HOME", home.path())
        .env("XDG_CONFIG_HOME", home.path())
        .env("WIRESHARK_CONFIG_DIR", home.path())
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && !stderr.contains("Lua"), "{args:?}: {status}: {stderr}");
    let trouble = stdout.lines().find(|line| line.contains("Lua Error: "));
    assert_eq!(trouble, None, "{args:?}");
    stdout.into_owned()
}

/// These fields of each packet; several values of one are separated by `|`.
pub(crate) fn fields(file: &Path, options: &[&str], names: &[&str]) -> Vec<Vec<String>> {
    let aggregator = format!("aggregator={AGGREGATOR}");
    let mut args = vec!["-r", file.to_str().unwrap(), "-T", "fields", "-E", &aggregator];
    args.extend(options);
    args.extend(names.iter().flat_map(|name| ["-e", name]));
    let rows = run(&args);
    rows.lines().map(|row| row.split('\t').map(str::to_owned).collect()).collect()
}

/// A field of the packet details.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) show: String,
    /// "name: value" as displayed.
    pub(crate) label: String,
}

/// The dissector's fields of each packet, in the order of the packet details.
pub(crate) fn details(file: &Path, options: &[&str]) -> Vec<Vec<Field>> {
    let mut args = vec!["-r", file.to_str().unwrap(), "-T", "pdml"];
    args.extend(options);
    let text = run(&args);
    let mut packets = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("<packet") {
            packets.push(Vec::new());
        } else if line.starts_with("<field ") {
            let field = Field {
                name: attribute(line, "name"),
                show: attribute(line, "show"),
                label: attribute(line, "showname"),
            };
            assert!(!field.name.starts_with("_ws.malformed"), "{line}");
            if field.name.starts_with("chatagram.") {
                packets.last_mut().unwrap().push(field);
            }
        }
    }
    packets
}

fn attribute(tag: &str, name: &str) -> String {
    let Some((_, rest)) = tag.split_once(&format!(" {name}=\"")) else { return String::new() };
    let (value, _) = rest.split_once('"').unwrap();
    let mut parts = value.split('&');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';').unwrap();
        out.push(match entity {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            code => {
                let hex = code.strip_prefix("#x").unwrap_or_else(|| panic!("&{code};"));
                char::from_u32(u32::from_str_radix(hex, 16).unwrap()).unwrap()
            }
        });
        out += rest;
    }
    out
}
