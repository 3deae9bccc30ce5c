//! The terminal's abilities.

use super::remedy::Fix;
use super::{Check, State};
use chatagram::client::no_color;
use std::env;
use std::io::{self, IsTerminal};

/// The facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Standard output is a terminal.
    pub(crate) terminal: bool,
    /// `TERM`.
    pub(crate) term: Option<String>,
    /// The user has disabled colours.
    pub(crate) no_color: bool,
    /// The locale that selects the encoding.
    pub(crate) locale: Option<String>,
    /// Columns.
    pub(crate) width: Option<u16>,
}

/// Columns below which lines of a chat are hard to read.
const NARROW: u16 = 60;

impl Facts {
    pub(super) fn gather() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        Self {
            terminal: io::stdout().is_terminal(),
            term: set("TERM"),
            no_color: no_color(),
            locale: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set),
            width: width(),
        }
    }

    pub(super) fn wants_colour(&self) -> bool {
        let dumb = self.term.as_deref().is_none_or(|term| term == "dumb");
        self.terminal && !dumb && !self.no_color
    }

    /// Windows consoles show Unicode in any locale; elsewhere the locale decides.
    fn is_utf8(&self) -> bool {
        let locale = self.locale.as_deref().unwrap_or_default().to_lowercase();
        cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8")
    }
}

pub(super) fn judge(facts: &Facts) -> Check {
    let check = |state, means: String| Check::new("terminal", state, means);
    let locale = facts.locale.as_deref().unwrap_or("not set");
    if !facts.is_utf8() {
        return check(
            State::Limited,
            format!("the locale ({locale}) is not UTF-8: letters beyond ASCII may look wrong"),
        )
        .with(Fix::Run("export LANG=C.UTF-8".to_owned()));
    }
    if !facts.terminal {
        return check(State::Ok, "standard output is no terminal: plain text, UTF-8".to_owned());
    }
    let width = facts.width.map_or("of unknown width".to_owned(), |n| format!("{n} columns wide"));
    let term = facts.term.as_deref().unwrap_or("not set");
    match facts.width {
        Some(columns) if columns < NARROW => check(
            State::Limited,
            format!("{width}: make it at least {NARROW} columns wide to read a chat easily"),
        ),
        _ if facts.wants_colour() => check(State::Ok, format!("{term}, {width}, colours, UTF-8")),
        _ if facts.no_color => {
            check(State::Ok, format!("{term}, {width}, no colours (NO_COLOR), UTF-8"))
        }
        _ => check(State::Limited, format!("no colours (TERM is {term}); {width}, UTF-8"))
            .with((!cfg!(windows)).then(|| Fix::Run("export TERM=xterm-256color".to_owned()))),
    }
}

#[cfg(target_os = "linux")]
fn width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

#[cfg(not(target_os = "linux"))]
fn width() -> Option<u16> {
    env::var("COLUMNS").ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Facts {
        Facts {
            terminal: true,
            term: Some("xterm-256color".to_owned()),
            no_color: false,
            locale: Some("en_GB.utf8".to_owned()),
            width: Some(80),
        }
    }

    #[test]
    fn colours_are_for_terminals_without_no_color() {
        assert!(good().wants_colour());
        assert!(!Facts { terminal: false, ..good() }.wants_colour());
        assert!(!Facts { term: Some("dumb".to_owned()), ..good() }.wants_colour());
        assert!(!Facts { term: None, ..good() }.wants_colour());
        assert!(!Facts { no_color: true, ..good() }.wants_colour());
    }

    #[test]
    fn faults_of_a_terminal_are_reported() {
        assert_eq!(judge(&good()).state, State::Ok);
        let narrow = judge(&Facts { width: Some(40), ..good() });
        assert!(narrow.state == State::Limited && narrow.means.contains("40 columns"));
        let dumb = judge(&Facts { term: Some("dumb".to_owned()), ..good() });
        assert!(dumb.state == State::Limited && dumb.means.contains("dumb"));
        assert_eq!(judge(&Facts { no_color: true, ..good() }).state, State::Ok);
        #[cfg(not(windows))]
        {
            let ascii = judge(&Facts { locale: Some("POSIX".to_owned()), ..good() });
            assert!(ascii.state == State::Limited && ascii.means.contains("POSIX"));
        }
    }
}
