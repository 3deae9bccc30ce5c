//! The program: parses the command line, starts logging, runs the command, returns an exit code.
//!
//! | module | owns |
//! |---|---|
//! | `cli` | options, their environment variables and their help |
//! | `run` | the commands: each puts parts of the library together |
//! | `doctor` | what this machine can do for the program, and what would help |
//! | `logging` | messages about the program: standard error, a file, the line editor |
//! | `paths` | default locations of files |

mod cli;
mod doctor;
mod logging;
mod paths;
mod run;

use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    run::survive_file_size_limit();
    let code = match Cli::read(&std::env::args_os().collect::<Vec<_>>()) {
        Ok(line) => carry_out(&line.command),
        Err(answer) => run::usage(&answer),
    };
    logging::finish();
    code
}

fn carry_out(command: &Command) -> ExitCode {
    match command {
        Command::Server { server, network, impair, lang, logging } => {
            run::server(server, network, impair, *lang, logging)
        }
        Command::Client { server, ticket, client, network, impair, lang, logging } => {
            run::client(server, ticket, client, network, impair, *lang, logging)
        }
        Command::Discover { discover, lang, logging } => run::discover(discover, *lang, logging),
        Command::Host { client, server, network, impair, lang, logging } => {
            run::host(client, server, network, impair, *lang, logging)
        }
        Command::Watch { server, ticket, watch, lang, logging } => {
            run::watch(server, ticket, watch, *lang, logging)
        }
        Command::Load { server, ticket, load, network, logging } => {
            run::load(server.as_slice(), ticket, load, network, logging)
        }
        Command::Lab { lab, logging } => run::lab(lab, logging),
        Command::Replay { replay, logging } => run::replay(replay, logging),
        Command::Report { report, logging } => run::report(report, logging),
        Command::Decode { decode } => run::decode(decode),
        Command::Grade { grade } => run::grade(grade),
        Command::Kit { kit } => run::kit(kit),
        Command::Doctor { doctor } => run::doctor(doctor),
        Command::Completions { completions } => run::completions(completions),
        Command::Man { man } => run::man(man),
    }
}
