//! Parses the command line, starts logging, runs what was asked for, and says how it ended.

use chatagram::cli::{Cli, Command};
use chatagram::run;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Server { server, network, impair, logging } => {
            run::server(&server, &network, &impair, &logging)
        }
        Command::Client { server, client, network, impair, logging } => {
            run::client(server, &client, &network, &impair, &logging)
        }
        Command::Discover { discover, logging } => run::discover(&discover, &logging),
        Command::Host { client, server, network, impair, logging } => {
            run::host(&client, &server, &network, &impair, &logging)
        }
        Command::Watch { server, watch, logging } => run::watch(server, &watch, &logging),
        Command::Load { server, load, network, logging } => {
            run::load(server, &load, &network, &logging)
        }
        Command::Lab { lab, logging } => run::lab(&lab, &logging),
        Command::Replay { replay, logging } => run::replay(&replay, &logging),
        Command::Report { dir, logging } => run::report(&dir, &logging),
        Command::Decode { decode } => run::decode(&decode),
        Command::Doctor { doctor } => run::doctor(&doctor),
        Command::Completions { completions } => run::completions(&completions),
        Command::Man { man } => run::man(&man),
    }
}
