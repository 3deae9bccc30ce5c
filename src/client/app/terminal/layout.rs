//! Cursor position after the editor's redraw, with the editor's arithmetic, which it does not
//! expose; and what it may draw. No I/O.

use super::prompt_state::Drawn;
use crate::protocol::is_clean;
use rustyline::GraphemeClusterMode;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// The editor's tab stops.
pub(super) const TAB_STOP: u8 = 8;

/// Rows between the first row and the cursor after `text`, begun in column `column`.
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

/// Whether the editor may draw a draft raw. Pasted text can contain control sequences; only line
/// ends and tabs, which the editor counts, are allowed.
pub(super) fn is_harmless(draft: &str) -> bool {
    draft.split(['\n', '\t']).all(is_clean)
}

/// A safe form of a draft, with the same layout.
pub(super) fn harmless(draft: &str, mode: GraphemeClusterMode) -> Cow<'_, str> {
    if is_harmless(draft) {
        return Cow::Borrowed(draft);
    }
    let mut shown = String::with_capacity(draft.len());
    for ch in draft.chars() {
        let mut bytes = [0; 4];
        let text = &*ch.encode_utf8(&mut bytes);
        if is_harmless(text) {
            shown.push(ch);
        } else {
            let width = usize::from(mode.width(text));
            shown.extend(std::iter::repeat_n(char::REPLACEMENT_CHARACTER, width));
        }
    }
    Cow::Owned(shown)
}

/// Escape codes after a resize: they move the cursor to where the editor assumes it, after the
/// status and `draft` drawn at the old width with the cursor after `head`, and erase both.
/// Terminals rewrap their rows.
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
    let wrapped = |width: &usize| 1 + width.saturating_sub(1) / columns.max(1);
    let up = if wraps_anew() {
        drawn.rows.iter().map(wrapped).sum::<usize>() + rows(head, indent, columns, mode)
    } else {
        drawn.rows.len() - 1 + cursor
    };
    // Line feeds create rows, as they scroll at the bottom; cursor movements stop there.
    let mut out = format!("\u{1b}[{up}A\r\u{1b}[J{}", "\n".repeat(end));
    if end > cursor {
        out.push_str(&format!("\u{1b}[{}A", end - cursor));
    }
    out
}

/// Nearly all terminals rewrap. These do not.
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

    #[test]
    fn drafts_contain_no_control_sequence_and_keep_their_layout() {
        use GraphemeClusterMode::{NoZwj, Unicode, WcWidth};
        let every: Vec<char> = ('\0'..=char::MAX).collect();
        for mode in [Unicode, WcWidth, NoZwj] {
            for some in every.chunks(200) {
                let draft = String::from_iter(some);
                let shown = harmless(&draft, mode);
                assert!(shown.chars().all(|ch| is_clean(&ch.to_string()) || "\n\t".contains(ch)));
                // Combined with its neighbours, a character may be narrower than alone.
                for ch in draft.chars().filter(|ch| !is_harmless(&ch.to_string())) {
                    let apart = format!("a{ch}b");
                    let width = |text: &str| rows(&text.repeat(30), 2, 10, mode);
                    assert_eq!(width(&harmless(&apart, mode)), width(&apart), "{ch:?}");
                }
            }
            let kept = "小明\tnaïve\n👩\u{200d}👧 שלום";
            assert!(matches!(harmless(kept, mode), Cow::Borrowed(same) if same == kept));
        }
    }
}
