//! The kernel's features for the lab and the scripts: namespaces, TUN devices, netem.

use super::remedy::{Fix, Remedy};
use super::{Check, State};
use std::io;

/// The state of a kernel feature, found without loading its module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Built in or loaded.
    Now,
    /// An installed module, not loaded.
    OnDemand,
    /// A module of this kernel that is not installed.
    NotInstalled,
    /// Not configured in this kernel.
    LeftOut,
    /// Unknown.
    Unknown,
}

/// The kernel's lists of features; `None` if unreadable.
#[derive(Clone, Debug, Default)]
pub(super) struct Kernel {
    /// `/proc/modules`.
    pub(crate) loaded: Option<String>,
    /// `modules.builtin` of its release.
    pub(crate) built_in: Option<String>,
    /// `modules.dep` of its release.
    pub(crate) installed: Option<String>,
    /// Its configuration.
    pub(crate) config: Option<String>,
}

impl Kernel {
    /// The state of a module, whose configuration option is `option`.
    pub(super) fn part(&self, module: &str, option: &str) -> Part {
        let file = format!("/{module}.ko");
        let lists = |text: &Option<String>| {
            text.as_ref().map(|text| {
                let path = |line: &str| line.split(':').next().unwrap_or_default().to_owned();
                text.lines().map(path).any(|path| {
                    path.rsplit_once(&file)
                        .is_some_and(|(_, end)| end.is_empty() || end.starts_with('.'))
                })
            })
        };
        let is_loaded = self
            .loaded
            .as_ref()
            .is_some_and(|text| text.lines().any(|line| line.split(' ').next() == Some(module)));
        let set = self.config.as_ref().map(|text| {
            let value = text.lines().find_map(|line| line.strip_prefix(option)?.strip_prefix('='));
            value.unwrap_or("n").to_owned()
        });
        if is_loaded || lists(&self.built_in) == Some(true) || set.as_deref() == Some("y") {
            return Part::Now;
        }
        match (lists(&self.installed), set.as_deref()) {
            (Some(true), _) => Part::OnDemand,
            (_, Some("n")) => Part::LeftOut,
            (Some(false), Some(_)) => Part::NotInstalled,
            _ => Part::Unknown,
        }
    }
}

/// The facts.
#[derive(Debug)]
pub(super) struct Facts {
    /// Namespaces work; if not, the cause and the way out.
    pub(crate) namespaces: Result<(), (String, Fix)>,
    /// State of `/dev/net/tun`.
    pub(crate) tun: Tun,
    /// State of netem in the kernel's lists.
    pub(crate) netem: Part,
    /// Result of adding a netem queue in a namespace; `None`: not tried.
    pub(crate) tried: Option<io::Result<()>>,
    /// `tc` runs.
    pub(crate) tc: bool,
    /// User-mode Linux is installed.
    pub(crate) uml: bool,
}

/// `/dev/net/tun`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tun {
    /// It can be opened.
    Open,
    /// Opening it loads the module.
    OnDemand,
    /// The user may not open it.
    Denied(String),
    /// The module is not loaded, and perhaps not installed.
    NotLoaded,
    /// The kernel has no TUN devices.
    LeftOut,
    /// The file is missing.
    Absent,
}

/// The checks; other systems have none of these features.
pub(super) fn examine(remedy: &Remedy) -> Vec<Check> {
    #[cfg(target_os = "linux")]
    return judge(&linux::gather(remedy), remedy);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = remedy;
        let means = "only Linux has network namespaces: `chatagram lab` measures no TCP";
        let way_out = "run the lab in a virtual machine with Linux, or in WSL 2";
        vec![Check::new("namespaces", State::Missing, means).with(Fix::Say(way_out.to_owned()))]
    }
}

fn judge(facts: &Facts, remedy: &Remedy) -> Vec<Check> {
    vec![namespaces(facts), tun(facts, remedy), netem(facts, remedy), iproute2(facts, remedy)]
}

