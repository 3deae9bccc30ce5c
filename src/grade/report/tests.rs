//! JUnit's XML and Gradescope's JSON against schemas, with a report that has all verdicts and texts
//! that no format may take as they are.

use super::{Format, Report, Verdict, render};
use crate::grade::criteria::CRITERIA;
use serde_json::Value;

/// An element of `junit-10.xsd`, which Jenkins reads: its attributes, `!` for a required one, and
/// its children.
type Element = (&'static str, &'static [&'static str], &'static [&'static str]);

const TEXT: &[&str] = &["type", "message"];
const JUNIT: &[Element] = &[
    ("testsuites", &["name", "time", "tests", "failures", "errors"], &["testsuite"]),
    (
        "testsuite",
        &[
            "name!",
            "tests!",
            "failures!",
            "errors!",
            "group",
            "time",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
            "file",
            "log",
            "url",
        ],
        &["testsuite", "properties", "testcase", "system-out", "system-err"],
    ),
    ("properties", &[], &["property"]),
    ("property", &["name!", "value!"], &[]),
    (
        "testcase",
        &["name!", "time", "classname", "group"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", TEXT, &[]),
    ("error", TEXT, &[]),
    ("failure", TEXT, &[]),
    ("system-out", &[], &[]),
    ("system-err", &[], &[]),
];

/// Gradescope's fields: of the whole, and of a test.
const WHOLE: &[(&str, Check)] = &[
    ("score", is_points),
    ("execution_time", is_points),
    ("output", Value::is_string),
    ("output_format", is_format),
    ("test_output_format", is_format),
    ("test_name_format", is_format),
    ("visibility", is_visibility),
    ("stdout_visibility", is_visibility),
    ("extra_data", Value::is_object),
    ("tests", Value::is_array),
    ("leaderboard", Value::is_array),
];
const TEST: &[(&str, Check)] = &[
    ("score", is_points),
    ("max_score", is_points),
    ("status", is_status),
    ("name", Value::is_string),
    ("name_format", is_format),
    ("number", Value::is_string),
    ("output", Value::is_string),
    ("output_format", is_format),
    ("tags", Value::is_array),
    ("visibility", is_visibility),
    ("extra_data", Value::is_object),
];

type Check = fn(&Value) -> bool;

fn is_points(value: &Value) -> bool {
    value.as_f64().is_some_and(|it| it >= 0.0)
}

fn is_one_of(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|it| words.contains(&it))
}

fn is_format(value: &Value) -> bool {
    is_one_of(value, &["text", "html", "simple_format", "md", "ansi"])
}

fn is_visibility(value: &Value) -> bool {
    is_one_of(value, &["hidden", "after_due_date", "after_published", "visible"])
}

fn is_status(value: &Value) -> bool {
    is_one_of(value, &["passed", "failed"])
}

/// Breaks the first rule that an object breaks.
fn check(object: &Value, fields: &[(&str, Check)]) {
    for (name, value) in object.as_object().unwrap() {
        let field = fields.iter().find(|(it, _)| it == name);
        let (_, is_right) = field.unwrap_or_else(|| panic!("no field is called {name}"));
        assert!(is_right(value), "{name}: {value}");
    }
}

const HOSTILE: &str = "=a]]><b a=\"'&\u{1b}[2J\u{0}\u{ffff}\u{202e}\n\t\r";

fn report() -> Report {
    let failed = Verdict::Failed {
        seen: super::quote(HOSTILE),
        expected: "a <b> & \"c\"".to_owned(),
        evidence: vec![crate::protocol::clean_lines(HOSTILE)],
    };
    let verdicts = CRITERIA.iter().enumerate().map(|(n, it)| match n % 4 {
        0 => (it, Verdict::Passed),
        1 => (it, failed.clone()),
        2 => (it, Verdict::Busy),
        _ => (it, Verdict::NotJudged { because: "header" }),
    });
    Report {
        seed: u64::MAX,
        plan: Some(crate::protocol::clean(HOSTILE).into_owned()),
        notes: vec!["a note".to_owned()],
        verdicts: verdicts.collect(),
    }
}

/// The elements of a document, as pairs of a name and attributes with values; `/NAME` is an end.
/// Panics if the text is not well-formed.
fn parse(text: &str) -> Vec<(String, Vec<(String, String)>)> {
    let is_char = |ch: char| {
        matches!(ch, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
            || ch > '\u{ffff}'
    };
    assert!(text.chars().all(is_char), "a character that XML does not have");
    let rest = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").unwrap();
    let mut tags = Vec::new();
    for piece in rest.split('<').skip(1) {
        let (tag, content) = piece.split_once('>').unwrap();
        assert!(!content.contains("]]>"), "{content}");
        content.split('&').skip(1).for_each(is_reference);
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut rest) = tag.split_once(' ').unwrap_or((tag, ""));
        let mut attributes = Vec::<(String, String)>::new();
        while let Some((key, more)) = rest.trim_start().split_once("=\"") {
            let (value, more) = more.split_once('"').unwrap();
            value.split('&').skip(1).for_each(is_reference);
            assert!(attributes.iter().all(|(it, _)| it != key), "{key} twice");
            attributes.push((key.to_owned(), value.to_owned()));
            rest = more;
        }
        assert!(rest.trim().is_empty(), "{tag}");
        tags.push((name.to_owned(), attributes));
        if is_empty {
            tags.push((format!("/{name}"), Vec::new()));
        }
    }
    tags
}

fn is_reference(text: &str) {
    let (name, _) = text.split_once(';').unwrap();
    assert!(["amp", "lt", "gt", "quot", "apos"].contains(&name) || name.starts_with('#'), "{name}");
}

#[test]
fn junit_has_its_schema() {
    let text = render(&report(), Format::Junit, false);
    let (mut open, mut count) = (Vec::<String>::new(), [0; 3]);
    for (name, attributes) in parse(&text) {
        if let Some(name) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name));
            continue;
        }
        let element = |name: &str| *JUNIT.iter().find(|it| it.0 == name).unwrap();
        let (_, known, _) = element(&name);
        match open.last() {
            Some(parent) => assert!(element(parent).2.contains(&&*name), "{name} in {parent}"),
            None => assert_eq!(name, "testsuites"),
        }
        let has = |key: &str| attributes.iter().any(|(it, _)| it == key);
        for required in known.iter().filter_map(|key| key.strip_suffix('!')) {
            assert!(has(required), "{name} without {required}");
        }
        for (key, value) in &attributes {
            assert!(known.iter().any(|it| it.trim_end_matches('!') == key), "{name}: {key}");
            let counted = ["tests", "failures", "skipped"].iter().position(|it| it == key);
            if let Some(at) = counted.filter(|_| name == "testsuite") {
                count[at] = value.parse().unwrap();
            }
        }
        let child = ["testcase", "failure", "skipped"].iter().position(|it| *it == name);
        if let Some(at) = child {
            count[at] -= 1;
        }
        open.push(name);
    }
    assert!(open.is_empty(), "{open:?}");
    assert_eq!(count, [0; 3], "the suite's counts are those of its cases");
}

#[test]
fn gradescope_has_its_fields() {
    let text = render(&report(), Format::Gradescope, false);
    let value: Value = serde_json::from_str(&text).unwrap();
    check(&value, WHOLE);
    let tests = value["tests"].as_array().unwrap();
    assert_eq!(tests.len(), CRITERIA.len());
    tests.iter().for_each(|test| check(test, TEST));
    let sum: f64 = tests.iter().map(|it| it["score"].as_f64().unwrap()).sum();
    assert_eq!(value["score"].as_f64(), Some(sum));
    for test in tests {
        assert!(test["score"].as_f64() <= test["max_score"].as_f64(), "{test}");
    }
}

#[test]
fn csv_has_as_many_cells_in_each_row() {
    let text = render(&report(), Format::Csv, false);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), CRITERIA.len());
    assert!(rows.iter().all(|row| row.len() == 10 && row.iter().all(|it| !it.starts_with('='))));
    // So that tables from two plans are not taken for one another.
    let plan = crate::lab::report::safe(&report().plan.unwrap());
    assert!(rows.iter().all(|row| row[8] == *u64::MAX.to_string() && row[9] == *plan));
}
