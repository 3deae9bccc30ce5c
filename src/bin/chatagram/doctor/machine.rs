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
    /// Limit of open files, and the hard limit; `None`: unlimited.
    pub(crate) files: Option<(Option<u64>, Option<u64>)>,
}

pub(super) fn examine(remedy: &Remedy) -> Vec<Check> {
    let release = ask::read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let facts = Facts { release, files: limits() };
    vec![machine(&facts, remedy), files(&facts, remedy)]
}

/// The engine of the container that this is; `None` outside of one.
pub(super) fn engine() -> Option<&'static str> {
    let groups = ask::read("/proc/1/cgroup").unwrap_or_default();
    let variable = std::env::var("container").unwrap_or_default();
    detect(|path| std::path::Path::new(path).exists(), &groups, &variable)
}

/// Detects a container by its engine's files, the first process's groups, or systemd's variable.
fn detect(exists: impl Fn(&str) -> bool, groups: &str, variable: &str) -> Option<&'static str> {
    let groups = |name: &str| groups.contains(name);
    match () {
        () if exists("/.dockerenv") || groups("docker") => Some("Docker"),
        () if exists("/run/.containerenv") || variable == "podman" => Some("Podman"),
        () if groups("kubepods") => Some("Kubernetes"),
        () if groups("lxc") || variable == "lxc" => Some("LXC"),
        () if !variable.is_empty() => Some("a container engine"),
        () => None,
    }
}

fn machine(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("machine", state, means);
    let release = facts.release.trim().to_lowercase();
    if release.contains("microsoft") {
        return if release.contains("wsl2") || release.contains("standard") {
            check(
                State::Limited,
                "WSL 2: other machines may not reach a server here. Write \
                 networkingMode=mirrored under [wsl2] in .wslconfig in your Windows home, then \
                 restart WSL"
                    .to_owned(),
            )
            .with(Fix::Run("wsl.exe --shutdown".to_owned()))
        } else {
            check(
                State::Limited,
                "WSL 1: other machines may not reach a server here, and there are no network \
                 namespaces. WSL 2 has them"
                    .to_owned(),
            )
            .with(Fix::Run("wsl.exe --set-version DISTRIBUTION 2".to_owned()))
        };
    }
    if let Some(engine) = remedy.engine {
        let means = format!(
            "in a container ({engine}): other machines reach a server here only if the container \
             has the host's network, or publishes UDP 2428 and 2429 and TCP 2428"
        );
        return check(State::Limited, means).with(remedy.new_container("--network host"));
    }
    let system = std::env::consts::OS;
    check(State::Ok, format!("{system} on {}, in no container, no WSL", std::env::consts::ARCH))
}

fn files(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("open-files", state, means);
    let word = |limit: Option<u64>| limit.map_or("any number of".to_owned(), |n| n.to_string());
    let Some((soft, hard)) = facts.files else {
        let means = format!("the limit is unknown: `load` with {PEERS} peers opens {FILES} files");
        return check(State::Unknown, means);
    };
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= FILES);
    if enough(soft) {
        return check(
            State::Ok,
            format!("{} open files, enough for `load` with {PEERS} peers", word(soft)),
        );
    }
    let raise = if enough(hard) || remedy.root {
        Fix::Run("ulimit -n 4096".to_owned())
    } else if cfg!(target_os = "linux") {
        remedy.as_root("prlimit --pid $$ --nofile=4096")
    } else {
        Fix::Say("raise the limit of open files as an administrator, and log in again".to_owned())
    };
    let peers = soft.unwrap_or(0).saturating_sub(FILES - PEERS);
    check(
        State::Limited,
        format!("{} open files: `load` has at most about {peers} peers", word(soft)),
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
            detect(|path| path == file, groups, variable)
        };
        assert_eq!(engine("/.dockerenv", "", ""), Some("Docker"));
        assert_eq!(engine("", "0::/kubepods/x", ""), Some("Kubernetes"));
        assert_eq!(engine("", "", "lxc"), Some("LXC"));
        assert_eq!(engine("", "0::/init.scope", ""), None);

        let of = |release: &str, engine| {
            let facts = Facts { release: release.to_owned(), files: None };
            machine(&facts, &Remedy { engine, ..Remedy::default() })
        };
        let two = of("5.15.90.1-microsoft-standard-WSL2\n", None);
        assert!(two.means.contains("mirrored") && two.fix.unwrap().text().contains("shutdown"));
        let one = of("4.4.0-19041-Microsoft", None);
        assert!(one.means.contains("WSL 1") && one.fix.unwrap().text().contains("set-version"));
        assert_eq!(of("6.1.0-18-amd64", None).state, State::Ok);
        let docker = of("6.1.0", Some("Docker"));
        assert_eq!(docker.fix.unwrap().text(), "docker run --network host IMAGE");
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
        #[cfg(target_os = "linux")]
        assert_eq!(
            of((Some(256), Some(512))).fix.unwrap().text(),
            "sudo prlimit --pid $$ --nofile=4096"
        );
    }
}
