//! The kind of machine, and its limit of open files.

use super::remedy::{Fix, Remedy};
use super::{Check, State, ask};

/// Peers of a large `load`, each with a socket; other files come on top.
const PEERS: u64 = 1_000;
const FILES: u64 = PEERS + 64;

/// The facts.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// `/proc/sys/kernel/osrelease`.
    pub(crate) release: String,
    /// The sign of a container, and its name.
    pub(crate) container: Option<&'static str>,
    /// Limit of open files, and the hard limit; `None`: unlimited.
    pub(crate) files: Option<(Option<u64>, Option<u64>)>,
}

pub(super) fn examine(remedy: &Remedy) -> Vec<Check> {
    let facts = Facts::gather();
    vec![machine(&facts), files(&facts, remedy)]
}

impl Facts {
    fn gather() -> Self {
        let there = |path: &str| std::path::Path::new(path).exists();
        let release = ask::read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let groups = ask::read("/proc/1/cgroup").unwrap_or_default();
        let variable = std::env::var("container").unwrap_or_default();
        let container = container(there, &groups, &variable);
        Self { release, container, files: limits() }
    }
}

/// Detects a container by its engine's files, the first process's groups, or systemd's variable.
fn container(there: impl Fn(&str) -> bool, groups: &str, variable: &str) -> Option<&'static str> {
    let groups = |name: &str| groups.contains(name);
    match () {
        () if there("/.dockerenv") || groups("docker") => Some("Docker"),
        () if there("/run/.containerenv") || variable == "podman" => Some("Podman"),
        () if groups("kubepods") => Some("Kubernetes"),
        () if groups("lxc") || variable == "lxc" => Some("LXC"),
        () if !variable.is_empty() => Some("a container engine"),
        () => None,
    }
}

fn machine(facts: &Facts) -> Check {
    let check = |state, means: String| Check::new("machine", state, means);
    let release = facts.release.trim().to_lowercase();
    if release.contains("microsoft") {
        let version = if release.contains("wsl2") || release.contains("standard") { 2 } else { 1 };
        let check = check(
            State::Limited,
            format!("WSL {version}: others may not reach a server here, nor find it"),
        );
        return check.with(Fix::Say(match version {
            2 => "networkingMode=mirrored under [wsl2] in %UserProfile%\\.wslconfig, then \
                  `wsl --shutdown`"
                .to_owned(),
            _ => "`wsl --set-version DISTRIBUTION 2`: WSL 1 has no network namespaces".to_owned(),
        }));
    }
    if let Some(engine) = facts.container {
        let means = format!(
            "in a container ({engine}): others reach a server here only at ports that are published"
        );
        let fix = match engine {
            "Docker" | "Podman" => Fix::Say(format!(
                "start it with `{} run --network host`, or with -p 2428:2428/udp -p 2428:2428/tcp \
                 -p 2429:2429/udp",
                engine.to_lowercase()
            )),
            _ => Fix::Say("publish UDP 2428 and 2429 and TCP 2428".to_owned()),
        };
        return check(State::Limited, means).with(fix);
    }
    let system = std::env::consts::OS;
    check(State::Ok, format!("{system} on {}, in no container, no WSL", std::env::consts::ARCH))
}

fn files(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("open-files", state, means);
    let word = |limit: Option<u64>| limit.map_or("any number of".to_owned(), |n| n.to_string());
    let Some((soft, hard)) = facts.files else {
        return check(State::Unknown, "cannot tell how many files may be open at once".to_owned());
    };
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= FILES);
    if enough(soft) {
        return check(
            State::Ok,
            format!("{} open files: enough for `load` with {PEERS} peers", word(soft)),
        );
    }
    let raise = match (enough(hard), remedy.root) {
        (true, _) | (_, true) => Fix::Run(format!("ulimit -n {}", 4 * 1_024)),
        _ => Fix::Say("raise `nofile` in /etc/security/limits.conf and log in again".to_owned()),
    };
    let peers = soft.unwrap_or(0).saturating_sub(FILES - PEERS);
    check(
        State::Limited,
        format!("{} open files: `load` manages some {peers} peers, not {PEERS}", word(soft)),
    )
    .with(raise)
}

#[cfg(target_os = "linux")]
fn limits() -> Option<(Option<u64>, Option<u64>)> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    Some((limit.current, limit.maximum))
}

#[cfg(not(target_os = "linux"))]
fn limits() -> Option<(Option<u64>, Option<u64>)> {
    let parse = |text: String| match text.trim() {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    };
    let ask = |which| ask::run("sh", &["-c", which]).and_then(parse);
    cfg!(unix).then(|| Some((ask("ulimit -Sn")?, ask("ulimit -Hn")?))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_and_wsl_are_recognised() {
        let engine = |file: &str, groups: &str, variable: &str| {
            container(|path| path == file, groups, variable)
        };
        assert_eq!(engine("/.dockerenv", "", ""), Some("Docker"));
        assert_eq!(engine("", "0::/kubepods/x", ""), Some("Kubernetes"));
        assert_eq!(engine("", "", "lxc"), Some("LXC"));
        assert_eq!(engine("", "0::/init.scope", ""), None);

        let of = |release: &str, container| {
            machine(&Facts { release: release.to_owned(), container, files: None })
        };
        let two = of("5.15.90.1-microsoft-standard-WSL2\n", None);
        assert!(two.means.contains("WSL 2") && two.fix.unwrap().text().contains("mirrored"));
        let one = of("4.4.0-19041-Microsoft", None);
        assert!(one.means.contains("WSL 1") && one.fix.unwrap().text().contains("set-version"));
        assert_eq!(of("6.1.0-18-amd64", None).state, State::Ok);
        assert!(of("6.1.0", Some("Docker")).fix.unwrap().text().contains("docker run"));
    }

    #[test]
    fn the_file_limit_is_compared_with_the_need_of_a_thousand_peers() {
        let of =
            |limits| files(&Facts { files: Some(limits), ..Facts::default() }, &Remedy::default());
        assert_eq!(of((Some(FILES), Some(FILES))).state, State::Ok);
        assert_eq!(of((None, None)).state, State::Ok);
        let usual = of((Some(1_024), Some(1_048_576)));
        assert_eq!(usual.state, State::Limited);
        assert!(usual.means.contains("960 peers"), "{usual:?}");
        assert_eq!(usual.fix, Some(Fix::Run("ulimit -n 4096".into())));
        assert!(matches!(of((Some(256), Some(512))).fix, Some(Fix::Say(_))));
    }
}
