//! The steps of the kits agree with the criteria, and the places in the code with the steps.

use super::{KITS, Kit, STEPS, vectors};
use crate::grade::{CRITERIA, Criterion};
use std::collections::BTreeSet;

/// A step of `README.md`.
struct Step<'a> {
    number: usize,
    points: u32,
    criteria: Vec<&'static Criterion>,
    /// Criteria and sections.
    names: Vec<&'a str>,
}

/// The words of a list that ends with a point.
fn list(text: &str) -> Vec<&str> {
    let text = text.split_once(".\n").or(text.split_once(". ")).map_or(text, |(list, _)| list);
    text.split(',').map(str::trim).collect()
}

fn steps() -> Vec<Step<'static>> {
    let parts = STEPS.split("\n## ").filter_map(|part| part.strip_prefix("Step "));
    parts
        .map(|part| {
            let (number, rest) = part.split_once(": ").unwrap();
            let (_, rest) = rest.split_once(" minutes, ").unwrap();
            let (points, rest) = rest.split_once(" points)\n").unwrap();
            let (_, rest) = rest.split_once("Criteria: ").unwrap();
            let (names, rest) = rest.split_once(". Sections: ").unwrap();
            let criterion = |id: &str| CRITERIA.iter().find(|it| it.id == id);
            let criteria = list(names).into_iter().map(|id| criterion(id).expect(id)).collect();
            Step {
                number: number.parse().unwrap(),
                points: points.parse().unwrap(),
                criteria,
                names: list(rest),
            }
        })
        .collect()
}

#[test]
fn the_steps_have_each_criterion_of_part_1_once_and_in_order() {
    let (mut points, mut known) = (0, BTreeSet::new());
    for (step, number) in steps().iter().zip(1..) {
        assert_eq!(step.number, number);
        points += step.criteria.iter().map(|it| it.points).sum::<u32>();
        assert_eq!(step.points, points, "step {number}");
        for it in &step.criteria {
            assert!(known.insert(it.id), "{} twice", it.id);
            assert!(step.names.contains(&it.section), "{}: {} in step {number}", it.id, it.section);
        }
        for it in &step.criteria {
            let missing: Vec<_> = it.needs.iter().filter(|id| !known.contains(*id)).collect();
            assert!(missing.is_empty(), "{} in step {number} needs {missing:?}", it.id);
        }
    }
    let missing: Vec<_> = CRITERIA
        .iter()
        .filter(|it| it.part == 1 && !known.contains(it.id))
        .map(|it| it.id)
        .collect();
    assert!(missing.is_empty(), "no step has {missing:?}");
}

#[test]
fn each_kit_marks_the_places_of_all_steps() {
    let last = steps().len();
    for kit in KITS {
        let (_, client) = kit.files.iter().find(|(name, _)| *name == kit.places[0]).unwrap();
        let marks = client.split("STEP ").skip(1);
        let marks: BTreeSet<usize> =
            marks.filter_map(|it| it.split(' ').next()?.parse().ok()).collect();
        // The first one is given.
        assert_eq!(marks, (2..=last).collect(), "{}", kit.name);
        let readme = kit.readme();
        assert!(!readme.contains(['{', '}']), "{}: a place without its word", kit.name);
    }
}

#[test]
fn the_vectors_are_those_of_proto_md() {
    let text = vectors();
    let count = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
    assert!(count("header ") >= 50, "{}", count("header "));
    assert!(count("integer ") == 8 && text.contains("\ninteger fb fb00fb\n"), "{text}");
    for name in ["too-short", "too-long", "garbage", "version", "checksum", "flags"] {
        assert!(text.contains(&format!("\nrejected {name} ")), "{name}");
    }
    assert!(text.contains("\nheader 2 123456789abcdef 7 5 f 16e360 0 102 43470102ca96575f"));
}

#[test]
fn a_kit_is_not_written_over_something() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    let kit = Kit::named("c").unwrap();
    kit.write(&new).unwrap();
    assert!(new.join("client.c").exists() && new.join("vectors.txt").exists());
    let again = kit.write(&new).unwrap_err().to_string();
    assert!(again.ends_with("new is not empty: name a new directory"), "{again}");
    assert!(kit.write(&new.join("client.c")).is_err());
}
