//! Wraps lines between words with a hanging indent, to the width of the terminal. No I/O.

use unicode_linebreak::linebreaks;
use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Least columns beside the indent; below, lines are not wrapped.
const NARROW: usize = 16;
const RESET: &str = "\u{1b}[0m";

/// `line` in rows of at most `columns`; all but the first begin with `indent` spaces.
///
/// The terminal breaks a word longer than a row, so that copying restores it. Colours end with a
/// row and begin again in the next.
pub(super) fn wrap(line: &str, indent: usize, columns: usize) -> String {
    let (plain, escapes) = without_escapes(line);
    if plain.width() <= columns || columns < indent + NARROW {
        return line.to_owned();
    }
    let mut rows =
        Rows { out: String::with_capacity(line.len() + 64), colour: "", escapes, next: 0 };
    let (mut begun, mut column) = (0, 0);
    for end in breaks(&plain) {
        let piece = &plain[begun..end];
        let at_start = column == 0 || column == indent;
        if column + piece.trim_end().width() > columns && !at_start {
            rows.begin(indent);
            column = indent;
        }
        rows.push(piece, begun);
        let seen = column + piece.trim_end().width();
        // A word longer than a row was broken by the terminal.
        let seen = if seen > columns { (seen - 1) % columns + 1 } else { seen };
        // White space may exceed the last column: it is removed when the next row begins.
        column = seen + piece.width() - piece.trim_end().width();
        begun = end;
    }
    rows.finish()
}

/// The longest prefix of `text` in whole grapheme clusters that fits `columns`, and its width.
pub(in crate::client::app) fn cut(text: &str, columns: usize) -> (&str, usize) {
    let (mut end, mut used) = (0, 0);
    for (at, cluster) in text.grapheme_indices(true) {
        let width = cluster.width();
        if used + width > columns {
            break;
        }
        (end, used) = (at + cluster.len(), used + width);
    }
    (&text[..end], used)
}

/// `text` at the left of this many columns.
pub(in crate::client::app) fn left(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

/// `text` at the right of this many columns.
pub(super) fn right(text: &str, columns: usize) -> String {
    format!("{}{text}", " ".repeat(columns.saturating_sub(text.width())))
}

/// Ends of words, and of the text: after white space, and in scripts without it by UAX #14. Not
/// inside addresses, which people copy.
fn breaks(plain: &str) -> impl Iterator<Item = usize> {
    let is_wide = |ch: char| ch.width() == Some(2);
    linebreaks(plain).map(|(at, _)| at).filter(move |&at| {
        let (before, after) = plain.split_at(at);
        let before = before.chars().next_back();
        before.is_some_and(|ch| ch.is_whitespace() || is_wide(ch))
            || after.chars().next().is_none_or(is_wide)
    })
}

/// The visible text, and each colour sequence with its offset.
fn without_escapes(line: &str) -> (String, Vec<(usize, &str)>) {
    let (mut plain, mut escapes) = (String::with_capacity(line.len()), Vec::new());
    let mut rest = line;
    // Texts are clean, so an escape is one of our colours and ends with an m.
    while let Some(at) = rest.find('\u{1b}') {
        plain.push_str(&rest[..at]);
        let end = rest[at..].find('m').map_or(rest.len(), |length| at + length + 1);
        escapes.push((plain.len(), &rest[at..end]));
        rest = &rest[end..];
    }
    plain.push_str(rest);
    (plain, escapes)
}

/// The rows so far.
struct Rows<'a> {
    out: String,
    /// The active colour; empty for none.
    colour: &'a str,
    escapes: Vec<(usize, &'a str)>,
    /// The next colour sequence to write.
    next: usize,
}

impl Rows<'_> {
    /// Appends a piece of the text from offset `at`.
    fn push(&mut self, piece: &str, at: usize) {
        let mut done = 0;
        while let Some(&(place, escape)) = self.escapes.get(self.next) {
            if place >= at + piece.len() {
                break;
            }
            self.out.push_str(&piece[done..place - at]);
            done = place - at;
            self.escape(escape);
        }
        self.out.push_str(&piece[done..]);
    }

    fn begin(&mut self, indent: usize) {
        self.out.truncate(self.out.trim_end_matches(' ').len());
        if !self.colour.is_empty() {
            self.out.push_str(RESET);
        }
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(self.colour);
    }

    fn finish(mut self) -> String {
        while let Some(&(_, escape)) = self.escapes.get(self.next) {
            self.escape(escape);
        }
        self.out
    }
}

impl<'a> Rows<'a> {
    fn escape(&mut self, escape: &'a str) {
        self.out.push_str(escape);
        self.colour = if escape == RESET { "" } else { escape };
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_whole_and_later_rows_are_indented() {
        let line = "14:03:11 bob: is the wifi bad again, or is it me?";
        assert_eq!(wrap(line, 9, 49), line);
        assert_eq!(
            wrap(line, 9, 30),
            "14:03:11 bob: is the wifi bad\n         again, or is it me?"
        );
        assert_eq!(wrap(line, 9, 9 + NARROW - 1), line, "too narrow for words");
    }

    #[test]
    fn every_row_fits_and_nothing_is_lost() {
        let texts = [
            "14:03:11 bob: ".to_owned() + &"word ".repeat(60),
            "14:03:11 小明: ".to_owned() + &"長い文、".repeat(40),
            "* ".to_owned() + &"सभी लोग ".repeat(30),
            "14:03:11 bob: ".to_owned() + &"👩\u{200d}👩\u{200d}👧 ".repeat(40),
        ];
        for text in texts {
            for columns in 30..100 {
                let text = text.trim_end();
                let rows = wrap(text, 9, columns);
                let squeezed = |text: &str| text.split_whitespace().collect::<String>();
                assert_eq!(squeezed(&rows), squeezed(text));
                assert!(rows.split('\n').all(|row| row.width() <= columns), "{columns}: {rows}");
                assert!(rows.split('\n').skip(1).all(|row| row.starts_with("         ")));
            }
        }
    }

    #[test]
    fn an_address_is_one_word_and_the_terminal_breaks_a_long_one() {
        let address = "https://example.org/a/long/path?with=a-query-that-goes-on";
        let shown = wrap(&format!("14:03:11 bob: see {address} there"), 9, 40);
        assert_eq!(shown, format!("14:03:11 bob: see\n         {address} there"));
        let rule = wrap("14:03:11 小: これは、とても長い文です。はい。", 9, 30);
        let rows: Vec<_> = rule.split('\n').map(str::trim).collect();
        assert!(rows.iter().all(|row| !row.starts_with(['。', '、'])), "{rule}");
    }

    #[test]
    fn colours_end_with_their_row() {
        let line = format!("\u{1b}[2m* {}{RESET}", "word ".repeat(8).trim_end());
        let shown = wrap(&line, 2, 22);
        assert_eq!(
            shown,
            "\u{1b}[2m* word word word word\u{1b}[0m\n  \u{1b}[2mword word word word\u{1b}[0m"
        );
        let head = format!("\u{1b}[2m14:03:11{RESET} \u{1b}[35mbob{RESET}: {}", "word ".repeat(5));
        let rows = wrap(&head, 9, 28);
        assert!(
            rows.starts_with("\u{1b}[2m14:03:11\u{1b}[0m \u{1b}[35mbob\u{1b}[0m: word"),
            "{rows:?}"
        );
        assert!(rows.contains("\n         word"), "{rows:?}");
    }
}
