use proptest::prelude::*;

use super::*;

#[test]
fn a_name_in_one_writing_system_is_displayed_in_nfkc_with_its_case() {
    for (raw, shown) in [
        ("Alice", "Alice"),
        ("  Вася_42 \n", "Вася_42"),
        ("小明", "小明"),
        ("a", "a"),
        ("7", "7"),
        ("-x.y_z-", "-x.y_z-"),
        ("Jose\u{301}", "Jos\u{E9}"),
        ("й", "\u{439}"),
        ("Ａｌｉｃｅ＿１", "Alice_1"),
        ("ｶﾞｯﾂ", "ガッツ"),
        ("𝐀𝐧𝐧", "Ann"),
        ("ﬁnn", "finn"),
        ("น้ำ", "น้\u{E4D}า"),
        ("नमस्ते", "नमस्ते"),
        ("שָׁלוֹם", "שָׁלוֹם"),
        ("ཀྲྀ", "ཀྲྀ"),
        ("李Lee", "李Lee"),
        ("ゆきカナ雪Yuki", "ゆきカナ雪Yuki"),
        ("김철수Kim", "김철수Kim"),
        ("ㄅㄆ王Wang", "ㄅㄆ王Wang"),
        ("Ꭰꮝꭹ", "Ꭰꮝꭹ"),
    ] {
        let name = Nickname::parse(raw).map(|name| name.to_string());
        assert_eq!(name.as_deref(), Ok(shown), "{raw}");
    }
}

#[test]
fn a_character_that_is_no_letter_mark_or_digit_is_refused() {
    for ch in "@/ \t\0\u{7F}\u{85}\u{200B}\u{200C}\u{200D}\u{200E}\u{202E}\u{2066}\u{2028}\u{3000}\
               \u{FEFF}\u{FE0F}\u{34F}\u{115F}\u{3164}\u{FFA0}\u{17B4}\u{E0061}\u{E000}\u{378}\
               😀☃①²½™…ﷺ，／＠'’·:‿"
        .chars()
    {
        let refused = Nickname::parse(&format!("a{ch}b"));
        assert_eq!(refused, Err(NameError::Forbidden { ch }), "{ch:?}");
    }
}

#[test]
fn a_name_is_between_1_and_32_characters_once_normalised() {
    let too_long = |chars| Err(NameError::TooLong { chars });
    let length = |raw: &str| Nickname::parse(raw).map(|name| name.as_str().chars().count());
    assert_eq!(length(""), Err(NameError::Empty));
    assert_eq!(length(" \u{3000}\n"), Err(NameError::Empty));
    assert_eq!(length(&"я".repeat(32)), Ok(32));
    assert_eq!(length(&"я".repeat(33)), too_long(33));
    // The longest decomposition, four characters to one, still fits.
    assert_eq!(length(&"α\u{313}\u{300}\u{345}".repeat(32)), Ok(32));
    // A ligature of four letters does not.
    assert_eq!(length(&"ﷲ".repeat(9)), too_long(36));
    assert_eq!(length(&"@".repeat(1_200)), too_long(1_200));
}

#[test]
fn a_name_needs_a_letter_or_digit() {
    for raw in ["_", "...", "-_-"] {
        assert_eq!(Nickname::parse(raw), Err(NameError::NoLetter), "{raw}");
    }
}

#[test]
fn marks_need_a_base_letter_and_are_bounded() {
    for (raw, mark) in [
        ("\u{301}a", '\u{301}'),
        ("a_\u{301}", '\u{301}'),
        ("1\u{301}", '\u{301}'),
        ("ा7", 'ा'),
        ("e\u{301}\u{301}", '\u{301}'),
        ("é\u{301}", '\u{301}'),
        ("a\u{300}\u{301}\u{302}\u{303}\u{304}", '\u{304}'),
    ] {
        assert_eq!(Nickname::parse(raw), Err(NameError::StrayMark { mark }), "{raw}");
    }
    assert!(Nickname::parse("a\u{300}\u{301}\u{302}\u{303}b\u{300}").is_ok());
}

#[test]
fn alphabets_that_imitate_each_other_do_not_mix() {
    for raw in [
        "аlice", "Alicе", "Аnna7", "αlpha", "Яlix", "Աlex", "Ꭰlex", "Жλ", "李ж", "ゆ김", "aक",
        "a\u{93C}", "aא",
    ] {
        assert_eq!(Nickname::parse(raw), Err(NameError::MixedScripts), "{raw}");
    }
}

#[test]
fn errors_name_fault_and_remedy_and_show_nothing_unsafe() {
    for (raw, message) in [
        ("", "the name is empty: give 1 to 32 letters or digits"),
        ("a@b", "‘@’ cannot be in a name: use letters, digits and _ - . only"),
        ("a b", "a space cannot be in a name: use letters, digits and _ - . only"),
        (
            "a\u{202E}b",
            "the character U+202E cannot be in a name: use letters, digits and _ - . only",
        ),
        (
            "1\u{301}",
            "the character U+0301 is a mark with no letter of its own, or one too many: remove it",
        ),
    ] {
        let error = Nickname::parse(raw).map_err(|error| error.to_string());
        assert!(matches!(&error, Err(said) if said == message), "{error:?}");
    }
}

#[test]
fn every_allowed_character_stays_allowed_once_normalised() {
    for ch in ('\0'..=char::MAX).filter(|&ch| rules::is_allowed(ch)) {
        let shown: String = [ch].into_iter().nfkc().collect();
        assert!(shown.chars().all(rules::is_allowed), "{ch} as {shown}");
        assert!(!shown.chars().any(|ch| ch.is_control() || ch.is_whitespace()));
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_and_a_shown_name_reads_as_itself(raw in any_raw()) {
        if let Ok(name) = Nickname::parse(&raw) {
            let chars = name.as_str().chars().count();
            prop_assert!((1..=MAX_NAME_CHARS).contains(&chars));
            prop_assert_eq!(Nickname::parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn a_name_read_in_other_case_is_the_same_name(
        raw in "[a-zà-ÿßſİıA-Z0-9_.-]{1,16}|[а-яёА-ЯЁ]{1,16}",
    ) {
        let keys: Vec<_> = [raw.to_lowercase(), raw.to_uppercase(), raw]
            .iter()
            .filter_map(|raw| Nickname::parse(raw).ok())
            .map(|name| name.key())
            .collect();
        prop_assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

fn any_raw() -> impl Strategy<Value = String> {
    prop_oneof![
        // A string of any characters: proptest's own has no controls.
        prop::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
        "[\\p{L}\\p{M}\\p{Nd}]{1,40}",
        "[\\p{Latin}\\p{Han}\\p{M}]{1,20}",
        "[\\p{Greek}\u{300}-\u{345}]{1,20}",
        "[\\p{Hangul}\\p{Hiragana}ﾞ\u{3099}_.-]{1,20}",
    ]
}
