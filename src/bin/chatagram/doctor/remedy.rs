//! Remedies on this machine: as which user, with which package manager.

use super::ask;

/// A remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// A command, complete.
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

/// Facts about the user.
#[derive(Clone, Debug, Default)]
pub(super) struct Remedy {
    /// Whether the user is root.
    pub(crate) root: bool,
    /// The first package manager found.
    pub(crate) manager: Option<&'static str>,
}

impl Remedy {
    pub(super) fn gather() -> Self {
        let there = |(name, _): &&(&'static str, &str)| ask::find(name).is_some();
        Self { root: is_root(), manager: MANAGERS.iter().find(there).map(|(name, _)| *name) }
    }

    /// A command that needs root.
    pub(super) fn as_root(&self, command: &str) -> Fix {
        Fix::Run(if self.root { command.to_owned() } else { format!("sudo {command}") })
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
