//! Parses the command line, starts logging, runs what was asked for, and says how it ended.

use chatagram::cli::{Cli, Command};
use chatagram::run;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Server { server, logging } => run::server(&server, &logging),
        Command::Client { server, client, logging } => run::client(server, &client, &logging),
        Command::Host { client, server, logging } => run::host(&client, &server, &logging),
    }
}
