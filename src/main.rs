//! Parses the command line, starts logging, runs what was asked for, and says how it ended.

use chatagram::cli::{Cli, Command};
use chatagram::run;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Server { server, network, logging } => run::server(&server, &network, &logging),
        Command::Client { server, client, network, logging } => {
            run::client(server, &client, &network, &logging)
        }
        Command::Host { client, server, network, logging } => {
            run::host(&client, &server, &network, &logging)
        }
        Command::Load { server, load, network, logging } => {
            run::load(server, &load, &network, &logging)
        }
        Command::Lab { lab, logging } => run::lab(&lab, &logging),
        Command::Report { dir, logging } => run::report(&dir, &logging),
        Command::Decode { decode } => run::decode(&decode),
    }
}
