//! Errors of the emulated network, each with the way out.

use super::Wire;
use std::{fs, io};

/// An emulated network that could not be built, or not be read at its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel denied a namespace.
    #[error(
        "the kernel refuses namespaces for an emulated network ({cause}): {}",
        .obstacles.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    )]
    Refused {
        /// The kernel's error.
        cause: io::Error,
        /// The likely obstacles on this machine, at least one.
        obstacles: Vec<Obstacle>,
    },
    /// The process has several threads, so it cannot enter a user namespace.
    #[error(
        "this process already has {0} threads: namespaces must be entered before the second starts"
    )]
    Threads(usize),
    /// A network device could not be created.
    #[error("cannot make a network device ({wire:?}): {cause}")]
    Device {
        /// The kind of device.
        wire: Wire,
        /// The kernel's error.
        #[source]
        cause: io::Error,
    },
    /// Neither kind of device could be created.
    #[error(
        "cannot make a network device: TUN: {tun}; veth: {veth}. Load one of the two kernel \
         modules (modprobe tun; modprobe veth), and give a container --device /dev/net/tun"
    )]
    NoDevice {
        /// The error for TUN.
        tun: io::Error,
        /// The error for veth.
        veth: io::Error,
    },
    /// The capture could not be written.
    #[error("cannot write the capture: {0}")]
    Capture(#[source] io::Error),
    /// Another step failed.
    #[error("cannot {step} for the emulated network: {cause}")]
    Step {
        /// The step.
        step: &'static str,
        /// The kernel's error.
        #[source]
        cause: io::Error,
    },
}

/// The obstacle to creating namespaces in this process, and its remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Obstacle {
    /// A setting of the kernel.
    #[error("as root, run `sysctl -w {name}={value}`, or run this as root")]
    Setting {
        /// The setting's name.
        name: &'static str,
        /// A value that allows namespaces.
        value: &'static str,
    },
    /// A seccomp filter, which only a new container can lack.
    #[error(
        "a seccomp filter is in force, as in most containers: start the container with --cap-add \
         SYS_ADMIN --cap-add NET_ADMIN, or with --security-opt seccomp=unconfined"
    )]
    Seccomp,
    /// None of the above: the user's rights, or the kernel.
    #[error(
        "run this as root, on a kernel with user and network namespaces (CONFIG_USER_NS, \
         CONFIG_NET_NS)"
    )]
    Other,
}

impl Error {
    pub(super) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Step { step, cause }
    }

    pub(super) fn refused(cause: io::Error) -> Self {
        let obstacles = obstacles(|path| fs::read_to_string(path).ok());
        Self::Refused { cause, obstacles }
    }
}

/// Settings that may forbid namespaces: name, the value that forbids, and one that does not.
const SETTINGS: [(&str, &str, &str); 4] = [
    ("kernel.unprivileged_userns_clone", "0", "1"),
    ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
    ("user.max_user_namespaces", "0", "1000"),
    ("user.max_net_namespaces", "0", "1000"),
];

/// Finds the obstacles in the machine's settings. `read` returns a file's text, or `None` if it is
/// missing.
fn obstacles(read: impl Fn(&str) -> Option<String>) -> Vec<Obstacle> {
    let mut found = Vec::new();
    for (name, forbids, value) in SETTINGS {
        let now = read(&format!("/proc/sys/{}", name.replace('.', "/")));
        if now.is_some_and(|text| text.trim() == forbids) {
            found.push(Obstacle::Setting { name, value });
        }
    }
    let status = read("/proc/self/status").unwrap_or_default();
    let filter = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    if filter.is_some_and(|mode| mode.trim() == "2") {
        found.push(Obstacle::Seccomp);
    }
    if found.is_empty() {
        found.push(Obstacle::Other);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> Vec<Obstacle> {
        obstacles(|path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_obstacles_are_found() {
        let ubuntu = with(&[
            ("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"),
            ("/proc/sys/user/max_user_namespaces", "96365\n"),
            ("/proc/self/status", "Name:\tx\nSeccomp:\t0\n"),
        ]);
        let name = "kernel.apparmor_restrict_unprivileged_userns";
        assert_eq!(ubuntu, [Obstacle::Setting { name, value: "0" }]);

        let debian = with(&[("/proc/sys/kernel/unprivileged_userns_clone", "0\n")]);
        let name = "kernel.unprivileged_userns_clone";
        assert_eq!(debian, [Obstacle::Setting { name, value: "1" }]);

        let both = with(&[
            ("/proc/sys/user/max_user_namespaces", "0\n"),
            ("/proc/self/status", "Name:\tx\nSeccomp:\t2\n"),
        ]);
        let error =
            Error::Refused { cause: io::ErrorKind::PermissionDenied.into(), obstacles: both };
        let error = error.to_string();
        assert!(error.contains("sysctl -w user.max_user_namespaces=1000"), "{error}");
        assert!(error.contains("--cap-add SYS_ADMIN"), "{error}");

        assert_eq!(with(&[]), [Obstacle::Other]);
    }
}
