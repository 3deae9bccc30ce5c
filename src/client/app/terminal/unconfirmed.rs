//! This client's lines that the server has not confirmed, and the rows that show them. No I/O.
//!
//! They stand between the room and the status, dimmed, where they can be erased: the terminal
//! scrolls what is above. A confirmed line moves up into the room.

use crate::client::app::output::{cut, unconfirmed};
use crate::time::WallTime;
use crate::words::Language;
use std::collections::VecDeque;

/// Most rows for unconfirmed lines.
const ROWS: usize = 4;

/// The unconfirmed lines, in typed order. The editor bounds how many are typed ahead.
#[derive(Debug, Default)]
pub(super) struct Unconfirmed {
    lines: VecDeque<(WallTime, String)>,
}

impl Unconfirmed {
    /// Adds the pieces of a line, as the session sends them.
    pub(super) fn push<'a>(&mut self, at: WallTime, pieces: impl Iterator<Item = &'a str>) {
        self.lines.extend(pieces.map(|piece| (at, piece.to_owned())));
    }

    /// Takes out the first line with this text, and returns when it was typed.
    pub(super) fn take(&mut self, text: &str) -> Option<WallTime> {
        let place = self.lines.iter().position(|(_, line)| line == text)?;
        self.lines.remove(place).map(|(at, _)| at)
    }

    /// Takes out all lines.
    pub(super) fn take_all(&mut self) -> VecDeque<(WallTime, String)> {
        std::mem::take(&mut self.lines)
    }

    /// The lines, one row each, cut to `width`; or their number, if they need more than `most`.
    pub(super) fn rows(
        &self,
        language: Language,
        nickname: &str,
        width: usize,
        most: usize,
    ) -> Vec<String> {
        if self.lines.len() <= most.min(ROWS) {
            let row =
                |(at, text): &(WallTime, String)| whole(&unconfirmed(*at, nickname, text), width);
            return self.lines.iter().map(row).collect();
        }
        let count = whole(&format!("* {}", language.lines_wait(self.lines.len())), width);
        std::iter::once(count).take(most).collect()
    }
}

/// `text`, with an ellipsis if it does not fit.
fn whole(text: &str, width: usize) -> String {
    match cut(text, width).0 {
        all if all.len() == text.len() => text.to_owned(),
        _ => format!("{}…", cut(text, width.saturating_sub(1)).0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use unicode_width::UnicodeWidthStr;

    fn typed(lines: &[&str]) -> Unconfirmed {
        let mut own = Unconfirmed::default();
        own.push(WallTime(0), lines.iter().copied());
        own
    }

    #[test]
    fn a_few_lines_have_a_row_each_and_more_are_counted() {
        let mut own = typed(&["one", "two", "three", "four", "five"]);
        assert_eq!(own.rows(Language::En, "al", 60, 9), ["* 5 lines wait for the server"]);
        own.take("one");
        let rows = own.rows(Language::En, "al", 60, 9);
        assert_eq!(rows.len(), ROWS);
        assert!(rows[0].ends_with(" al> two") && rows[3].ends_with(" al> five"), "{rows:?}");
        assert_eq!(own.rows(Language::En, "al", 60, 1), ["* 4 lines wait for the server"]);
        assert!(own.rows(Language::En, "al", 60, 0).is_empty(), "a low screen has no space");
        let long = typed(&["小明说的话很长".repeat(9).as_str()]);
        for width in 0..80 {
            let rows = long.rows(Language::En, "al", width, 9);
            assert!(rows.iter().all(|row| row.width() <= width.max(1)), "{width}: {rows:?}");
        }
    }

    #[test]
    fn equal_lines_are_confirmed_one_by_one() {
        let mut own = typed(&["ok", "no", "ok"]);
        assert!(own.take("ok").is_some() && own.take("other").is_none());
        assert_eq!(own.take_all().len(), 2);
    }
}
