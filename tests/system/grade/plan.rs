//! `chatagram grade --plan`, and the optional criteria.

use super::{Clients, grade, json_of, text_of, with};
use crate::needs::{is_all, needs};

/// The plan of the docs. Without `CHATAGRAM_TESTS=all` one case of each scenario.
fn documented() -> String {
    let page = std::fs::read_to_string(super::root().join("src/docs/grading.md")).unwrap();
    let (_, plan) = page.split_once("```toml\n").unwrap();
    let (plan, _) = plan.split_once("```").unwrap();
    if is_all() { plan.to_owned() } else { plan.replace("repetitions = 2", "repetitions = 1") }
}

fn the_documented_plan_grades() {
    needs(&["python3"]);
    let clients = Clients::new();
    let plan = clients.script("exam.toml", &documented());
    let right = || {
        let only: &[&str] = if is_all() { &[] } else { &["--only", "two-lost"] };
        let options = [&["--plan", &plan, "--format", "json"], only].concat();
        let report = json_of(&grade(&options, &["python3", &clients.minimal()]));
        assert!(with(&report, "failed").iter().all(|id| id == "slow"), "{report:#}");
        assert!(with(&report, "passed").contains(&"two-lost".to_owned()), "{report:#}");
        let rows = report["criteria"].as_array().unwrap();
        let points = |id: &str| &rows.iter().find(|row| row["id"] == id).unwrap()["points"];
        assert_eq!((points("retransmit"), points("two-lost")), (&6.into(), &4.into()));
        let file = report["plan"].as_str().unwrap();
        assert!(file.starts_with("exam.toml (SHA-256 "), "{file}");
    };
    // It prints lines as they arrive, so the plan's scenario fails; the case is not shown.
    let wrong = || {
        let mutant = ["python3", &clients.full(), "--mutant", "order-of-arrival"];
        let text = text_of(&grade(&["--plan", &plan, "--only", "two-lost"], &mutant));
        assert!(text.contains("FAILED  0/4  two-lost"), "{text}");
        assert!(text.contains("seen: not shown: the case is hidden"), "{text}");
        assert!(!text.contains("own1") && !text.contains("client to server"), "{text}");
        assert!(
            text.contains("of the plan: 0 of 4); --seed 1, plan exam.toml (SHA-256 "),
            "{text}"
        );
    };
    // They mostly wait.
    std::thread::scope(|scope| {
        scope.spawn(right);
        scope.spawn(wrong);
    });
}

fn a_wrong_plan_is_refused_with_its_line() {
    let clients = Clients::new();
    let plan = clients.script("wrong.toml", "hidden = true\n[points]\nheartbeet = 1\n");
    let output = grade(&["--plan", &plan], &["true"]);
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    for words in ["wrong.toml: ", "line 3", "did you mean `heartbeat`?"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let output = grade(&["--plan", "/no/plan.toml"], &["true"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains("cannot read /no/plan.toml"));
}

/// Without their names they are not judged, and the parts have the points that they had.
fn optional_criteria_are_judged_if_they_are_named() {
    let listed = |options: &[&str]| {
        let text = text_of(&grade(&[options, &["--list"]].concat(), &["true"]));
        text.lines().filter(|line| line.contains("tcp")).count()
    };
    assert_eq!((listed(&[]), listed(&["--only", "tcp-cut"])), (0, 2));
}

tests! {
    the_documented_plan_grades,
    a_wrong_plan_is_refused_with_its_line,
    optional_criteria_are_judged_if_they_are_named,
}