fn namespaces(facts: &Facts) -> Check {
    match &facts.namespaces {
        Ok(()) => Check::new(
            "namespaces",
            State::Ok,
            "`chatagram lab` emulates a network, in which the kernel's TCP loses packets",
        ),
        Err((cause, way_out)) => Check::new(
            "namespaces",
            State::Missing,
            format!("the kernel refuses them ({cause}): `chatagram lab` measures no TCP"),
        )
        .with(way_out.clone()),
    }
}

fn tun(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means: String| Check::new("tun", state, means);
    let limited = |what: &str| check(State::Limited, format!("{what}: the lab uses veth pairs"));
    match &facts.tun {
        Tun::Open => check(State::Ok, "/dev/net/tun opens, for the lab's devices".to_owned()),
        Tun::OnDemand => {
            check(State::Ok, "/dev/net/tun exists; the lab loads its kernel module".to_owned())
        }
        Tun::Denied(why) => limited(&format!("/dev/net/tun does not open ({why})"))
            .with(remedy.as_root("chmod 0666 /dev/net/tun")),
        Tun::NotLoaded => limited("the kernel module of /dev/net/tun is not loaded")
            .with(remedy.as_root("modprobe tun")),
        Tun::LeftOut => limited("this kernel was built without TUN devices"),
        Tun::Absent if remedy.engine.is_some() => limited("this container has no /dev/net/tun")
            .with(remedy.new_container("--device /dev/net/tun")),
        Tun::Absent => limited("there is no /dev/net/tun").with(remedy.as_root("modprobe tun")),
    }
}

fn netem(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means: &str| Check::new("netem", state, means);
    // User-mode Linux has a kernel of its own.
    let lend = || match remedy.manager {
        Some("apt-get") if !facts.uml => remedy.install("user-mode-linux", &[]),
        _ => Fix::Run("scripts/with-netem-kernel.sh COMMAND".to_owned()),
    };
    match (&facts.tried, facts.netem) {
        (Some(Ok(())), _) | (None, Part::Now) => {
            check(State::Ok, "the kernel has it, for scripts/netem-*.sh")
        }
        (None, Part::OnDemand) => {
            check(State::Ok, "a kernel module that scripts/netem-*.sh load as root")
        }
        (Some(Err(cause)), _) => Check::new(
            "netem",
            State::Unknown,
            format!(
                "the kernel lists it but adds no queue ({cause}); for scripts/netem-*.sh, \
                 scripts/with-netem-kernel.sh lends another kernel"
            ),
        )
        .with(lend()),
        (None, Part::NotInstalled) => {
            let means = "its kernel module is not installed, and scripts/netem-*.sh need it";
            let modules = [
                ("apt-get", "linux-modules-extra-$(uname -r)"),
                ("dnf", "kernel-modules-extra-$(uname -r)"),
            ];
            let known = modules.iter().find(|(manager, _)| remedy.manager == Some(manager));
            check(State::Missing, means)
                .with(known.map_or_else(lend, |(_, package)| remedy.install(package, &[])))
        }
        (None, Part::LeftOut) => check(
            State::Missing,
            "this kernel was built without it, and scripts/netem-*.sh need it; \
             scripts/with-netem-kernel.sh lends another kernel",
        )
        .with(lend()),
        (None, Part::Unknown) => check(
            State::Unknown,
            "the kernel does not list its modules; scripts/netem-*.sh need this one",
        )
        .with(remedy.as_root("modprobe sch_netem")),
    }
}

