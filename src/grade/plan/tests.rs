//! Plans, and the errors that they draw.

use super::words::Text;
use super::{Plan, Step};
use crate::grade::case::Case;
use crate::grade::scenario::Script;

fn error(text: &str) -> String {
    Plan::parse(text).unwrap_err()
}

/// A scenario with this line, the sixth.
fn own(line: &str) -> String {
    format!("[[scenario]]\nname = \"a\"\ntitle = \"b\"\nsection = \"§I.8\"\npoints = 1\n{line}\n")
}

#[test]
fn errors_name_the_line_and_the_nearest_key() {
    let many = format!("steps = [{}]", "\"reset\",".repeat(101));
    let cases = [
        ("repetition = 2\n", "line 1", "did you mean `repetitions`?"),
        ("\nhidden = 3\n", "line 2", "hidden"),
        ("criteria = [\"retransmitt\"]\n", "line 1", "did you mean `retransmit`?"),
        ("[points]\nheartbeet = 2\n", "line 2", "did you mean `heartbeat`?"),
        ("[points]\nheartbeat = -2\n", "line 2", "-2 is not one of 0 to 1000"),
        ("[network]\noverttaken = 2\n", "line 2", "did you mean `overtaken`?"),
        ("[network]\njoins = 9\n", "line 2", "9 is not one of 2 to 3"),
        ("names = [\"a b\", \"c\"]\n", "line 1", "the server refuses this name"),
        ("names = [\"-h\", \"c\"]\n", "line 1", "a client takes it for an option"),
        ("words = [\"\"]\n", "line 1", "a word has 4 to 10 bytes"),
        (&own("steps = [{ tech = \"x\" }]"), "line 6", "did you mean `teach`?"),
        (&own("steps = [{ teach = \"\" }]"), "line 6", "a line has 1 to 480 bytes"),
        (
            &own("steps = [{ teach = \"{1}{2}{3}{4}{5}{6}{7}{8}{9}{10}{11}{12}{13}{14}{15}\" }]"),
            "line 6",
            "a line has 1 to 480 bytes",
        ),
        (&own("steps = [{ type = \"exit\" }]"), "line 6", "it is not `exit`"),
        (&own("steps = [{ lose = { from = \"me\" } }]"), "line 6", "`client`"),
        (&own("steps = [{ lose = { from = \"client\", lines = 6 } }]"), "line 6", "1 to 5"),
        (&own(&many), "line 6", "101 are too many: give at most 100"),
        (&own("step = []"), "line 6", "did you mean `steps`?"),
        (&own("steps = []").replace("§I.8", "I.8"), "line 4", "a section of proto.md"),
        (&own("steps = []").replace("\"a\"", "\"A,b\""), "line 2", "small letters, digits and -"),
        (&own("steps = []").replace("\"b\"", "\"\\u001b\""), "line 3", "no control character"),
    ];
    for (text, line, words) in cases {
        let error = error(text);
        assert!(error.contains(line) && error.contains(words), "{text}: {error}");
    }
}

#[test]
fn what_spans_lines_is_checked_too() {
    assert!(error("names = [\"alice\", \"a1ice\"]").contains("none of which looks like another"));
    let talk = own("steps = []").replace("\"a\"", "\"talk\"");
    assert!(error(&talk).starts_with("scenario talk: another scenario or criterion"));
    assert!(error(&own("steps = []").repeat(2)).starts_with("scenario a: another"));
    assert_eq!(error(&own("burst = 2\nsteps = []")), "scenario a: burst needs a rate");
}

#[test]
fn a_plan_changes_points_cases_and_criteria() {
    let plan = "criteria = [\"say\"]\npoints = { say = 9 }\nnames = [\"Ana\", \"Bo\"]\n\
                words = [\"wxyz\"]\nnetwork = { missing = 7 }\nrepetitions = 3\n"
        .to_owned();
    let plan = plan + &own("steps = [{ teach = \"{1} and {x}\" }, \"leave\"]");
    let plan = Plan::parse(&plan).unwrap();
    let say = plan.table.iter().find(|it| it.id == "say").unwrap();
    let criterion = plan.table.last().unwrap();
    assert_eq!((say.points, criterion.id, criterion.points, criterion.part), (9, "a", 1, 4));
    assert_eq!(criterion.needs, ["cookie"]);
    assert_eq!(
        (plan.only.as_slice(), plan.repetitions),
        (&["say".to_owned(), "a".to_owned()][..], 3)
    );
    let case = |repetition| Case::new(1, "window", repetition, &plan.choices);
    let (first, second) = (case(0), case(1));
    assert_ne!(first.seed, second.seed);
    assert!(["Ana", "Bo"].contains(&first.name) && first.name != first.teacher);
    assert_eq!(first.chosen("missing", |plan| plan.missing), 7);
    assert!(first.text("own", 1).starts_with("own1 wxyz wxyz "));
    let Script::Own(own) = plan.scenarios.last().unwrap().script else { unreachable!() };
    let Step::Teach(text) = &own.steps()[0] else { unreachable!() };
    assert_eq!(text.of(&first), format!("{} and {{x}}", first.text("own", 1)));
}

/// The longest line of the longest words is not cut, and 100 of them fit into a pipe.
#[test]
fn a_line_with_its_texts_is_as_long_as_a_line_may_be() {
    let text = "{99}".repeat(15);
    assert!(Text::try_from(text.clone()).is_err());
    let plan = Plan::parse("words = [\"abcdefghij\"]").unwrap();
    let case = Case::new(1, "own", 0, &plan.choices);
    let most = (1..15).rev().find_map(|n| Text::try_from("{99}".repeat(n)).ok()).unwrap();
    assert!((400..=480).contains(&most.of(&case).len()), "{}", most.of(&case));
}

#[test]
fn without_a_plan_all_is_as_before() {
    let (empty, none) = (Plan::parse("").unwrap(), Plan::default());
    assert_eq!((&empty.only, empty.repetitions, empty.hidden), (&none.only, 1, false));
    let points = |it: &Plan| it.table.iter().map(|it| (it.id, it.points)).collect::<Vec<_>>();
    let given: Vec<_> = crate::grade::CRITERIA.iter().map(|it| (it.id, it.points)).collect();
    assert_eq!(points(&none), given);
}
