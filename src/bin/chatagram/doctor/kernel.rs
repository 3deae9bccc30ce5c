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
    /// Whether namespaces work; if not, the kernel's error and the remedy.
    pub(crate) namespaces: Result<(), (String, String)>,
    /// State of `/dev/net/tun`.
    pub(crate) tun: Tun,
    /// State of netem in the kernel's lists.
    pub(crate) netem: Part,
    /// Result of adding a netem queue in a namespace; `None`: not tried.
    pub(crate) tried: Option<io::Result<()>>,
}

/// `/dev/net/tun`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tun {
    /// It can be opened.
    Open,
    /// Opening it would load the module.
    OnDemand,
    /// It cannot be opened.
    Closed(String),
    /// Missing.
    Absent,
}

/// The checks; on other systems the features are missing.
pub(super) fn examine(remedy: &Remedy) -> Vec<Check> {
    #[cfg(target_os = "linux")]
    return judge(&linux::gather(), remedy);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = remedy;
        let words = "a virtual machine with Linux, or WSL 2, has it";
        let missing = |name, means: &str| {
            Check::new(name, State::Missing, means).with(Fix::Say(words.to_owned()))
        };
        vec![
            missing("namespaces", "only Linux has them: `chatagram lab` measures UDP alone"),
            missing("tun", "only Linux has it, and only the lab needs it"),
            missing("netem", "only Linux has it; `--impair` needs nothing"),
        ]
    }
}

fn judge(facts: &Facts, remedy: &Remedy) -> Vec<Check> {
    vec![namespaces(facts), tun(facts, remedy), netem(facts, remedy)]
}

fn namespaces(facts: &Facts) -> Check {
    match &facts.namespaces {
        Ok(()) => Check::new(
            "namespaces",
            State::Ok,
            "`chatagram lab` makes its own network and really loses the kernel's packets",
        ),
        Err((cause, way_out)) => Check::new(
            "namespaces",
            State::Missing,
            format!("refused ({cause}): `chatagram lab` measures UDP alone, inside the process"),
        )
        .with(Fix::Say(way_out.clone())),
    }
}

fn tun(facts: &Facts, remedy: &Remedy) -> Check {
    let veth = "the lab takes veth pairs instead";
    match &facts.tun {
        Tun::Open => Check::new("tun", State::Ok, "/dev/net/tun opens: the lab's devices"),
        Tun::OnDemand => Check::new(
            "tun",
            State::Ok,
            "/dev/net/tun is there; its kernel module is loaded when the lab opens it",
        ),
        Tun::Closed(why) => {
            Check::new("tun", State::Limited, format!("/dev/net/tun does not open ({why}): {veth}"))
                .with(remedy.as_root("chmod 0666 /dev/net/tun"))
        }
        Tun::Absent => {
            Check::new("tun", State::Limited, format!("there is no /dev/net/tun: {veth}")).with(
                Fix::Say("as root, `modprobe tun`; a container wants --device /dev/net/tun".into()),
            )
        }
    }
}

