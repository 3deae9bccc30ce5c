//! The parser accepts every value that the documents and the help recommend.

use super::Cli;
use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, Parser};
use std::path::Path;

/// The README and the other pages, as paths from the root of the repository.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("src/docs")).unwrap();
    let pages = pages.map(|page| page.unwrap().file_name().into_string().unwrap());
    let pages = pages.map(|name| format!("src/docs/{name}"));
    let others = ["README.md", "proto.md", "scripts/exercises.md"].map(str::to_owned);
    others.into_iter().chain(pages).collect()
}

fn read(document: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap()
}

/// The error of this command line, if it is refused.
fn refusal(words: &[String]) -> Option<String> {
    match Cli::try_parse_from(words) {
        Err(error) if error.exit_code() != 0 => Some(error.to_string()),
        _ => None,
    }
}

/// Splits a line into words like a shell, up to the first operator.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote) = (None::<String>, None);
    for ch in line.chars() {
        match (ch, quote) {
            (ch, Some(open)) if ch == open => quote = None,
            (ch, Some(_)) => word.get_or_insert_default().push(ch),
            ('\'' | '"', None) => {
                quote = Some(ch);
                word.get_or_insert_default();
            }
            ('|' | '&' | ';' | '<' | '>' | ')' | '#', None) if word.is_none() => break,
            (';' | '&' | ')', None) => break,
            (ch, None) if ch.is_whitespace() => words.extend(word.take()),
            (ch, None) => word.get_or_insert_default().push(ch),
        }
    }
    words.extend(word);
    words
}

/// The command lines of this program in a document's blocks and phrases of code.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```").skip(1).step_by(2);
    let joined = blocks.map(|block| block.replace("\\\n", " ")).collect::<Vec<_>>().join("\n");
    let phrases =
        text.split("```").step_by(2).flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let lines: Vec<String> =
        joined.lines().map(str::to_owned).chain(phrases.map(|it| it.replace('\n', " "))).collect();
    let mut found = Vec::new();
    for line in &lines {
        let line = line
            .split_once("cargo run --release -- ")
            .map_or_else(|| line.clone(), |(before, rest)| format!("{before}chatagram {rest}"));
        let words = words(&line);
        let Some(at) = words.iter().position(|word| word == "chatagram") else { continue };
        // Only after environment settings or at the start; elsewhere it is part of another command.
        if words[..at].iter().all(|word| word.contains('=')) && words.len() > at + 1 {
            found.push(words[at..].to_vec());
        }
    }
    found
}

#[test]
fn every_command_line_in_the_documents_parses() {
    let mut count = 0;
    for document in documents() {
        for line in command_lines(&read(&document)) {
            // A mention of a command without its arguments.
            let Err(error) = Cli::try_parse_from(&line) else {
                count += 1;
                continue;
            };
            let known =
                Cli::command().find_subcommand(&line[1]).is_some() || line[1].starts_with('-');
            let partial = [ErrorKind::MissingRequiredArgument, ErrorKind::MissingSubcommand];
            let fine = error.exit_code() == 0 || partial.contains(&error.kind());
            assert!(fine && known, "{document}: {line:?}: {error}");
        }
    }
    assert!(count >= 20, "{count} command lines");
}

/// A command line with this argument and all that the command requires.
fn with(command: &Command, arg: &Arg, value: &str) -> Vec<String> {
    let mut words = vec!["chatagram".to_owned(), command.get_name().to_owned()];
    for needed in command.get_arguments().filter(|it| it.is_required_set()) {
        if needed.get_id() == arg.get_id() {
            continue;
        }
        words.extend(needed.get_long().map(|long| format!("--{long}")));
        words.push(match needed.get_id().as_str() {
            "shell" => "bash".to_owned(),
            _ => "a-value".to_owned(),
        });
    }
    // Clap does not tell which option an argument requires.
    if arg.get_id() == "answers" || arg.get_long() == Some("server") {
        words.push("--client=a-value".to_owned());
    }
    // Nor which option stands in place of an argument.
    let is_place = matches!(arg.get_id().as_str(), "server" | "ticket_file");
    if matches!(command.get_name(), "watch" | "load") && !is_place {
        words.push("--ticket-file=a-value".to_owned());
    }
    match arg.get_long() {
        Some(long) => words.push(format!("--{long}={value}")),
        None => words.push(value.to_owned()),
    }
    words
}

/// All commands with all their arguments.
fn arguments() -> Vec<(Command, Arg)> {
    let mut whole = Cli::command();
    whole.build();
    let commands = whole.get_subcommands().filter(|command| command.get_name() != "help");
    let all = commands.flat_map(|command| {
        command.get_arguments().map(|arg| (command.clone(), arg.clone())).collect::<Vec<_>>()
    });
    all.filter(|(_, arg)| arg.get_id() != "help" && arg.get_action().takes_values()).collect()
}

