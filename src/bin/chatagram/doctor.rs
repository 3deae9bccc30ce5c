//! What this machine can do for a chat and a lab, what it cannot, and what would help.
//!
//! Each part gathers facts and judges them; judging is a pure function of the facts. Nothing is
//! changed: what has to be tried is tried in a child process with a namespace of its own, with sockets
//! that are closed again, and with datagrams that no server takes for its own. No kernel module is
//! loaded by asking for it.

mod ask;
mod clock;
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

use remedy::Remedy;

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What it is called; the same everywhere and always.
    pub(crate) name: &'static str,
    /// How it is.
    pub(crate) state: State,
    /// What that means, one sentence.
    pub(crate) means: String,
    /// What helps, where something does.
    pub(crate) fix: Option<Fix>,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// As it should be.
    Ok,
    /// It does, less well.
    Limited,
    /// It is not there.
    Missing,
    /// It cannot be told.
    Unknown,
}

impl State {
    /// The word for it.
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

/// Looks at everything. To be called while the process has one thread: what the kernel gives is tried
/// in children, and the kernel wants it so.
pub(crate) fn examine() -> Vec<Check> {
    let remedy = Remedy::gather();
    let mut checks = kernel::examine(&remedy);
    checks.push(tools::iproute2(&tools::version(), &remedy));
    checks.extend(sockets::examine(&remedy));
    let heard = nearby::gather();
    checks.extend(nearby::judge(&heard));
    checks.push(firewall::judge(&firewall::Facts::gather(&remedy), &heard, &remedy));
    checks.extend(clock::judge(&clock::Facts::gather(), &remedy));
    checks.extend(machine::examine(&remedy));
    checks.push(terminal::judge(&terminal::Facts::gather()));
    checks.extend(tools::judge(|name| ask::find(name).is_some(), &remedy));
    checks
}

/// Whether standard output is a terminal that wants colours.
pub(crate) fn wants_colour() -> bool {
    terminal::Facts::gather().colour()
}
