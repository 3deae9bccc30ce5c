//! The catalogue of texts: `src/words`. The compiler finds texts without a language, with other
//! placeholders, and unused ones of the library; of those for the program it cannot know.

use std::fs;
use std::path::{Path, PathBuf};

/// The Rust files below a directory, and their texts.
fn sources(directory: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut places = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)];
    while let Some(place) = places.pop() {
        if place.is_dir() {
            places.extend(fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()));
        } else if place.extension().is_some_and(|it| it == "rs") {
            found.push((place.clone(), fs::read_to_string(place).unwrap()));
        }
    }
    found
}

#[test]
fn the_program_uses_each_text_that_is_public_for_it() {
    let used: String = sources("src").into_iter().map(|(_, text)| text).collect();
    let mut texts = 0;
    for (path, text) in sources("src/words") {
        for part in text.split("    pub fn ").skip(1) {
            let (name, _) = part.split_once('(').unwrap();
            texts += 1;
            assert!(used.contains(&format!(".{name}(")), "{}: {name} is unused", path.display());
        }
    }
    assert!(texts >= 20, "only {texts} texts are found");
}

/// A text in the column of another language is a mistake that no compiler finds.
#[test]
fn each_column_is_in_its_writing() {
    let is_cyrillic = |ch: char| ('\u{400}'..='\u{4ff}').contains(&ch);
    let is_chinese = |ch: char| ('\u{4e00}'..='\u{9fff}').contains(&ch);
    let mut columns = [0, 0];
    for (path, text) in sources("src/words") {
        let code = text.split("#[cfg(test)]").next().unwrap().replace("\\\"", "'");
        for text in code.split('"').skip(1).step_by(2) {
            let writings = [text.chars().any(is_cyrillic), text.chars().any(is_chinese)];
            assert_ne!(writings, [true, true], "{}: two languages: {text}", path.display());
            columns.iter_mut().zip(writings).for_each(|(count, it)| *count += usize::from(it));
        }
        for call in code.split(" say!(").skip(1) {
            let texts: Vec<_> = call.split('"').skip(1).step_by(2).take(3).collect();
            let [en, ru, zh] = texts[..] else { panic!("{}: {call}", path.display()) };
            assert!(!en.chars().any(|it| is_cyrillic(it) || is_chinese(it)), "English: {en}");
            assert!(!ru.chars().any(is_chinese), "Russian: {ru}");
            assert!(!zh.chars().any(is_cyrillic), "Chinese: {zh}");
        }
    }
    assert!(columns.iter().all(|count| *count > 200), "{columns:?}");
}
