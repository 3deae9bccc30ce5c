//! The style of lines: language, and on a terminal colours and width. No I/O.

use crate::words::Language;

/// Colours of names: the eight-colour palette without black, white, and the red of errors.
const NAMES: [u8; 10] = [32, 33, 34, 35, 36, 92, 93, 94, 95, 96];

/// The language, and the capabilities of a terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub(super) language: Language,
    /// Whether to use escape codes (no-color.org).
    pub(super) colour: bool,
    /// Columns of the terminal, if there is one.
    pub(super) width: Option<usize>,
    /// Whether the line addresses this user.
    pub(super) addressed: bool,
}

impl Style {
    /// Text of less importance.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// An error.
    pub(super) fn error(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// A nickname: always in the same colour.
    pub(super) fn name(self, name: &str) -> String {
        // FNV-1a: the hash must not change from run to run.
        let hash = name
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        let colour = NAMES[(hash >> 8) as usize % NAMES.len()];
        self.paint(&colour.to_string(), name)
    }

    /// This client's own name.
    pub(super) fn own(self, name: &str) -> String {
        self.paint("1", name)
    }

    /// The author of a line that addresses this user: reverse video, which every theme shows.
    pub(super) fn addressing(self, name: &str) -> String {
        self.paint("1;7", name)
    }

    /// A whisper.
    pub(super) fn whisper(self, text: &str) -> String {
        self.paint("35", text)
    }

    /// Whether tables have to fit 40 columns.
    pub(super) fn is_narrow(self) -> bool {
        self.width.is_some_and(|width| width < 80)
    }

    /// Styles each line separately, so that none depends on the one before.
    fn paint(self, codes: &str, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let lines = text.split('\n').map(|line| format!("\u{1b}[{codes}m{line}\u{1b}[0m"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_colour_and_no_color_disables_all() {
        let colour = Style { colour: true, ..Style::default() };
        assert_eq!(colour.name("alice"), "\u{1b}[35malice\u{1b}[0m");
        assert_ne!(colour.name("alice")[..5], colour.name("bob")[..5]);
        assert_eq!(colour.dim("a\nb"), "\u{1b}[2ma\u{1b}[0m\n\u{1b}[2mb\u{1b}[0m");
        assert_eq!(Style::default().name("alice"), "alice");
    }
}
