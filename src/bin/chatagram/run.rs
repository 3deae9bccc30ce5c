//! The commands: each assembles its parts, runs them, and returns an exit code.

use crate::cli::{
    ClientArgs, ImpairArgs, LangArgs, LoggingArgs, NetworkArgs, Place, ServerArgs, TicketArgs,
    WatchArgs, reachable,
};
use crate::logging::announce;
use chatagram::client::session::{CloseReason, Transport};
use chatagram::client::{self, Format, Leaver, Tickets, end_on_panic};
use chatagram::protocol::{Nickname, clean_lines};
use chatagram::server::Server;
use chatagram::words::Language;
use log::LevelFilter;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread;

mod decode;
mod discover;
mod doctor;
mod grade;
mod host_log;
mod invite;
mod kit;
mod lab;
mod manual;
mod nickname;
mod operator;
mod signals;
mod ticket;

pub(crate) use decode::decode;
pub(crate) use discover::discover;
pub(crate) use doctor::doctor;
pub(crate) use grade::grade;
use host_log::host_log;
pub(crate) use kit::kit;
pub(crate) use lab::{lab, load, replay, report};
pub(crate) use manual::{completions, man};
use nickname::nickname;
pub(crate) use signals::survive_file_size_limit;
use signals::{Signal, Then, on_signal};
use ticket::goal;

const COULD_NOT_START: u8 = 1;
const REJECTED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 3;
const REFUSED: u8 = 4;
const LOST: u8 = 5;
/// The exit code of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Runs a server.
pub(crate) fn server(
    args: &ServerArgs,
    network: &NetworkArgs,
    impair: &ImpairArgs,
    lang: LangArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    end_on_panic(report_fault);
    let say = lang.language_of_server();
    let mut server = match start_server(args, network, impair, logging, LevelFilter::Info, say) {
        Ok(server) => server,
        Err(code) => return code,
    };
    let stopper = server.stopper();
    on_signal(move |signal| match signal {
        Signal::Interrupt => {
            stopper.stop();
            Then::End
        }
        // A service manager sends SIGTERM before a restart too.
        Signal::Terminate => {
            stopper.restart();
            Then::End
        }
        Signal::HangUp => {
            crate::logging::reopen();
            stopper.look_after_files();
            Then::GoOn
        }
    });
    let addresses: Vec<_> = server.addresses().collect();
    announce_addresses(&mut server, &addresses, say);
    operator::obey_terminal(server.operator(), say);
    finish_server(server.run(), say)
}

/// Says where the server listens, and how others join.
fn announce_addresses(server: &mut Server, addresses: &[SocketAddr], say: Language) {
    for address in addresses {
        announce(&say.listening(*address));
    }
    if let Some(address) = server.quic_address() {
        announce(&say.listening_for_quic(address));
    }
    if let Some(address) = server.metrics_address() {
        announce(&say.metrics_at(address));
    }
    if let Some(address) = server.web_address() {
        let page = invite::page(address);
        let join = invite::commands(addresses, server.can_be_found());
        let at =
            page.clone().unwrap_or_else(|| format!("http://{}/", crate::cli::reachable(address)));
        announce(&say.page_at(&at));
        if let Some(token) = server.invite(join, page) {
            announce(&say.page_with_token(&format!("{at}#token={token}")));
        }
    }
    let Some(ticket) = server.ticket(invite::places(addresses)) else {
        let lines = invite::invitations(addresses, server.can_be_found(), say);
        return lines.iter().for_each(|line| announce(line));
    };
    announce(&say.private_ticket());
    announce(&ticket.reveal());
    announce(&say.join_with_ticket());
}

