//! How lines look on a terminal: colours, and how much room there is. Pure.

/// Names are told apart by these: the eight-colour palette without black, white, and the red of errors.
const NAMES: [u8; 10] = [32, 33, 34, 35, 36, 92, 93, 94, 95, 96];

/// What a terminal can show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    /// Whether escape codes are wanted (no-color.org).
    pub(super) colour: bool,
    /// Columns, where there is a terminal.
    pub(super) width: Option<usize>,
}

impl Style {
    /// Beside the point.
    pub(super) fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// Something went wrong.
    pub(super) fn error(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// Somebody's name: the same colour everywhere and always.
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

    /// Whether tables have to do with 40 columns.
    pub(super) fn is_narrow(self) -> bool {
        self.width.is_some_and(|width| width < 80)
    }

    /// Each line by itself, so that none depends on the one before.
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
    fn names_keep_their_colour_and_nothing_is_painted_where_nobody_wants_it() {
        let colour = Style { colour: true, width: None };
        assert_eq!(colour.name("alice"), "\u{1b}[35malice\u{1b}[0m");
        assert_ne!(colour.name("alice")[..5], colour.name("bob")[..5]);
        assert_eq!(colour.dim("a\nb"), "\u{1b}[2ma\u{1b}[0m\n\u{1b}[2mb\u{1b}[0m");
        assert_eq!(Style::default().name("alice"), "alice");
    }
}
