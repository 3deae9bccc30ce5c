use proptest::prelude::*;

use super::*;

/// Ranges from the specification, not from the code under test.
const UNSAFE: [(u32, u32); 8] = [
    (0x00, 0x1F),
    (0x7F, 0x7F),
    (0x80, 0x9F),
    (0x061C, 0x061C),
    (0x200E, 0x200F),
    (0x2028, 0x2029),
    (0x202A, 0x202E),
    (0x2066, 0x2069),
];

#[test]
fn clean_replaces_controls_and_nothing_else() {
    for ch in '\0'..=char::MAX {
        let code = u32::from(ch);
        let is_bad = UNSAFE.iter().any(|&(first, last)| (first..=last).contains(&code));
        let raw = format!("a{ch}b");
        let expected = match ch {
            '\t' => "a b".to_owned(),
            _ if is_bad => "a\u{FFFD}b".to_owned(),
            _ => raw.clone(),
        };
        assert_eq!(clean(&raw), expected, "U+{code:04X}");
        assert_eq!(is_clean(&raw), !is_bad, "U+{code:04X}");
    }
}

#[test]
fn clean_text_is_borrowed_with_its_joiners_and_selectors() {
    for text in [
        "",
        "Привет, 世界! naïve e\u{301}",
        "👩\u{200D}👩\u{200D}👧 ❤\u{FE0F} 👍🏽",
        "क\u{94D}\u{200D}ष नमस्ते",
        "می\u{200C}خواهم שלום",
        "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
        "\u{FFFD}",
    ] {
        assert!(matches!(clean(text), Cow::Borrowed(same) if same == text));
    }
}

#[test]
fn an_escape_sequence_loses_its_escape_and_keeps_its_letters() {
    assert_eq!(clean("\u{1B}[2Jhi\r\n"), "\u{FFFD}[2Jhi\u{FFFD}\u{FFFD}");
}

#[test]
fn a_line_is_cut_between_clusters_where_one_fits() {
    let cases: [(&str, usize, &[&str]); 8] = [
        ("", 4, &[]),
        ("abcd", 4, &["abcd"]),
        ("abcde", 4, &["abcd", "e"]),
        ("жжж", 5, &["жж", "ж"]),
        ("abe\u{301}", 4, &["ab", "e\u{301}"]),
        ("a🇺🇦🇩🇪", 12, &["a🇺🇦", "🇩🇪"]),
        // A cluster of 11 bytes does not fit in 8: it is cut between characters.
        ("👩\u{200D}👧", 8, &["👩\u{200D}", "👧"]),
        // A character longer than `max` is a piece of its own.
        ("жж", 1, &["ж", "ж"]),
    ];
    for (line, max, expected) in cases {
        assert_eq!(split(line, max).collect::<Vec<_>>(), expected, "{line} by {max}");
    }
}

#[test]
fn a_line_of_controls_fits_after_cleaning_and_splitting() {
    let cleaned = clean(&"\u{7}".repeat(MAX_TEXT_BYTES)).into_owned();
    assert_eq!(cleaned.len(), 3 * MAX_TEXT_BYTES);
    assert!(split(&cleaned, MAX_TEXT_BYTES).all(|piece| piece.len() <= MAX_TEXT_BYTES));
}

#[test]
fn clip_never_cuts_a_character() {
    for (max, clipped) in
        [(0, ""), (1, "a"), (2, "a"), (3, "aé"), (4, "aé"), (6, "aé世"), (9, "aé世")]
    {
        assert_eq!(clip("aé世", max), clipped, "{max}");
    }
}

proptest! {
    #[test]
    fn pieces_put_together_are_the_line(line in any_line(), max in 0..40_usize) {
        let pieces: Vec<_> = split(&line, max).collect();
        prop_assert_eq!(&pieces.concat(), &line);
        for piece in pieces {
            prop_assert!(!piece.is_empty());
            prop_assert!(piece.len() <= max.max(4));
        }
    }

    #[test]
    fn cleaning_twice_changes_nothing_more_and_pieces_stay_clean(line in any_line()) {
        let once = clean(&line).into_owned();
        prop_assert!(matches!(clean(&once), Cow::Borrowed(same) if same == once));
        prop_assert!(split(&once, 10).all(is_clean));
    }
}

/// Arbitrary text, and text rich in clusters, controls and characters of every length.
fn any_line() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::collection::vec(any::<char>(), 0..60).prop_map(String::from_iter),
        "[aжн世👩🇺🇦\u{200D}\u{301}\t\n\u{202E}]{0,60}"
    ]
}
