//! How to put something right on this machine: as which user, with which package manager.

use super::ask;

/// What helps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// A command, to be given as it is.
    Run(String),
    /// Something else, in words.
    Say(String),
}

impl Fix {
    /// The command or the words.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Run(text) | Self::Say(text) => text,
        }
    }
}

/// The package managers known here, each by the command that it is.
const MANAGERS: [(&str, &str); 6] = [
    ("apt-get", "apt-get install"),
    ("dnf", "dnf install"),
    ("pacman", "pacman -S"),
    ("zypper", "zypper install"),
    ("apk", "apk add"),
    ("brew", "brew install"),
];

/// Facts about who asks.
#[derive(Clone, Debug, Default)]
pub(super) struct Remedy {
    /// Nobody has to become root first.
    pub(crate) root: bool,
    /// The first package manager found.
    pub(crate) manager: Option<&'static str>,
}

impl Remedy {
    pub(super) fn gather() -> Self {
        let there = |(name, _): &&(&'static str, &str)| ask::find(name).is_some();
        Self { root: is_root(), manager: MANAGERS.iter().find(there).map(|(name, _)| *name) }
    }

    /// A command that only root may give.
    pub(super) fn as_root(&self, command: &str) -> Fix {
        Fix::Run(if self.root { command.to_owned() } else { format!("sudo {command}") })
    }

    /// Installs a package; `names` has the managers that call it otherwise.
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
    fn a_command_for_root_says_sudo_to_others_only() {
        let user = Remedy { root: false, manager: Some("dnf") };
        let names = [("dnf", "iproute")];
        assert_eq!(user.install("iproute2", &names).text(), "sudo dnf install iproute");
        assert_eq!(user.install("tmux", &[]).text(), "sudo dnf install tmux");
        let root = Remedy { root: true, manager: Some("apt-get") };
        assert_eq!(root.install("iproute2", &names).text(), "apt-get install iproute2");
        let mac = Remedy { root: false, manager: Some("brew") };
        assert_eq!(mac.install("tmux", &[]).text(), "brew install tmux");
        assert_eq!(Remedy::default().install("tmux", &[]), Fix::Say("install tmux".to_owned()));
    }
}