/// Runs a client; without the name of a server, in the room found nearby.
pub(crate) fn client(
    places: &[Place],
    ticket: &TicketArgs,
    args: &ClientArgs,
    network: &NetworkArgs,
    impair: &ImpairArgs,
    lang: LangArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    end_on_panic(report_fault);
    let say = lang.language(args.output);
    if let Err(code) = start_logging(logging, LevelFilter::Warn, say) {
        return code;
    }
    let goal = match goal(places, ticket, args.mode.transport, say) {
        Ok(goal) => goal,
        Err(code) => return code,
    };
    let nickname = match nickname(args, say) {
        Ok(nickname) => nickname,
        Err(code) => return code,
    };
    let (servers, room) = if goal.servers.is_empty() {
        match discover::choose(args.output, say) {
            Ok((server, room)) => (vec![server], room),
            Err(code) => return code,
        }
    } else {
        (goal.servers, None)
    };
    let mut config = match args.config(servers, nickname, network, Some(impair), say) {
        Ok(config) => client::Config { room, ..config },
        Err(error) => return misuse(error.text(say), say),
    };
    if goal.ticket.is_some() {
        config.transport = Transport::Quic;
    }
    config.tickets.own = goal.ticket;
    let leaver = Leaver::default();
    on_signal(leave_with(leaver.clone()));
    finish_client(client::run(config, &leaver), say)
}

/// Runs `watch`.
pub(crate) fn watch(
    places: &[Place],
    ticket: &TicketArgs,
    args: &WatchArgs,
    lang: LangArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    end_on_panic(report_fault);
    let say = lang.language(args.output);
    if let Err(code) = start_logging(logging, LevelFilter::Error, say) {
        return code;
    }
    if let Err(error) = args.transport.check() {
        return misuse(error.text(say), say);
    }
    let goal = match goal(places, ticket, args.transport, say) {
        Ok(goal) => goal,
        Err(code) => return code,
    };
    let leaver = Leaver::default();
    on_signal(leave_with(leaver.clone()));
    let config = args.config(goal.servers, goal.ticket, say);
    let outcome = client::watch::run(&config, &leaver, |error| crate::logging::complain(error));
    finish_client(outcome, say)
}

/// Runs a server and a client in one process.
pub(crate) fn host(
    client: &ClientArgs,
    server: &ServerArgs,
    network: &NetworkArgs,
    impair: &ImpairArgs,
    lang: LangArgs,
    logging: &LoggingArgs,
) -> ExitCode {
    end_on_panic(report_fault);
    let say = lang.language(client.output);
    let nickname = match nickname(client, say) {
        Ok(nickname) => nickname,
        Err(code) => return code,
    };
    let log = host_log(client, logging, say);
    let server = start_server(server, network, impair, &log.args, LevelFilter::Warn, say);
    let mut server = match server {
        Ok(server) => server,
        Err(code) => return code,
    };
    // An invalid name is refused at the host's join.
    let name = Nickname::parse(&nickname).ok();
    let claim = match name.map(|name| server.reserve(name)).transpose() {
        Ok(claim) => claim,
        Err(error) => return fail(COULD_NOT_START, say.server_error(&error)),
    };
    let addresses: Vec<_> = server.addresses().collect();
    let Some(first) = addresses.first().copied() else {
        return misuse(say.nothing_to_listen_on(), say);
    };
    if client.output == Format::Text {
        announce_addresses(&mut server, &addresses, say);
        if let Some(notice) = &log.notice {
            announce(notice);
        }
    }
    let own = reachable(first);
    let mut config = match client.config(vec![own.into()], nickname, network, None, say) {
        Ok(config) => client::Config { hosts: true, claim, ..config },
        Err(error) => return misuse(error.text(say), say),
    };
    if let Some(ticket) = server.ticket(vec![own.to_string()]) {
        config.transport = Transport::Quic;
        let to_give = server.ticket(invite::places(&addresses));
        config.tickets = Tickets { own: Some(ticket), to_give };
    }
    let leaver = Leaver::default();
    on_signal(leave_with(leaver.clone()));
    let stopper = server.stopper();
    let host = leaver.clone();
    let serving = thread::Builder::new().name("server".to_owned()).spawn(move || {
        let outcome = server.run();
        // The host's client ends with its server.
        host.leave();
        outcome
    });
    let serving = match serving {
        Ok(serving) => serving,
        Err(error) => return fail(COULD_NOT_START, error),
    };
    let code = finish_client(client::run(config, &leaver), say);
    stopper.stop();
    match serving.join() {
        Ok(Ok(())) => code,
        Ok(Err(error)) => fail(COULD_NOT_START, say.server_error(&error)),
        // A panic ends the process; otherwise it is propagated here.
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Reports that a panic is a bug.
fn report_fault() {
    crate::logging::complain("this is a bug of the program: please report it");
    crate::logging::finish();
}

fn start_server(
    args: &ServerArgs,
    network: &NetworkArgs,
    impair: &ImpairArgs,
    logging: &LoggingArgs,
    level: LevelFilter,
    say: Language,
) -> Result<Server, ExitCode> {
    let config = args.config(network, impair).map_err(|error| misuse(error.text(say), say))?;
    if crate::cli::shows_password(&std::env::args_os().collect::<Vec<_>>()) {
        return Err(misuse(crate::cli::Error::VisiblePassword.text(say), say));
    }
    start_logging(logging, level, say)?;
    if args.lacks_history_directory() {
        crate::logging::tell_operator(
            "no history is kept: neither HOME nor XDG_STATE_HOME names a directory for it; name a \
             file with --history, or start with --no-history",
        );
    }
    let started = Server::start(config);
    let mut server = started.map_err(|error| fail(COULD_NOT_START, say.server_error(&error)))?;
    server.speak(say);
    Ok(server)
}

/// Starts logging. The log is English; the language is that of an error.
fn start_logging(args: &LoggingArgs, usual: LevelFilter, say: Language) -> Result<(), ExitCode> {
    crate::logging::start(args.level(usual), args.log_file.as_deref())
        .map_err(|error| fail(COULD_NOT_START, error.text(say)))
}

fn finish_server(outcome: Result<(), chatagram::server::Error>, say: Language) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(COULD_NOT_START, say.server_error(&error)),
    }
}

