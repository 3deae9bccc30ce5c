//! The programs that the scripts and the course use.

use super::remedy::{Fix, Remedy};
use super::{Check, State, ask};

/// The output of `tc -V`; `None` without `tc`.
pub(super) fn version() -> Option<String> {
    ask::run("tc", &["-V"])
}

/// The first version with `netem seed`.
const SEED: (u32, u32) = (6, 6);

/// The check of iproute2, from the output of `tc -V`.
pub(super) fn iproute2(printed: &Option<String>, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("iproute2", state, means);
    if !cfg!(target_os = "linux") {
        let means = "only Linux has it, and only scripts/netem-*.sh need it";
        return check(State::Missing, means.to_owned());
    }
    let Some(printed) = printed else {
        return check(State::Missing, "no `tc`: scripts/netem-*.sh need it".to_owned())
            .with(remedy.install("iproute2", &[("dnf", "iproute-tc")]));
    };
    match iproute2_version(printed) {
        Some(version) if version >= SEED => check(
            State::Ok,
            format!("{}.{}: `tc` knows netem, and its `seed`", version.0, version.1),
        ),
        found => {
            let found = found.map_or_else(
                || printed.trim().to_owned(),
                |(major, minor)| format!("iproute2 {major}.{minor}"),
            );
            let (major, minor) = SEED;
            check(
                State::Limited,
                format!("{found}: netem's `seed`, for the same losses again, came with {major}.{minor}"),
            )
            .with(Fix::Say(format!(
                "install iproute2 {major}.{minor} or later; `lab` and `--impair` have seeds without it"
            )))
        }
    }
}

/// `tc utility, iproute2-6.1.0, libbpf 1.1.2`; those before 5.7 give a date: `iproute2-ss200127`.
fn iproute2_version(printed: &str) -> Option<(u32, u32)> {
    let number = printed.split("iproute2-").nth(1)?;
    let mut parts = number.split(|ch: char| !ch.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The checks of the other programs.
pub(super) fn judge(there: impl Fn(&str) -> bool, remedy: &Remedy) -> Vec<Check> {
    let check = |name, there: bool, good: &str, bad: &str, fix: Fix| {
        if there {
            Check::new(name, State::Ok, good)
        } else {
            Check::new(name, State::Missing, bad).with(fix)
        }
    };
    let wireshark = [("dnf", "wireshark-cli"), ("pacman", "wireshark-cli"), ("brew", "wireshark")];
    let python = [("pacman", "python"), ("brew", "python")];
    // Only Debian and its derivatives have this one.
    let uml = match remedy.manager {
        Some("apt-get") => remedy.install("user-mode-linux", &[]),
        _ => Fix::Say("Debian and Ubuntu have it, in their package user-mode-linux".to_owned()),
    };
    vec![
        check(
            "tshark",
            there("tshark") || there("wireshark"),
            "every packet of a chat can be looked at with scripts/chatagram.lua",
            "neither tshark nor Wireshark: `chatagram decode` reads single datagrams",
            remedy.install("tshark", &wireshark),
        ),
        check(
            "python3",
            there("python3"),
            "the scripts in Python run",
            "no scripts/minimal_client.py, nor the other scripts in Python",
            remedy.install("python3", &python),
        ),
        check(
            "tmux",
            there("tmux"),
            "several chats fit one terminal",
            "several chats need several terminals",
            remedy.install("tmux", &[]),
        ),
        check(
            "linux.uml",
            there("linux.uml"),
            "scripts/with-netem-kernel.sh can lend a kernel that has netem",
            "scripts/with-netem-kernel.sh cannot lend a kernel; only needed where netem is missing",
            uml,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_words() {
        let version = |text: &str| iproute2_version(text);
        assert_eq!(version("tc utility, iproute2-6.1.0, libbpf 1.1.2\n"), Some((6, 1)));
        assert_eq!(version("tc utility, iproute2-6.10.0"), Some((6, 10)));
        assert_eq!(version("tc utility, iproute2-ss200127"), None);
        assert_eq!(version("BusyBox"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_old_iproute2_lacks_the_seed() {
        let state = |text: &str| iproute2(&Some(text.to_owned()), &Remedy::default()).state;
        assert_eq!(state("tc utility, iproute2-6.10.0"), State::Ok);
        assert_eq!(state("tc utility, iproute2-6.5.0"), State::Limited);
        assert_eq!(state("tc utility, iproute2-ss200127"), State::Limited);
        assert_eq!(iproute2(&None, &Remedy::default()).state, State::Missing);
    }

    #[test]
    fn a_missing_tool_comes_with_its_package() {
        let remedy = Remedy { root: false, manager: Some("dnf") };
        let checks = judge(|name| name == "wireshark" || name == "tmux", &remedy);
        let states: Vec<_> = checks.iter().map(|check| check.state).collect();
        assert_eq!(states, [State::Ok, State::Missing, State::Ok, State::Missing]);
        assert_eq!(checks[1].fix.as_ref().unwrap().text(), "sudo dnf install python3");
        assert!(matches!(checks[3].fix, Some(Fix::Say(_))));
    }
}
