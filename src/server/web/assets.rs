//! The files of the page, embedded in the program: it works without a network, and asks no other
//! server for anything.

/// Path, media type and content of each file.
const FILES: &[(&str, &str, &str)] = &[("/", HTML, include_str!("page/index.html"))];

const HTML: &str = "text/html; charset=utf-8";

/// The file at a path, with its media type.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(name, ..)| *name == path).map(|(_, kind, text)| (*kind, *text))
}