fn finish_client(outcome: Result<CloseReason, client::Error>, say: Language) -> ExitCode {
    match outcome {
        Ok(CloseReason::Quit | CloseReason::Shutdown) => ExitCode::SUCCESS,
        // The reason was shown already.
        Ok(CloseReason::Unreachable) => ExitCode::from(UNREACHABLE),
        Ok(CloseReason::Refused | CloseReason::Kicked) => ExitCode::from(REFUSED),
        Ok(CloseReason::Lost) => fail(LOST, say.did_not_come_back()),
        Err(error) => fail(COULD_NOT_START, say.client_error(&error)),
    }
}

/// Leaves; exits at once without a session.
fn leave_with(leaver: Leaver) -> impl FnMut(Signal) -> Then + Send {
    move |_| {
        if !leaver.leave() {
            std::process::exit(INTERRUPTED.into());
        }
        Then::End
    }
}

/// Prints the requested text. A reader that closes early (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            fail(COULD_NOT_START, format!("cannot print: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

/// Prints a result, waiting for a slow reader.
fn tell(text: &str) {
    let _ = print(&format!("{}\n", clean_lines(text)));
}

fn fail(code: u8, error: impl Display) -> ExitCode {
    if code == USAGE {
        return misuse(error, Language::En);
    }
    crate::logging::complain(error);
    ExitCode::from(code)
}

/// Reports an error in the options, with the environment variables in question.
fn misuse(error: impl Display, say: Language) -> ExitCode {
    let error = error.to_string();
    crate::logging::complain(format!("{error}\n{}", origins(&error, say)).trim_end());
    ExitCode::from(USAGE)
}

/// The environment variables that an error is about.
fn origins(error: &str, say: Language) -> String {
    crate::cli::origins(error, &std::env::args_os().collect::<Vec<_>>(), say)
}

/// Prints the output of the command-line parser: help, version or error.
pub(crate) fn usage(answer: &clap::Error) -> ExitCode {
    let printed = answer.print();
    if answer.use_stderr() {
        let origins = origins(&answer.to_string(), Language::En);
        if !origins.is_empty() {
            crate::logging::complain(origins.trim_end());
        }
    }
    match printed {
        Err(error) if answer.exit_code() == 0 && error.kind() != ErrorKind::BrokenPipe => {
            fail(COULD_NOT_START, format!("cannot print: {error}"))
        }
        _ => ExitCode::from(answer.exit_code() as u8),
    }
}