fn iproute2(facts: &Facts, remedy: &Remedy) -> Check {
    if facts.tc {
        Check::new("iproute2", State::Ok, "`tc` runs, for scripts/netem-*.sh")
    } else {
        Check::new("iproute2", State::Missing, "no `tc`, and scripts/netem-*.sh need it")
            .with(remedy.install("iproute2", &[("dnf", "iproute-tc")]))
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::ask;
    use super::{Facts, Fix, Kernel, Part, Remedy, Tun};
    use chatagram::net::emulated::{Error, Host, Obstacle};
    use std::fs::OpenOptions;
    use std::io::{self, ErrorKind};

    pub(super) fn gather(remedy: &Remedy) -> Facts {
        let namespaces = Host::rehearse().map_err(|error| match error {
            Error::Refused { cause, obstacles } => refusal(&cause, &obstacles, remedy),
            other => (other.to_string(), Fix::Run("chatagram lab".to_owned())),
        });
        let kernel = ask_kernel();
        let netem = kernel.part("sch_netem", "CONFIG_NET_SCH_NETEM");
        // Trying would load the module for good.
        let try_it = netem == Part::Now && namespaces.is_ok();
        let tried = try_it.then(|| Host::rehearse_netem().map_err(io::Error::other));
        Facts {
            namespaces,
            tun: tun(&kernel),
            netem,
            tried,
            tc: ask::run("tc", &["-V"]).is_some(),
            uml: ask::find("linux.uml").is_some(),
        }
    }

    /// The cause in words, and the command that removes the first obstacles.
    pub(super) fn refusal(
        cause: &io::Error,
        obstacles: &[Obstacle],
        remedy: &Remedy,
    ) -> (String, Fix) {
        let settings: Vec<_> = obstacles
            .iter()
            .filter_map(|obstacle| match obstacle {
                Obstacle::Setting { name, value } => Some(format!("{name}={value}")),
                _ => None,
            })
            .collect();
        if !settings.is_empty() {
            let command = format!("sysctl -w {}", settings.join(" "));
            (cause.to_string(), remedy.as_root(&command))
        } else if obstacles.contains(&Obstacle::Seccomp) {
            let cause = format!("{cause}; a seccomp filter, as most containers have one");
            let flags = "--cap-add SYS_ADMIN --cap-add NET_ADMIN --device /dev/net/tun";
            (cause, remedy.new_container(flags))
        } else if remedy.root {
            let needed = "use a kernel with CONFIG_USER_NS and CONFIG_NET_NS";
            (cause.to_string(), Fix::Say(needed.to_owned()))
        } else {
            (cause.to_string(), remedy.as_root("chatagram lab"))
        }
    }

    fn ask_kernel() -> Kernel {
        let release = ask::read("/proc/sys/kernel/osrelease").unwrap_or_default();
        let modules = format!("/lib/modules/{}", release.trim());
        let config = ask::read(format!("/boot/config-{}", release.trim()))
            .or_else(|| ask::read(format!("{modules}/config")))
            .or_else(|| ask::run("gzip", &["-dc", "/proc/config.gz"]));
        Kernel {
            loaded: ask::read("/proc/modules"),
            built_in: ask::read(format!("{modules}/modules.builtin")),
            installed: ask::read(format!("{modules}/modules.dep")),
            config,
        }
    }

    /// Opening the file of a missing driver makes the kernel load it.
    fn tun(kernel: &Kernel) -> Tun {
        const PATH: &str = "/dev/net/tun";
        let registered = ask::read("/proc/misc").unwrap_or_default();
        let driver = registered.lines().any(|line| line.trim().ends_with(" tun"));
        let there = std::fs::metadata(PATH);
        match there {
            Err(error) if error.kind() == ErrorKind::NotFound => Tun::Absent,
            Err(error) => Tun::Denied(error.to_string()),
            Ok(_) if driver => match OpenOptions::new().read(true).write(true).open(PATH) {
                Ok(_) => Tun::Open,
                Err(error) => Tun::Denied(error.to_string()),
            },
            Ok(_) => match kernel.part("tun", "CONFIG_TUN") {
                Part::Now | Part::OnDemand => Tun::OnDemand,
                Part::LeftOut => Tun::LeftOut,
                Part::NotInstalled | Part::Unknown => Tun::NotLoaded,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(loaded: &str, built_in: &str, installed: &str, config: &str) -> Kernel {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Kernel {
            loaded: some(loaded),
            built_in: some(built_in),
            installed: some(installed),
            config: some(config),
        }
    }

    #[test]
    fn a_feature_is_found_in_any_of_the_lists() {
        let part = |kernel: Kernel| kernel.part("sch_netem", "CONFIG_NET_SCH_NETEM");
        let dep = "kernel/net/sched/sch_netem.ko.zst: kernel/x.ko\n";
        let without = "# CONFIG_NET_SCH_NETEM is not set\nCONFIG_NET_SCH_NETEM_X=y\n";
        let module = "CONFIG_NET_SCH_NETEM=m\n";
        assert_eq!(part(kernel("sch_netem 20480 0 - Live 0x0\n", "", "", "")), Part::Now);
        assert_eq!(part(kernel("", "kernel/net/sched/sch_netem.ko\n", "", "")), Part::Now);
        assert_eq!(part(kernel("", "", "", "CONFIG_NET_SCH_NETEM=y\n")), Part::Now);
        assert_eq!(part(kernel("tun 1 0\n", "kernel/tun.ko\n", dep, module)), Part::OnDemand);
        assert_eq!(part(kernel("", "", "kernel/tun.ko:\n", module)), Part::NotInstalled);
        assert_eq!(part(kernel("", "", "", without)), Part::LeftOut);
        assert_eq!(part(kernel("sch_netem_x 1\n", "", "", "")), Part::Unknown);
        // In a container without the host's files, the state is unknown.
        assert_eq!(part(kernel("tun 1 0\n", "", "", module)), Part::Unknown);
        let needs = "kernel/a.ko: kernel/net/sched/sch_netem.ko\n";
        assert_eq!(part(kernel("", "", needs, module)), Part::NotInstalled);
    }

    fn facts() -> Facts {
        let (tun, netem) = (Tun::Open, Part::Now);
        Facts { namespaces: Ok(()), tun, netem, tried: None, tc: true, uml: false }
    }

    #[test]
    fn each_missing_feature_comes_with_a_command() {
        let fix = Fix::Run("sudo x".into());
        let facts = Facts {
            namespaces: Err(("Permission denied".into(), fix.clone())),
            tun: Tun::Denied("Permission denied".into()),
            netem: Part::LeftOut,
            tc: false,
            ..facts()
        };
        let remedy = Remedy { manager: Some("apt-get"), ..Remedy::default() };
        let [namespaces, tun, netem, tc] = judge(&facts, &remedy).try_into().unwrap();
        assert_eq!(namespaces.state, State::Missing);
        assert!(namespaces.means.contains("Permission denied") && namespaces.means.contains("TCP"));
        assert_eq!(namespaces.fix, Some(fix));
        assert_eq!((tun.state, netem.state), (State::Limited, State::Missing));
        assert_eq!(tun.fix.unwrap().text(), "sudo chmod 0666 /dev/net/tun");
        assert_eq!(netem.fix.unwrap().text(), "sudo apt-get install user-mode-linux");
        assert_eq!(tc.fix.unwrap().text(), "sudo apt-get install iproute2");
        let lent = super::netem(&Facts { uml: true, ..facts }, &remedy);
        assert!(lent.fix.unwrap().text().contains("with-netem-kernel.sh"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_refusal_of_namespaces_comes_with_the_command_for_its_cause() {
        use chatagram::net::emulated::Obstacle;
        let of = |obstacles: &[Obstacle], remedy: &Remedy| {
            let (_, fix) =
                linux::refusal(&io::ErrorKind::PermissionDenied.into(), obstacles, remedy);
            fix.text().to_owned()
        };
        let setting = |name| Obstacle::Setting { name, value: "1" };
        let user = Remedy::default();
        assert_eq!(of(&[setting("a"), setting("b")], &user), "sudo sysctl -w a=1 b=1");
        assert!(of(&[Obstacle::Seccomp], &user).starts_with("docker run --cap-add SYS_ADMIN"));
        assert_eq!(of(&[Obstacle::Other], &user), "sudo chatagram lab");
        let root = Remedy { root: true, ..Remedy::default() };
        assert!(of(&[Obstacle::Other], &root).contains("CONFIG_USER_NS"));
    }

    #[test]
    fn a_working_queue_overrides_the_lists() {
        let facts = |tried, netem| Facts { netem, tried, ..facts() };
        let state = |tried, netem| judge(&facts(tried, netem), &Remedy::default())[2].state;
        assert_eq!(state(Some(Ok(())), Part::Now), State::Ok);
        assert_eq!(state(Some(Err(io::ErrorKind::Unsupported.into())), Part::Now), State::Unknown);
        assert_eq!(state(None, Part::OnDemand), State::Ok);
        assert_eq!(state(None, Part::NotInstalled), State::Missing);
        assert_eq!(state(None, Part::Unknown), State::Unknown);
    }
}
