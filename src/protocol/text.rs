//! The characters of chat text, and where a long line is split.
//!
//! One user's text is printed on another's terminal. A control character there moves the cursor,
//! repaints the screen or forges a line; a bidirectional control (UAX #9) reorders words. Both are
//! removed. What scripts and emoji need (joiners, variation selectors, marks, tags) is kept.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::iter;

use unicode_segmentation::GraphemeCursor;

/// The longest text of one message, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 1_000;

/// Text safe to relay, print, log and store; borrowed when nothing had to change.
///
/// A tab becomes a space. Every other control, bidirectional control and line or paragraph
/// separator (line feed included) becomes U+FFFD, so that the reader sees something was there.
/// Cleaning clean text changes nothing.
///
/// U+FFFD takes three bytes, so the result can be three times as long as `raw`. A sender therefore
/// cleans first and splits after: `split(&clean(raw), MAX_TEXT_BYTES)` yields clean pieces that
/// fit. A receiver need not clean: it can refuse text that is longer than [`MAX_TEXT_BYTES`] or not
/// [`is_clean`], because no correct sender sends it.
pub fn clean(raw: &str) -> Cow<'_, str> {
    if is_clean(raw) {
        return Cow::Borrowed(raw);
    }
    let safe = raw.chars().map(|ch| match ch {
        '\t' => ' ',
        ch if is_unsafe(ch) => char::REPLACEMENT_CHARACTER,
        ch => ch,
    });
    // Allocates the worst case at once, so that hostile text does not cause repeated growth.
    let mut text = String::with_capacity(safe.clone().map(char::len_utf8).sum());
    text.extend(safe);
    Cow::Owned(text)
}

/// Like [`clean`], but keeps line feeds.
pub fn clean_lines(raw: &str) -> String {
    let lines: Vec<_> = raw.split('\n').map(clean).collect();
    lines.join("\n")
}

/// Whether [`clean`] would change nothing.
pub fn is_clean(raw: &str) -> bool {
    // Most text is ASCII, which needs no decoding.
    let plain = raw.bytes().fold(true, |plain, byte| plain & matches!(byte, b' '..=b'~'));
    plain || !raw.chars().any(is_unsafe)
}

/// The longest beginning of `text` of at most `max` bytes that does not cut a character.
#[must_use]
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Splits `line` into pieces of at most `max` bytes; joined, they are `line`.
///
/// A cut falls between two grapheme clusters (UAX #29), so that no accent or family emoji is torn
/// apart; only a cluster longer than `max` is cut, between two characters. A character is never
/// cut: where `max` is smaller than one (below 4), that character is a piece of its own.
/// The empty line has no pieces.
pub fn split(line: &str, max: usize) -> impl Iterator<Item = &str> {
    let mut rest = line;
    iter::from_fn(move || {
        let (piece, after) = rest.split_at(first_cut(rest, max));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// End of the first piece of `line`: after at least one character, if there is one.
fn first_cut(line: &str, max: usize) -> usize {
    if line.len() <= max {
        return line.len();
    }
    let widest = match clip(line, max).len() {
        0 => return line.chars().next().map_or(0, char::len_utf8),
        widest => widest,
    };
    let mut cursor = GraphemeCursor::new(widest, line.len(), true);
    // The cursor has the whole line, so it needs no other chunk; on any error, the cut is at the
    // character.
    if cursor.is_boundary(line, 0).unwrap_or(true) {
        return widest;
    }
    match cursor.prev_boundary(line, 0) {
        Ok(Some(cut)) if cut > 0 => cut,
        _ => widest,
    }
}

/// Controls (C0, DEL, C1), the separators that break a line, and the controls of UAX #9.
fn is_unsafe(ch: char) -> bool {
    ch.is_control()
        || matches!(
            ch,
            '\u{061C}'
                | '\u{200E}'
                | '\u{200F}'
                | '\u{2028}'..='\u{202E}'
                | '\u{2066}'..='\u{2069}'
        )
}