#[test]
fn every_option_with_a_value_in_the_documents_parses() {
    let arguments = arguments();
    let mut count = 0;
    for document in documents() {
        let text = read(&document);
        let phrases = text.split("```").step_by(2).flat_map(|it| it.split('`').skip(1).step_by(2));
        for phrase in phrases.filter(|phrase| phrase.starts_with("--")) {
            let words = words(&phrase.replace('\n', " "));
            let joined = words[0]
                .split_once('=')
                .map(|(option, value)| (option.to_owned(), value.to_owned()));
            let pair = joined.or_else(|| Some((words[0].clone(), words.get(1)?.clone())));
            let Some((option, value)) = pair else { continue };
            // A placeholder, or the next option.
            let placeholder = value.starts_with(|ch: char| ch.is_ascii_uppercase() || ch == '-');
            if placeholder || value.contains('…') {
                continue;
            }
            let known = arguments.iter().filter(|(_, arg)| {
                arg.get_long().is_some_and(|long| option == format!("--{long}"))
            });
            let refusals: Vec<_> =
                known.clone().map(|(command, arg)| refusal(&with(command, arg, &value))).collect();
            // Several commands may have an option of this name, with other values.
            let taken = refusals.is_empty() || refusals.iter().any(Option::is_none);
            assert!(taken, "{document}: {phrase}: {refusals:?}");
            count += usize::from(!refusals.is_empty());
        }
    }
    assert!(count >= 10, "{count} values");
}

/// The examples in an argument's help: what is quoted, and what begins with a digit or looks like
/// a part of an address.
fn examples(help: &str) -> Vec<String> {
    let mut examples: Vec<String> = Vec::new();
    let mut bare = String::new();
    // A quote opens after a space; otherwise it is an apostrophe.
    let mut rest = help;
    while let Some(at) = rest.find(" '") {
        let (before, quoted) = rest.split_at(at);
        bare += before;
        let Some((inner, after)) = quoted[2..].split_once('\'') else { break };
        examples.push(inner.split_whitespace().collect::<Vec<_>>().join(" "));
        rest = after;
    }
    bare += rest;
    let words =
        bare.split_whitespace().map(|word| word.trim_matches([',', ';', '.', '(', ')', ']']));
    let is_value = |word: &&str| word.starts_with(|ch: char| ch.is_ascii_digit());
    examples.extend(words.filter(is_value).map(|word| word.trim_end_matches(':').to_owned()));
    examples
}

#[test]
fn every_value_in_the_help_parses() {
    let mut count = 0;
    for (command, arg) in arguments() {
        let help = [arg.get_help(), arg.get_long_help()];
        let help = help.into_iter().flatten().map(ToString::to_string);
        let values: Vec<_> = help.flat_map(|help| examples(&format!(" {help}"))).collect();
        for value in values {
            let line = with(&command, &arg, &value);
            assert_eq!(refusal(&line), None, "{line:?}");
            count += 1;
        }
        for default in arg.get_default_values() {
            let line = with(&command, &arg, &default.to_string_lossy());
            assert_eq!(refusal(&line), None, "{line:?}");
        }
    }
    assert!(count >= 40, "{count} values");
}

/// The program and its commands.
fn commands() -> Vec<Command> {
    let whole = Cli::command();
    let parts: Vec<_> = whole.get_subcommands().cloned().collect();
    std::iter::once(whole).chain(parts).collect()
}

#[test]
fn every_example_in_the_help_parses() {
    for command in commands() {
        let name = command.get_name();
        for tail in [command.get_after_help(), command.get_after_long_help()] {
            let tail = tail.unwrap_or_else(|| panic!("{name} has no examples")).to_string();
            let examples = command_lines(&format!("```\n{tail}\n```"));
            assert!(!examples.is_empty(), "{name}: {tail}");
            for line in examples {
                let refusal = refusal(&line);
                assert_eq!(refusal, None, "{line:?}");
            }
        }
        let tail = command.get_after_long_help().unwrap().to_string();
        let page = tail.split_once("More: ").unwrap().1.split(' ').next().unwrap();
        assert!(documents().contains(&page.to_owned()), "{name}: no page {page}");
    }
}

#[test]
fn help_fits_a_screen() {
    const COLUMNS: usize = 100;
    for command in commands() {
        let name = Some(command.get_name()).filter(|name| *name != "chatagram");
        for (option, most) in [("-h", 40), ("--help", 67)] {
            let line: Vec<_> = ["chatagram"].into_iter().chain(name).chain([option]).collect();
            let line: Vec<_> = line.into_iter().map(Into::into).collect();
            let help = Cli::read(&line).unwrap_err();
            assert_eq!(help.kind(), ErrorKind::DisplayHelp);
            let help = help.to_string();
            assert!(help.lines().count() <= most, "{help}");
            for line in help.lines() {
                let columns = line.chars().count();
                assert!(columns <= COLUMNS, "{columns} columns: {line}");
            }
        }
    }
}
