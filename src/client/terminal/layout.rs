//! Where the cursor is when the editor has drawn a line: the same arithmetic as the editor's own, for what
//! it does not tell. Pure.

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
