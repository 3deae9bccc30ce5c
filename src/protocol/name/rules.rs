//! The rules for names, one function each. All of them read a name of bounded length.

use crate::protocol::limits::MAX_MARKS;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};
use unicode_script::Script;
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::skeleton;

/// Whether `ch` is allowed in a name: a letter, mark, digit or `_ - .`, and so is its NFKC form.
/// Full-width and half-width forms count as their ordinary forms.
pub(super) fn is_allowed(ch: char) -> bool {
    let is_width_form = matches!(ch, '\u{FF01}'..='\u{FFEE}');
    (is_width_form || is_name_char(ch)) && [ch].into_iter().nfkc().all(is_name_char)
}

/// Whether `name` has a letter or digit.
pub(super) fn has_letter_or_digit(name: &str) -> bool {
    name.chars().any(|ch| is_letter(ch) || ch.general_category() == GeneralCategory::DecimalNumber)
}

/// The first mark without a base letter, or that repeats the one before it, or exceeds the bound
/// per letter.
///
/// Nonspacing marks are counted in the decomposed form (UTS #39 §5.4): a second accent on `é` is a
/// repetition too.
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
/// Chinese, Japanese or Korean writing. Characters of all scripts (digits, `_ - .`) fit any.
///
/// Unlike there, no script is refused: rarely used ones have users too.
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

/// The letters of RFC 8264 §9.1 (LetterDigits), and title case, which NFKC decomposes.
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

/// Default-ignorable letters and marks (Hangul fillers, variation selectors). Their table is not
/// public, but a skeleton leaves out exactly these (UTS #39 §4).
pub(crate) fn is_default_ignorable(ch: char) -> bool {
    skeleton(ch.encode_utf8(&mut [0; 4])).next().is_none()
}
