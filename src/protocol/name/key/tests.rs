use proptest::prelude::*;

use super::*;

fn key(name: &str) -> NameKey {
    NameKey::new(name)
}

fn skeleton_of(name: &str) -> String {
    let mut settled = String::new();
    super::skeleton_pass(name, &mut String::new(), &mut settled);
    settled
}

fn fold(text: impl Iterator<Item = char>) -> String {
    let mut folded = String::new();
    super::fold(text, &mut folded);
    folded
}

#[test]
fn confusable_names_share_a_key() {
    for (one, other) in [
        ("Alice", "alice"),
        ("PAYPAL", "paypal"),
        ("paypaI", "paypal"),
        ("PAYPAI", "paypal"),
        ("b0b", "BOB"),
        ("1lI", "iii"),
        ("Bernard", "Bemard"),
        ("сосо", "coco"),
        ("СОСО", "coco"),
        ("ТОМ", "TOM"),
        ("вова", "BOBA"),
        ("Нина", "НИНА"),
        ("гор", "rop"),
        ("νορα", "vopa"),
        ("STRASSE", "straße"),
        ("STRAẞE", "strasse"),
        ("ΟΔΟΣ", "οδος"),
        ("οδοσ", "οδος"),
        ("İlker", "ilker"),
        ("i\u{307}lker", "ilker"),
        ("ılker", "ilker"),
        ("i\u{323}\u{307}", "i\u{323}"),
        ("José", "JOSE\u{301}"),
        ("Ꭰ", "ꭰ"),
        // The iota subscript follows the dot below, in any typed order.
        ("\u{1FB3}\u{323}", "α\u{323}\u{345}"),
    ] {
        assert_eq!(key(one), key(other), "{one} and {other}");
    }
}

#[test]
fn visibly_different_names_have_different_keys() {
    for (one, other) in [
        ("nova", "vova"),
        ("yura", "rura"),
        ("Иван", "Ivan"),
        ("Anna", "Ana"),
        ("Jose", "José"),
        ("Żak", "Zak"),
        ("Ёлка", "Елка"),
        ("ника", "вика"),
        ("李", "王"),
        ("bob_", "bob"),
    ] {
        assert_ne!(key(one), key(other), "{one} and {other}");
    }
}

#[test]
fn only_look_alike_letters_of_an_alphabet_share_a_key() {
    let merged = |alphabet: &str| -> Vec<String> {
        let pairs = alphabet.char_indices().flat_map(|(at, one)| {
            let others = alphabet[at..].chars().skip(1);
            others.map(move |other| (one, other))
        });
        pairs
            .filter(|(one, other)| key(&one.to_string()) == key(&other.to_string()))
            .map(|(one, other)| format!("{one}{other}"))
            .collect()
    };
    let digits_and_latin = "0123456789abcdefghijklmnopqrstuvwxyz";
    assert_eq!(merged(digits_and_latin), ["0o", "1i", "1l", "il"]);
    assert_eq!(merged("абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґў"), ["вь"]);
    assert_eq!(merged("αβγδεζηθικλμνξοπρστυφχψω"), ["οσ"]);
}

#[test]
fn every_key_is_case_insensitive_and_a_fixed_point() {
    for ch in ('\0'..=char::MAX).filter(|ch| ch.is_alphanumeric()) {
        let name = ch.to_string();
        let settled = skeleton_of(&name);
        if settled == name && fold(name.nfd()) == name && name.to_uppercase() == name {
            continue;
        }
        assert_eq!(key(&name.to_lowercase()), key(&name), "small {ch}");
        assert_eq!(key(&name.to_uppercase()), key(&name), "capital {ch}");
        let thrice = skeleton_of(&skeleton_of(&settled));
        assert_eq!(skeleton_of(&thrice), thrice, "passes of {ch}");
    }
}

#[test]
fn every_small_letter_has_the_key_of_its_ascii_skeleton() {
    let mut tried = 0;
    for ch in ('\0'..=char::MAX).filter(|ch| ch.is_alphanumeric()) {
        let mut looks = String::new();
        prototype(ch, &mut looks);
        let name = ch.to_string();
        if looks.is_ascii() && fold(name.nfd()) == name {
            assert_eq!(key(&name), key(&looks), "{ch} and {looks}");
            tried += 1;
        }
    }
    assert!(tried > 500, "only {tried} letters tried");
}

proptest! {
    #[test]
    fn case_makes_no_difference(name in any_name()) {
        let name: String = name.nfd().collect();
        prop_assert_eq!(key(&name.to_lowercase()), key(&name));
        prop_assert_eq!(key(&name.to_uppercase()), key(&name));
    }

    #[test]
    fn the_form_of_normalisation_makes_no_difference(name in any_name()) {
        let (composed, decomposed): (String, String) = (name.nfc().collect(), name.nfd().collect());
        prop_assert_eq!(key(&composed), key(&decomposed));
    }

    #[test]
    fn a_key_is_its_own_key(name in any_name()) {
        let once = key(&name);
        prop_assert_eq!(key(&once.0), once);
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,32}",
        "[a-zA-Zà-ÿа-яёА-ЯЁіїΑ-Ωα-ωßẞİıſmrn01\u{301}\u{307}\u{323}\u{345}]{1,32}"
    ]
}
