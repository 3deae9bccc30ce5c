//! The files of the page, embedded in the program: it works without a network, and asks no other
//! server for anything.

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// An entry of [`FILES`].
macro_rules! at_its_name {
    ($name:literal, $kind:expr) => {
        (concat!("/", $name), $kind, include_str!(concat!("page/", $name)))
    };
}

/// Path, media type and content of each file.
const FILES: &[(&str, &str, &str)] = &[
    ("/", HTML, include_str!("page/index.html")),
    at_its_name!("page.css", STYLE),
    at_its_name!("board.js", SCRIPT),
    at_its_name!("break.js", SCRIPT),
    at_its_name!("chat.js", SCRIPT),
    at_its_name!("codec.js", SCRIPT),
    at_its_name!("dials.js", SCRIPT),
    at_its_name!("dom.js", SCRIPT),
    at_its_name!("en.js", SCRIPT),
    at_its_name!("fates.js", SCRIPT),
    at_its_name!("kept.js", SCRIPT),
    at_its_name!("ladder.js", SCRIPT),
    at_its_name!("lines.js", SCRIPT),
    at_its_name!("main.js", SCRIPT),
    at_its_name!("minute.js", SCRIPT),
    at_its_name!("ru.js", SCRIPT),
    at_its_name!("session.js", SCRIPT),
    at_its_name!("socket.js", SCRIPT),
    at_its_name!("story.js", SCRIPT),
    at_its_name!("transcript.js", SCRIPT),
    at_its_name!("typed.js", SCRIPT),
    at_its_name!("words.js", SCRIPT),
    at_its_name!("zh.js", SCRIPT),
];

/// The file at a path, with its media type.
pub(super) fn file(path: &str) -> Option<(&'static str, &'static str)> {
    FILES.iter().find(|(name, ..)| *name == path).map(|(_, kind, text)| (*kind, *text))
}
