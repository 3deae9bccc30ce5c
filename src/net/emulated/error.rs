//! Errors of the emulated network, each with the way out.

use super::Wire;
use std::{fs, io};

/// An emulated network that could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel denied a namespace.
    #[error("the kernel refuses namespaces for an emulated network ({cause}): {way_out}")]
    Refused {
        /// The kernel's error.
        cause: io::Error,
        /// The likely obstacle on this machine, and how to remove it.
        way_out: String,
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
        "cannot make a network device: TUN: {tun}; veth: {veth}. Load one of the two kernel modules \
         (modprobe tun; modprobe veth), and give a container --device /dev/net/tun"
    )]
    NoDevice {
        /// The error for TUN.
        tun: io::Error,
        /// The error for veth.
        veth: io::Error,
    },
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

impl Error {
    pub(super) fn at(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Step { step, cause }
    }

    pub(super) fn refused(cause: io::Error) -> Self {
        let way_out = way_out(|path| fs::read_to_string(path).ok());
        Self::Refused { cause, way_out }
    }
}

/// Finds the obstacle in the machine's settings. `read` returns a file's text, or `None` if it is
/// missing.
fn way_out(read: impl Fn(&str) -> Option<String>) -> String {
    let setting = |path: &str| read(path).map(|text| text.trim().to_owned());
    let is = |path: &str, value: &str| setting(path).is_some_and(|text| text == value);
    let sysctl = |name: &str, value: &str| {
        format!("as root, run `sysctl -w {name}={value}`, or run this as root")
    };
    let mut found = Vec::new();
    if is("/proc/sys/kernel/unprivileged_userns_clone", "0") {
        found.push(sysctl("kernel.unprivileged_userns_clone", "1"));
    }
    if is("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1") {
        found.push(sysctl("kernel.apparmor_restrict_unprivileged_userns", "0"));
    }
    for name in ["max_user_namespaces", "max_net_namespaces"] {
        if is(&format!("/proc/sys/user/{name}"), "0") {
            found.push(sysctl(&format!("user.{name}"), "1000"));
        }
    }
    let status = read("/proc/self/status").unwrap_or_default();
    let filter = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    if filter.is_some_and(|mode| mode.trim() == "2") {
        found.push(
            "a seccomp filter is in force, as in most containers: start the container with \
             --cap-add SYS_ADMIN --cap-add NET_ADMIN, or with --security-opt seccomp=unconfined"
                .to_owned(),
        );
    }
    if found.is_empty() {
        "run this as root, on a kernel with user and network namespaces (CONFIG_USER_NS, CONFIG_NET_NS)"
            .to_owned()
    } else {
        found.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(files: &[(&str, &str)]) -> String {
        way_out(|path| {
            files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn the_way_out_names_the_obstacle() {
        let ubuntu = with(&[
            ("/proc/sys/kernel/unprivileged_userns_clone", "1\n"),
            ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n"),
            ("/proc/sys/user/max_user_namespaces", "96365\n"),
            ("/proc/self/status", "Name:\tx\nSeccomp:\t0\n"),
        ]);
        assert!(ubuntu.contains("sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"));
        assert!(!ubuntu.contains("userns_clone") && !ubuntu.contains("seccomp"), "{ubuntu}");

        let debian = with(&[("/proc/sys/kernel/unprivileged_userns_clone", "0\n")]);
        assert!(debian.contains("sysctl -w kernel.unprivileged_userns_clone=1"), "{debian}");

        let centos = with(&[("/proc/sys/user/max_user_namespaces", "0\n")]);
        assert!(centos.contains("sysctl -w user.max_user_namespaces="), "{centos}");

        let docker = with(&[("/proc/self/status", "Name:\tx\nSeccomp:\t2\n")]);
        assert!(docker.contains("--cap-add SYS_ADMIN"), "{docker}");

        assert!(with(&[]).contains("CONFIG_USER_NS"));
    }
}
