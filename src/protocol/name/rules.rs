//! The rules a name obeys, one function each. All of them read one name of bounded length.

use crate::protocol::limits::MAX_MARKS;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_script::Script;
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::skeleton;

/// Whether `ch` may be typed in a name: it is a letter, mark, digit or `_ - .`, and so is all that
/// NFKC makes of it. The full- and half-width forms count as what they stand for.
pub(super) fn is_allowed(ch: char) -> bool {
    let is_width_form = matches!(ch, '\u{FF01}'..='\u{FFEE}');
    (is_width_form || is_name_char(ch)) && [ch].into_iter().nfkc().all(is_name_char)
}

/// Whether anything in `name` can be read aloud.
pub(super) fn has_letter_or_digit(name: &str) -> bool {
    name.chars().any(|ch| is_letter(ch) || ch.general_category() == GeneralCategory::DecimalNumber)
}

/// The first mark that has no letter to stand on, repeats the mark before it, or is one more than a
/// letter can take.
///
/// Nonspacing marks are counted, on the decomposed form (UTS #39 section 5.4): the accent typed
/// twice over `é` is a repetition too.
pub(super) fn stray_mark(name: &str) -> Option<char> {
    let mut has_letter = false;
    let mut previous = None;
    let mut run = 0;
    for ch in name.nfd() {
        let is_nonspacing = ch.general_category() == GeneralCategory::NonspacingMark;
        run = if is_nonspacing { run + 1 } else { 0 };
        if is_mark(ch) {
            if !has_letter || run > MAX_MARKS || (is_nonspacing && previous == Some(ch)) {
                return Some(ch);
            }
        } else {
            has_letter = is_letter(ch);
        }
        previous = Some(ch);
    }
    None
}

/// Whether `name` is “highly restrictive” by UTS #39 section 5.2: of one script, or of Latin with
/// Chinese, Japanese or Korean writing. What all scripts share (digits, `_ - .`) counts as any.
///
/// Unlike there, no script is refused as such: one that few people write is still somebody's own.
pub(super) fn is_of_one_writing_system(name: &str) -> bool {
    let mut all = AugmentedScriptSet::default();
    let mut beside_latin = AugmentedScriptSet::default();
    for set in name.chars().map(AugmentedScriptSet::for_char) {
        all.intersect_with(set);
        if !set.base.contains_script(Script::Latin) {
            beside_latin.intersect_with(set);
        }
    }
    !all.is_empty() || beside_latin.hanb || beside_latin.jpan || beside_latin.kore
}

fn is_name_char(ch: char) -> bool {
    matches!(ch, '_' | '-' | '.')
        || (is_letter(ch) || is_mark(ch) || ch.general_category() == GeneralCategory::DecimalNumber)
            && !is_default_ignorable(ch)
}

/// The letters of RFC 8264 section 9.1 (LetterDigits); title case, which NFKC takes apart, with
/// them.
fn is_letter(ch: char) -> bool {
    use GeneralCategory::{
        LowercaseLetter, ModifierLetter, OtherLetter, TitlecaseLetter, UppercaseLetter,
    };
    matches!(
        ch.general_category(),
        LowercaseLetter | ModifierLetter | OtherLetter | TitlecaseLetter | UppercaseLetter
    )
}

fn is_mark(ch: char) -> bool {
    use GeneralCategory::{NonspacingMark, SpacingMark};
    matches!(ch.general_category(), NonspacingMark | SpacingMark)
}

/// Some letters and marks are made not to be seen (Hangul fillers, variation selectors). Their
/// table is not public, but a skeleton leaves out exactly these (UTS #39 section 4).
pub(crate) fn is_default_ignorable(ch: char) -> bool {
    skeleton(ch.encode_utf8(&mut [0; 4])).next().is_none()
}
