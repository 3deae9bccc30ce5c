//! `doctor`: what this machine lacks for chat and lab, and the command that helps.
//!
//! Each part collects facts and evaluates them; the evaluation is a pure function. The doctor
//! changes nothing: it tries namespaces in a child process, closes its sockets again, sends only
//! datagrams that no server accepts, and loads no kernel module.

mod ask;
mod clock;
mod engine;
mod firewall;
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
mod kernel;
mod machine;
mod nearby;
mod remedy;
mod show;
mod sockets;
#[cfg(target_os = "linux")]
mod sys;
mod terminal;
mod tools;

pub(crate) use remedy::Fix;
pub(crate) use show::{json, text};

use chatagram::server::{self, UrlSource};
use remedy::Remedy;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Stable name.
    pub(crate) name: &'static str,
    /// State.
    pub(crate) state: State,
    /// Explanation, one sentence.
    pub(crate) means: String,
    /// The way out, if there is one.
    pub(crate) fix: Option<Fix>,
}

/// The state of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing to do.
    Ok,
    /// The program works, with less than it could.
    Limited,
    /// Something does not work.
    Missing,
    /// The program cannot find out.
    Unknown,
}

impl State {
    /// The word for the state.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Limited => "limited",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

impl Check {
    fn new(name: &'static str, state: State, means: impl Into<String>) -> Self {
        Self { name, state, means: means.into(), fix: None }
    }

    fn with(self, fix: impl Into<Option<Fix>>) -> Self {
        Self { fix: fix.into(), ..self }
    }
}

/// Collects all findings, those about an engine too if there is one. Call it while the process has
/// one thread, as the kernel requires for namespaces.
pub(crate) fn examine(engine: Option<&UrlSource>, durable: bool) -> Vec<Check> {
    let remedy = Remedy::gather();
    let mut checks = kernel::examine(&remedy);
    checks.extend(sockets::examine(&remedy));
    let heard = nearby::gather();
    checks.push(nearby::judge(&heard));
    checks.push(firewall::judge(&firewall::Facts::gather(&remedy), &heard, &remedy));
    checks.push(clock::judge(clock::is_synchronised(), &remedy));
    checks.extend(machine::examine(&remedy));
    checks.push(terminal::judge(&terminal::Facts::gather()));
    checks.extend(tools::judge(|name| ask::find(name).is_some(), &remedy));
    if let Some(url) = engine {
        let found = server::inspect_engine(url).map_err(|error| error.to_string());
        checks.extend(engine::judge(&found, durable, &remedy));
    }
    checks
}

/// Returns true if standard output is a terminal that wants colours.
pub(crate) fn wants_colour() -> bool {
    terminal::Facts::gather().wants_colour()
}
