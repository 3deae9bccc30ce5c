//! Where the cursor is when the editor has drawn a line: the same arithmetic as the editor's own, for what
//! it does not tell. Pure.

use super::desk::Drawn;
use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation;

/// The editor's tab stops.
pub(super) const TAB_STOP: u8 = 8;

/// How many rows below its first the cursor is after `text`, begun in column `column`.
pub(super) fn rows(text: &str, column: usize, columns: usize, mode: GraphemeClusterMode) -> usize {
    let columns = columns.max(1);
    let (mut row, mut column) = (0, column);
    for grapheme in text.graphemes(true) {
        if grapheme == "\n" {
            (row, column) = (row + 1, 0);
            continue;
        }
        let width = match grapheme {
            "\t" => usize::from(TAB_STOP) - column % usize::from(TAB_STOP),
            _ => usize::from(mode.width(grapheme)),
        };
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    row + usize::from(column == columns)
}

/// What moves the cursor to where an editor believes it, that drew a status and `draft` when the terminal
/// had another width, with the cursor after `head`; and wipes that away. Terminals wrap their rows anew.
pub(super) fn after_resize(
    draft: &str,
    head: &str,
    indent: usize,
    drawn: &Drawn,
    columns: usize,
    mode: GraphemeClusterMode,
) -> String {
    let before = |text| 1 + rows(text, indent, drawn.columns, mode);
    let (cursor, end) = (before(head), before(draft));
    let status = drawn.status.saturating_sub(1) / columns.max(1);
    let up = if wraps_anew() { status + 1 + rows(head, indent, columns, mode) } else { cursor };
    // Rows are made by line feeds, which scroll at the bottom; cursor movements stop there.
    let mut out = format!("\u{1b}[{up}A\r\u{1b}[J{}", "\n".repeat(end));
    if end > cursor {
        out.push_str(&format!("\u{1b}[{}A", end - cursor));
    }
    out
}

/// Nearly all terminals do. These are known not to.
fn wraps_anew() -> bool {
    let is_linux = std::env::var_os("TERM").is_some_and(|term| term == "linux");
    !is_linux && std::env::var_os("XTERM_VERSION").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_character_that_does_not_fit_goes_to_the_next_row() {
        let rows = |text| rows(text, 2, 10, GraphemeClusterMode::WcWidth);
        assert_eq!(rows(""), 0);
        assert_eq!(rows("1234567"), 0);
        assert_eq!(rows("12345678"), 1);
        assert_eq!(rows("1234567小"), 1);
        assert_eq!(rows("小明小明"), 1);
        assert_eq!(rows("a\nb\nc"), 2);
        assert_eq!(rows(&"x".repeat(150)), 15);
    }
}
