//! Environment variables of options. An empty variable counts as unset, and an error names the
//! variable that has the wrong value.

use super::{Cli, help};
use chatagram::words::Language;
use clap::builder::Resettable;
use clap::{Arg, Command, CommandFactory, FromArgMatches};
use std::ffi::{OsStr, OsString};

impl Cli {
    /// Parses a command line, the program's name first, and the environment.
    ///
    /// # Errors
    /// An error of clap, or help that the user asked for.
    pub(crate) fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        let is_short = args.iter().any(|arg| arg == "-h");
        let shape = |command: Command| {
            let command = command.mut_args(without_empty_twin);
            help::on_one_screen(command, is_short)
        };
        let command = shape(Self::command()).mut_subcommands(shape);
        let mut matches = command.try_get_matches_from(args)?;
        Self::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut Self::command()))
    }
}

fn without_empty_twin(arg: Arg) -> Arg {
    match value(&arg) {
        Some(value) if value.is_empty() => arg.env(Resettable::<clap::builder::OsStr>::Reset),
        _ => arg,
    }
}

/// The value of an argument's environment variable.
fn value(arg: &Arg) -> Option<OsString> {
    arg.get_env().and_then(std::env::var_os)
}

/// The variables that an error is about, a line each, for values not from the command line.
pub(crate) fn origins(error: &str, args: &[OsString], say: Language) -> String {
    let mut command = Cli::command();
    // Without this, arguments have no names to show.
    command.build();
    let named = args.iter().skip(1).filter_map(|arg| command.find_subcommand(arg));
    let Some(sub) = named.map(Command::get_arguments).next() else { return String::new() };
    // The rest are hints about options that the user did not give.
    let error = error.split("\n\n").next().unwrap_or_default();
    let set = sub.filter(|arg| value(arg).is_some_and(|value| !value.is_empty()));
    let meant = set.filter(|arg| names(error, arg) && !is_given(args, arg));
    let line = |arg: &Arg| {
        let variable = arg.get_env().map(OsStr::to_string_lossy).unwrap_or_default();
        say.value_from(arg, &variable) + "\n"
    };
    meant.map(line).collect()
}

/// Whether a URL with a password is on the command line, for all users of the machine to read.
pub(crate) fn shows_password(args: &[OsString]) -> bool {
    let words = args.iter().map(|word| word.to_string_lossy());
    words
        .skip_while(|word| !word.starts_with("--engine"))
        .take(2)
        .any(|word| word.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).is_some())
}

fn names(error: &str, arg: &Arg) -> bool {
    match arg.get_long() {
        Some(long) => {
            let option = format!("--{long}");
            error
                .split(&option)
                .skip(1)
                .any(|rest| !rest.starts_with(|ch: char| ch.is_alphanumeric() || ch == '-'))
        }
        None => error.contains(&arg.to_string()),
    }
}

fn is_given(args: &[OsString], arg: &Arg) -> bool {
    let Some(long) = arg.get_long() else {
        // Its value is one of the words in any case.
        return value(arg).is_none_or(|value| args.contains(&value));
    };
    let option = format!("--{long}");
    args.iter().map(|word| word.to_string_lossy()).any(|word| {
        word.strip_prefix(&option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    })
}
