//! The texts of the room's page: `src/server/web/page`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LANGUAGES: [&str; 3] = ["en", "ru", "zh"];

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/web/page")
}

fn read(file: &str) -> String {
    fs::read_to_string(directory().join(file)).unwrap()
}

/// The texts of a language by key: for each plural form one, with all their `{parameters}`.
fn catalogue(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut texts = BTreeMap::new();
    let mut parameters: &mut BTreeSet<String> = &mut BTreeSet::new();
    for line in read(&format!("{language}.js")).lines() {
        if let Some((key, _)) = line.strip_prefix("  \"").and_then(|it| it.split_once("\": ")) {
            let old = texts.insert(key.to_owned(), BTreeSet::new());
            assert_eq!(old, None, "{language}.js has {key} twice");
            parameters = texts.get_mut(key).unwrap();
        }
        for part in line.split('{').skip(1) {
            let name = part.split('}').next().unwrap();
            if name.chars().all(|it| it.is_ascii_lowercase()) && !name.is_empty() {
                parameters.insert(name.to_owned());
            }
        }
    }
    texts
}

/// The strings in double quotes of all files but the catalogue, and the keys in the markup.
fn mentioned() -> BTreeSet<String> {
    let files = fs::read_dir(directory()).unwrap().map(|it| it.unwrap().path());
    let files = files.filter(|it| {
        let stem = it.file_stem().unwrap().to_str().unwrap();
        !LANGUAGES.contains(&stem) && !it.ends_with("page.css")
    });
    let text: String = files.map(|it| fs::read_to_string(it).unwrap()).collect();
    text.split('"').map(str::to_owned).collect()
}

/// The keys that the page asks for: `t("key"` and its like.
fn asked() -> BTreeSet<String> {
    let files = fs::read_dir(directory()).unwrap().map(|it| it.unwrap().path());
    let text: String = files.map(|it| fs::read_to_string(it).unwrap()).collect();
    let calls = ["t(\"", "nodes(\"", "status(\"", "data-words=\""];
    let keys = calls.iter().flat_map(|call| {
        // Not the end of another name, such as `import("`.
        let ending = |it: &str| it.rsplit(|c: char| !c.is_alphanumeric()).next().map(str::len);
        let chunks: Vec<_> = text.split(call).collect();
        let after = chunks.windows(2).filter(|it| ending(it[0]) == Some(0));
        after.map(|it| it[1].split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    });
    keys.filter(|it| !it.is_empty()).collect()
}

#[test]
fn every_text_of_the_page_is_in_every_language() {
    let english = catalogue("en");
    assert!(english.len() > 100, "{}", english.len());
    for language in LANGUAGES {
        let other = catalogue(language);
        let keys = |of: &BTreeMap<String, _>| of.keys().cloned().collect::<BTreeSet<_>>();
        let apart: Vec<_> = keys(&english).symmetric_difference(&keys(&other)).cloned().collect();
        assert!(apart.is_empty(), "in only one of en.js and {language}.js: {apart:?}");
        for (key, parameters) in &english {
            assert!(
                other[key].is_subset(parameters),
                "{language}.js, {key}: the parameters are {parameters:?}, not {:?}",
                other[key]
            );
        }
    }
}

#[test]
fn the_page_uses_every_text_and_asks_for_no_other() {
    let texts: BTreeSet<_> = catalogue("en").into_keys().collect();
    let unused: Vec<_> = texts.difference(&mentioned()).cloned().collect();
    assert!(unused.is_empty(), "no part of the page uses {unused:?}");
    let missing: Vec<_> = asked().difference(&texts).cloned().collect();
    assert!(missing.is_empty(), "the catalogue lacks {missing:?}");
}

#[test]
fn the_dials_have_the_presets_of_the_command_line() {
    let dials = read("dials.js");
    for (name, text) in chatagram::impair::PRESETS {
        let listed = dials.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(listed.contains(&format!("[\"{name}\", \"{text}\"]")), "dials.js: {name}: {text}");
    }
}

/// The page carries its own policy against scripts from elsewhere; its parts keep to it.
#[test]
fn no_part_of_the_page_reads_text_as_markup_or_code() {
    for file in fs::read_dir(directory()).unwrap().map(|it| it.unwrap().path()) {
        let text = fs::read_to_string(&file).unwrap();
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "style=",
            "onclick=",
            "https:",
            "@import",
            "url(",
        ] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", file.display());
        }
    }
    assert_eq!(read("index.html").matches("<script").count(), 1);
}

/// `palette.rs` shows that the colour-blind tell the report's colours apart, and can read them.
#[test]
fn the_page_has_the_colours_of_the_report() {
    let colours = |file: &str| -> Vec<BTreeMap<String, String>> {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
        let text = text.replace(['\n', ' '], "");
        let roots = text.split(":root{").skip(1).map(|it| {
            let variables = it.split('}').next().unwrap().split(';');
            let pairs = variables.filter_map(|it| it.strip_prefix("--")?.split_once(':'));
            pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        });
        roots.collect()
    };
    let report = colours("src/lab/report/style.css");
    let page = colours("src/server/web/page/page.css");
    assert_eq!((report.len(), page.len()), (2, 2), "light and dark");
    for (report, page) in report.iter().zip(&page) {
        for name in ["fg", "bg", "mut", "grid", "cross", "m0", "m1", "m2", "m3"] {
            assert_eq!(report[name], page[name], "--{name}");
        }
    }
}

#[test]
fn every_file_of_the_page_is_embedded() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/web/assets.rs");
    let assets = fs::read_to_string(assets).unwrap();
    for file in fs::read_dir(directory()).unwrap().map(|it| it.unwrap().file_name()) {
        let name = file.to_str().unwrap();
        let is_named = assets.contains(&format!("\"{name}\"")) || name == "index.html";
        assert!(is_named, "assets.rs does not embed {name}");
    }
}
