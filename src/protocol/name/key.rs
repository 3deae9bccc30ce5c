//! The comparison key of names: folds letter case and look-alikes.

#[cfg(test)]
mod tests;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// Largest number of passes of [`skeleton_pass`]. Three settle every character of today's tables (a
/// test tries all); the bound covers later versions of Unicode.
const MAX_PASSES: usize = 6;

const DOT_ABOVE: char = '\u{307}';

/// The comparison key of a name. Names with equal keys are confusable, so only one of them may be
/// in the room.
///
/// The key is a case-insensitive skeleton of UTS #39 §4. Case folding and look-alikes do not
/// combine directly: capital `I` looks like `l`, yet is `i`. The closure over both relations goes
/// too far: `n` is `N`, which looks like Greek `Ν`, which is `ν`, which looks like `v`; such chains
/// merge `e r t u y`. So each letter maps one way only: to the ASCII letter its small form looks
/// like, else to the one its capital looks like, else to the skeleton of its small form.
///
/// Equal keys are guaranteed to
/// - names equal but for case, in full (`STRASSE` and `straße`);
/// - names in small letters that have the same skeleton, if it is ASCII (Cyrillic `сосо`, `coco`);
/// - `1 l I i`, `0 O o`, `rn m`, and Cyrillic capitals with the Latin ones they look like (`ТОМ`).
///
/// Not detected: look-alikes missing in the tables (`vv` and `w`, `cl` and `d`, most phonetic small
/// capitals, `a.b` and `a_b`), Greek capitals whose small form looks like another Latin letter
/// (`Ν`, `Υ`), and some pairs without ASCII.
///
/// The order of keys has no meaning; sorted maps need one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(Box<str>);

impl NameKey {
    /// The key as a string, for hashing, not for display.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new(name: &str) -> Self {
        // A client chooses the name: all passes share their buffers, to bound the cost.
        let [mut key, mut next, mut scratch] =
            [(); 3].map(|()| String::with_capacity(2 * name.len()));
        key.push_str(name);
        for _ in 0..MAX_PASSES {
            skeleton_pass(&key, &mut scratch, &mut next);
            std::mem::swap(&mut key, &mut next);
            if key == next {
                break;
            }
        }
        Self(key.into())
    }
}

/// One pass: folds case, then replaces each letter by its look-alike. Overwrites `scratch` and
/// `skeleton`.
fn skeleton_pass(name: &str, scratch: &mut String, skeleton: &mut String) {
    fold(name.nfd(), scratch);
    skeleton.clear();
    scratch.nfd().for_each(|ch| look(ch, skeleton));
    fold(skeleton.nfd(), scratch);
    without_hidden_dots(scratch, skeleton);
}

/// Full case folding by the standard library: lower, upper, lower. Each step is needed: `ẞ` has no
/// other capital, `ß` has `SS`, and `ς` and `σ` meet in `Σ`.
///
/// The input must be decomposed (Unicode §3.13, D145): the iota subscript of a Greek letter becomes
/// a letter of its own, which has to follow the other marks of its base.
fn fold(text: impl Iterator<Item = char>, folded: &mut String) {
    folded.clear();
    folded.extend(
        text.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase),
    );
}

/// Appends the look-alike of a small letter, without allocation.
fn look(ch: char, looks: &mut String) {
    let before = looks.len();
    prototype(ch, looks);
    let small = &looks[before..];
    if small.is_ascii() && !small.chars().eq([ch]) {
        return;
    }
    let between = looks.len();
    ch.to_uppercase().for_each(|capital| prototype(capital, looks));
    if looks[between..].is_ascii() {
        looks.replace_range(before..between, "");
    } else {
        looks.truncate(between);
    }
}

fn prototype(ch: char, looks: &mut String) {
    looks.extend(skeleton(ch.encode_utf8(&mut [0; 4])));
}

/// Removes a dot above `i`, `j`, or the `l` that `i` becomes, since it merges with the letter's own
/// dot. So `İ`, `I` and an `i` with a second dot are one.
fn without_hidden_dots(text: &str, rest: &mut String) {
    let mut base = None;
    let is_seen = |&ch: &char| {
        if !is_combining_mark(ch) {
            base = Some(ch);
        }
        ch != DOT_ABOVE || !matches!(base, Some('i' | 'j' | 'l'))
    };
    rest.clear();
    rest.extend(text.nfd().filter(is_seen));
}
