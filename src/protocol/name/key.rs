//! The key names are compared by: letter case and look-alikes taken out.

#[cfg(test)]
mod tests;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

/// How often a name is passed through [`skeleton_pass`] at most. Three passes settle every character
/// there is (a test tries them all); the bound is there for the tables of a later Unicode.
const MAX_PASSES: usize = 6;

const DOT_ABOVE: char = '\u{307}';

/// What a name is known by. Two names with equal keys could be mistaken for each other, so only one
/// of them may be in the room.
///
/// The key is the skeleton of UTS #39 section 4, made blind to case. The two do not go together by
/// themselves: capital `I` looks like `l`, yet is `i`. To call equal all that any chain of “same
/// but for case” and “looks the same” connects goes too far: `n` is `N`, which looks like Greek
/// `Ν`, which is `ν`, which looks like `v`; such chains make one letter of `e r t u y`. So each
/// letter goes one way only: to the ASCII its small form looks like, or else to the ASCII its
/// capital looks like, or else to the skeleton of its small form.
///
/// Equal keys are guaranteed to
/// - names equal but for case, in full (`STRASSE` and `straße`);
/// - names in small letters that have the same skeleton, if it is ASCII (Cyrillic `сосо`, `coco`);
/// - `1 l I i`, `0 O o`, `rn m`, and Cyrillic capitals with the Latin ones they look like (`ТОМ`).
///
/// Not found are look-alikes the tables do not know (`vv` and `w`, `cl` and `d`, most of the small
/// capitals of phonetics, `a.b` and `a_b`), Greek capitals whose small form looks like another
/// Latin letter (`Ν`, `Υ`), and some pairs of which neither is ASCII.
///
/// The order of keys means nothing; it serves sorted maps.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameKey(Box<str>);

impl NameKey {
    /// For hashing: it means nothing to people.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn new(name: &str) -> Self {
        // Anybody can ask for a key, of a name that is as bad as it can be: so few lists serve all passes.
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

/// One pass: case away, then every letter to what it looks like. What was in `scratch` and `skeleton` is gone.
fn skeleton_pass(name: &str, scratch: &mut String, skeleton: &mut String) {
    fold(name.nfd(), scratch);
    skeleton.clear();
    scratch.nfd().for_each(|ch| look(ch, skeleton));
    fold(skeleton.nfd(), scratch);
    without_hidden_dots(scratch, skeleton);
}

/// Full case folding with what the standard library has: small, capital, small. Each step is
/// needed: `ẞ` has no other capital, `ß` has `SS`, and `ς` and `σ` meet in `Σ`.
///
/// Give it the decomposed form (Unicode section 3.13, D145): the iota beneath a Greek letter becomes
/// a letter of its own, which has to come after the other marks of its base.
fn fold(text: impl Iterator<Item = char>, folded: &mut String) {
    folded.clear();
    folded.extend(
        text.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase),
    );
}

/// Adds what a small letter could be taken for. There are many letters, so none makes a list of its own.
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

/// Leaves out a dot above `i`, `j`, or the `l` that `i` becomes: it hides in the letter's own. So
/// `İ`, `I` and an `i` with a second dot are one.
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
