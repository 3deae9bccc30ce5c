//! The program and its environment variables: an empty one counts as unset, and an error names the
//! variable that its value came from.

use std::collections::BTreeSet;

/// Runs the program with these variables, and no others of its own.
fn program(args: &[&str], variables: &[(String, &str)]) -> (Option<i32>, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_chatagram"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        command.env_remove(name);
    }
    command.args(args).envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The variables of all options, by the rule that the help states, and of the arguments.
fn variables() -> BTreeSet<String> {
    let help = |args: &[&str]| {
        let output =
            std::process::Command::new(env!("CARGO_BIN_EXE_chatagram")).args(args).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let whole = help(&["--help"]);
    let commands = whole.lines().skip_while(|line| *line != "Commands:").skip(1);
    let commands = commands.map_while(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut names: BTreeSet<_> =
        ["server", "plan", "dir", "hex", "shell"].map(str::to_owned).into();
    for command in commands.filter(|command| !command.is_empty()) {
        for line in help(&[command, "--help"]).lines().map(str::trim_start) {
            let option = line.starts_with('-').then(|| line.split("--").nth(1)).flatten();
            names.extend(
                option.and_then(|text| text.split([' ', '[', '.']).next()).map(str::to_owned),
            );
        }
    }
    names.remove("help");
    names
        .iter()
        .map(|name| format!("CHATAGRAM_{}", name.to_uppercase().replace('-', "_")))
        .collect()
}

fn an_empty_variable_counts_as_unset() {
    let variables: Vec<_> = variables().into_iter().map(|name| (name, "")).collect();
    assert!(variables.len() > 40, "{variables:?}");
    assert_eq!(program(&["lab", "--print-plan"], &variables), (Some(0), String::new()));
    assert_eq!(program(&["decode", "00"], &variables).0, Some(1));
    // The required argument is missing then.
    let (code, error) = program(&["watch"], &variables);
    assert!(code == Some(2) && error.contains("SERVER"), "{error}");
}

fn an_error_names_the_variable_that_its_value_came_from() {
    for (args, name, value) in [
        (&["server"][..], "CHATAGRAM_RATE_LIMIT", "fast"),
        (&["server"], "CHATAGRAM_HEARTBEAT", "soon"),
        (&["server"], "CHATAGRAM_EXPIRY", "1s"),
        (&["client", "--nick", "a"], "CHATAGRAM_SERVER", "host:70000"),
        (&["lab", "--print-plan"], "CHATAGRAM_LOSS", "120"),
    ] {
        let (code, error) = program(args, &[(name.to_owned(), value)]);
        assert!(code == Some(2) && error.contains(name), "{name}: {error}");
    }
    let (_, error) =
        program(&["server", "--heartbeat", "soon"], &[("CHATAGRAM_HEARTBEAT".into(), "2s")]);
    assert!(!error.contains("CHATAGRAM_HEARTBEAT"), "{error}");
}

tests! {
    an_empty_variable_counts_as_unset,
    an_error_names_the_variable_that_its_value_came_from,
}
