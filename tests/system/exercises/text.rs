//! Reads the blocks of `scripts/exercises.md` by the convention in its section "How the text is
//! written": the commands for each terminal and the expected output.

/// One exercise: a heading of the second level that begins with "Exercise".
pub(crate) struct Exercise {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) steps: Vec<Step>,
}

/// One block; `line` is its first line in the file.
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) terminal: String,
    pub(crate) what: What,
}

pub(crate) enum What {
    /// An `sh` block. The previous command of this terminal is waited for, or ended with Ctrl-C.
    Type { script: String, after_ctrl_c: bool, with_tshark: bool },
    /// A `text` block: expected output, as groups of adjacent lines. Others may stand between
    /// groups.
    See { groups: Vec<Vec<String>> },
}

pub(crate) fn read(markdown: &str) -> Vec<Exercise> {
    let mut exercises: Vec<Exercise> = Vec::new();
    let mut lines = markdown.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        if let Some(title) = text.strip_prefix("## ") {
            let (title, text, steps) = (title.to_owned(), String::new(), Vec::new());
            exercises.push(Exercise { title, text, steps });
            continue;
        }
        let Some(exercise) = exercises.last_mut() else { continue };
        exercise.text += &format!("{text}\n");
        let Some(language) = text.strip_prefix("```") else { continue };
        let block: Vec<&str> =
            lines.by_ref().map(|(text, _)| text).take_while(|text| *text != "```").collect();
        if ["sh", "text"].contains(&language) {
            exercise.steps.push(step(language, line, &block));
        }
    }
    exercises.retain(|exercise| exercise.title.starts_with("Exercise "));
    exercises
}

fn step(language: &str, line: usize, block: &[&str]) -> Step {
    let heading = block.first().and_then(|first| first.strip_prefix("# terminal "));
    let heading = heading.unwrap_or_else(|| panic!("line {line}: no '# terminal N'"));
    let mut words = heading.split(", ");
    let terminal = words.next().unwrap_or_default().to_owned();
    let rest: Vec<&str> = words.collect();
    let what = match language {
        "sh" => What::Type {
            script: block[1..].join("\n"),
            after_ctrl_c: rest.contains(&"after Ctrl-C"),
            with_tshark: rest.contains(&"with tshark"),
        },
        _ => What::See { groups: groups(&block[1..]) },
    };
    let known = ["after Ctrl-C", "with tshark"];
    assert!(rest.iter().all(|word| known.contains(word)), "line {line}: {rest:?}");
    Step { line, terminal, what }
}

fn groups(block: &[&str]) -> Vec<Vec<String>> {
    let groups = block.split(|line| line.trim() == "...").filter(|group| !group.is_empty());
    groups.map(|group| group.iter().map(|line| (*line).to_owned()).collect()).collect()
}

/// The index at or after `from` where all these lines are found, adjacent.
pub(crate) fn find(group: &[String], printed: &[String], from: usize) -> Option<usize> {
    (from..=printed.len().saturating_sub(group.len())).find(|start| {
        let there = printed.get(*start..*start + group.len());
        there.is_some_and(|lines| {
            group.iter().zip(lines).all(|(expected, line)| fits(expected, line))
        })
    })
}

/// True if a printed line fits an expected one: `...` stands for any text, a run of spaces for any
/// run of spaces (a wide number takes some of its column's padding), trailing spaces for nothing.
pub(crate) fn fits(expected: &str, line: &str) -> bool {
    let (expected, line) = (single_spaced(expected), single_spaced(line));
    let mut parts = expected.split("...");
    let Some(mut rest) = parts.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

fn single_spaced(line: &str) -> String {
    let mut chars: Vec<char> = line.trim_end().chars().collect();
    chars.dedup_by(|next, before| (*next, *before) == (' ', ' '));
    chars.into_iter().collect()
}