fn netem(facts: &Facts, remedy: &Remedy) -> Check {
    let lend =
        || Fix::Say("`scripts/with-netem-kernel.sh COMMAND` lends a kernel that has it".into());
    let check = |state, means: &str| Check::new("netem", state, means);
    match (&facts.tried, facts.netem) {
        (Some(Ok(())), _) => {
            check(State::Ok, "the kernel takes a netem queue, as scripts/netem-*.sh need it")
        }
        (Some(Err(cause)), _) => Check::new(
            "netem",
            State::Unknown,
            format!("the kernel lists sch_netem but gave no queue ({cause})"),
        ),
        (None, Part::Now) => {
            check(State::Ok, "the kernel has sch_netem; scripts/netem-*.sh use it as root")
        }
        (None, Part::OnDemand) => check(
            State::Ok,
            "sch_netem is a kernel module, loaded when scripts/netem-*.sh first use it as root",
        ),
        (None, Part::NotInstalled) => check(
            State::Missing,
            "this kernel has sch_netem as a module that is not installed: no scripts/netem-*.sh",
        )
        .with(remedy.install(
            "the kernel's extra modules",
            &[
                ("apt-get", "linux-modules-extra-$(uname -r)"),
                ("dnf", "kernel-modules-extra-$(uname -r)"),
            ],
        )),
        (None, Part::LeftOut) => {
            check(State::Missing, "this kernel was built without sch_netem: no scripts/netem-*.sh")
                .with(lend())
        }
        (None, Part::Unknown) => check(
            State::Unknown,
            "cannot tell without loading it whether the kernel has sch_netem, for scripts/netem-*.sh",
        )
        .with(remedy.as_root("modprobe sch_netem")),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::super::ask;
    use super::{Facts, Kernel, Part, Tun};
    use chatagram::net::emulated::{Error, Host};
    use std::fs::OpenOptions;
    use std::io::{self, ErrorKind};

    pub(super) fn gather() -> Facts {
        let namespaces = Host::rehearse().map_err(|error| match error {
            Error::Refused { cause, way_out } => (cause.to_string(), way_out),
            other => (other.to_string(), "run `chatagram lab` to see more".to_owned()),
        });
        let kernel = ask_kernel();
        let netem = kernel.part("sch_netem", "CONFIG_NET_SCH_NETEM");
        // Trying would load the module for good.
        let try_it = netem == Part::Now && namespaces.is_ok();
        let tried = try_it.then(|| Host::rehearse_netem().map_err(io::Error::other));
        Facts { namespaces, tun: tun(&kernel), netem, tried }
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
            Err(error) => Tun::Closed(error.to_string()),
            Ok(_) if driver => match OpenOptions::new().read(true).write(true).open(PATH) {
                Ok(_) => Tun::Open,
                Err(error) => Tun::Closed(error.to_string()),
            },
            Ok(_) => match kernel.part("tun", "CONFIG_TUN") {
                Part::Now | Part::OnDemand => Tun::OnDemand,
                Part::NotInstalled | Part::LeftOut => Tun::Closed("the kernel lacks it".into()),
                Part::Unknown => Tun::Closed("its kernel module is not loaded".into()),
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

    #[test]
    fn a_refusal_names_cause_and_remedy() {
        let facts = Facts {
            namespaces: Err(("Permission denied".into(), "as root, run `x`".into())),
            tun: Tun::Closed("Permission denied".into()),
            netem: Part::LeftOut,
            tried: None,
        };
        let [namespaces, tun, netem] = judge(&facts, &Remedy::default()).try_into().unwrap();
        assert_eq!(namespaces.state, State::Missing);
        assert!(namespaces.means.contains("Permission denied") && namespaces.means.contains("UDP"));
        assert_eq!(namespaces.fix, Some(Fix::Say("as root, run `x`".into())));
        assert_eq!((tun.state, netem.state), (State::Limited, State::Missing));
        assert_eq!(tun.fix.unwrap().text(), "sudo chmod 0666 /dev/net/tun");
        assert!(netem.fix.unwrap().text().contains("with-netem-kernel.sh"));
    }

    #[test]
    fn a_working_queue_overrides_the_lists() {
        let facts = |tried, netem| Facts { namespaces: Ok(()), tun: Tun::Open, netem, tried };
        let state = |tried, netem| judge(&facts(tried, netem), &Remedy::default())[2].state;
        assert_eq!(state(Some(Ok(())), Part::Now), State::Ok);
        assert_eq!(state(Some(Err(io::ErrorKind::Unsupported.into())), Part::Now), State::Unknown);
        assert_eq!(state(None, Part::OnDemand), State::Ok);
        assert_eq!(state(None, Part::NotInstalled), State::Missing);
        assert_eq!(state(None, Part::Unknown), State::Unknown);
    }
}
