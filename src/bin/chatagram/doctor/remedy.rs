//! Remedies on this machine: as which user, with which package manager.

use super::{ask, machine};

/// The way out of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// A command; words in capitals stand for others.
    Run(String),
    /// Advice in words.
    Say(String),
}

impl Fix {
    /// The command or the advice.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Run(text) | Self::Say(text) => text,
        }
    }
}

/// The known package managers, with their install commands.
const MANAGERS: [(&str, &str); 6] = [
    ("apt-get", "apt-get install"),
    ("dnf", "dnf install"),
    ("pacman", "pacman -S"),
    ("zypper", "zypper install"),
    ("apk", "apk add"),
    ("brew", "brew install"),
];

/// Facts about the user and the machine that commands depend on.
#[derive(Clone, Debug, Default)]
pub(super) struct Remedy {
    /// The user is root.
    pub(crate) root: bool,
    /// The first package manager found.
    pub(crate) manager: Option<&'static str>,
    /// The container's engine, if this is a container.
    pub(crate) engine: Option<&'static str>,
}

impl Remedy {
    pub(super) fn gather() -> Self {
        let there = |(name, _): &&(&'static str, &str)| ask::find(name).is_some();
        let manager = MANAGERS.iter().find(there).map(|(name, _)| *name);
        Self { root: is_root(), manager, engine: machine::engine() }
    }

    /// A command that needs root.
    pub(super) fn as_root(&self, command: &str) -> Fix {
        Fix::Run(if self.root { command.to_owned() } else { format!("sudo {command}") })
    }

    /// The command that starts this container anew, with these flags.
    pub(super) fn new_container(&self, flags: &str) -> Fix {
        let engine = if self.engine == Some("Podman") { "podman" } else { "docker" };
        Fix::Run(format!("{engine} run {flags} IMAGE"))
    }

    /// Installs a package; `names` has its other names by manager.
    pub(super) fn install(&self, usual: &str, names: &[(&str, &str)]) -> Fix {
        let other = |manager| names.iter().find(|(name, _)| *name == manager).map(|found| found.1);
        let known = MANAGERS.iter().find(|(name, _)| Some(*name) == self.manager);
        match known {
            None => Fix::Say(format!("install {usual}")),
            Some((name, verb)) => {
                let command = format!("{verb} {}", other(*name).unwrap_or(usual));
                if *name == "brew" { Fix::Run(command) } else { self.as_root(&command) }
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_for_root_has_sudo_for_other_users_only() {
        let user = Remedy { manager: Some("dnf"), ..Remedy::default() };
        let names = [("dnf", "iproute")];
        assert_eq!(user.install("iproute2", &names).text(), "sudo dnf install iproute");
        assert_eq!(user.install("python3", &[]).text(), "sudo dnf install python3");
        let root = Remedy { root: true, manager: Some("apt-get"), engine: None };
        assert_eq!(root.install("iproute2", &names).text(), "apt-get install iproute2");
        let mac = Remedy { manager: Some("brew"), ..Remedy::default() };
        assert_eq!(mac.install("python3", &[]).text(), "brew install python3");
        assert_eq!(
            Remedy::default().install("python3", &[]),
            Fix::Say("install python3".to_owned())
        );
    }
}
