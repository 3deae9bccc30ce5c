//! Machines on a bridge, for checks of one server and its clients on a network: namespaces within
//! the namespaces that the check's process enters with `unshare`, invisible from outside, and gone
//! with the process. Runs as root, or as a user to whom the kernel gives a user namespace.

use crate::needs;
use crate::program::Program;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use tempfile::TempDir;

const TOOLS: [&str; 6] = ["ip", "nft", "nsenter", "unshare", "sh", "mount"];

/// A check's name and function.
pub(crate) type Check = (&'static str, fn());

/// Tests that run these checks in processes and namespaces of their own. `role` is the role that
/// calls [`play`].
pub(crate) fn tests(
    module: &'static str,
    role: &'static str,
    checks: &[Check],
) -> Vec<needs::Test> {
    let test = |name: &'static str| needs::Test::new(module, name, move || isolate(role, name));
    checks.iter().map(|(name, _)| test(name)).collect()
}

fn isolate(role: &str, check: &str) {
    needs::needs(&TOOLS);
    let Some(mut command) = namespaces() else {
        needs::skip("this machine refuses namespaces, a bridge in them, or nftables' rules");
    };
    needs::delegate(command.arg(needs::itself().get_program()).args(["--role", role, check]));
}

/// Runs one of these checks: this process is in namespaces of its own.
pub(crate) fn play(checks: &[Check], args: &[&str]) {
    for [what, place] in [["tmpfs", "/run"], ["proc", "/proc"]] {
        let mounted = Command::new("mount").args(["-t", what, what, place]).status().unwrap();
        if !mounted.success() {
            needs::skip(format!("this machine refuses a {place} of its own"));
        }
    }
    let (_, check) = checks.iter().find(|(name, _)| [*name] == args).expect("a check");
    check();
}

/// The command that runs a program in new namespaces, if the machine permits them.
fn namespaces() -> Option<Command> {
    static OPTIONS: OnceLock<Option<Vec<&str>>> = OnceLock::new();
    let options = OPTIONS.get_or_init(|| {
        let own = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
        let mapped = ["--user", "--map-root-user"];
        let try_out = "mount -t tmpfs run /run && ip link add name b type bridge && \
                       nft add table ip t && echo 1 >/proc/sys/net/ipv4/ip_forward";
        [own.to_vec(), [&mapped[..], &own].concat()].into_iter().find(|options| {
            let tried = unshare(options).args(["sh", "-c", try_out]).output();
            tried.is_ok_and(|output| output.status.success())
        })
    });
    options.as_deref().map(unshare)
}

fn unshare(options: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    command.args(options).arg("--");
    command
}

/// A bridge with machines on it.
pub(crate) struct Lan {
    bridge: Machine,
    pub(crate) dir: TempDir,
}

/// A machine: the name of its namespace. Its interface on the bridge is `eth0`.
#[derive(Clone)]
pub(crate) struct Machine(String);

impl Lan {
    pub(crate) fn new() -> Self {
        let bridge = Machine::new("bridge");
        bridge.ip("link add br0 type bridge");
        bridge.ip("link set br0 up");
        Self { bridge, dir: tempfile::tempdir().unwrap() }
    }

    /// A machine at 10.7.0.N and fe80::N.
    pub(crate) fn machine(&self, name: &str, n: u8) -> Machine {
        let machine = Machine::new(name);
        self.plug_in(&machine, n);
        machine
    }

    /// Adds an interface on the bridge to a machine.
    pub(crate) fn plug_in(&self, machine: &Machine, n: u8) {
        let Machine(name) = machine;
        let port = format!("to-{name}");
        self.bridge.ip(&format!("link add {port} type veth peer name eth0 netns {name}"));
        self.bridge.ip(&format!("link set {port} master br0 up"));
        // The kernel's own link-local address would need a second of duplicate address detection.
        machine.ip("link set eth0 addrgenmode none");
        machine.ip("link set eth0 up");
        machine.ip(&format!("addr add 10.7.0.{n}/24 dev eth0"));
        machine.ip(&format!("addr add fe80::{n}/64 dev eth0 nodad"));
    }

    pub(crate) fn start(&self, machine: &Machine, args: &[&str]) -> Program {
        machine.start(self.dir.path(), args)
    }
}

impl Machine {
    /// A machine without an interface on a bridge.
    pub(crate) fn new(name: &str) -> Self {
        ip(&format!("netns add {name}"));
        let machine = Self(name.to_owned());
        machine.ip("link set lo up");
        machine
    }

    /// Runs `ip` on the machine.
    pub(crate) fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.0));
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// A command that runs on the machine.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.0)).arg("--").arg(program);
        command
    }

    /// Replaces all nftables rules of the machine.
    pub(crate) fn rules(&self, rules: &str) {
        let mut command = self.command("nft");
        let mut nft = command.args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        // nft requires line ends where one might omit them.
        let rules = rules.replace("{ ", "{\n").replace("; ", ";\n").replace(" }", "\n}");
        let text = format!("flush ruleset\n{rules}\n");
        nft.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "nft: {rules}");
    }

    /// Packets and bytes of the rules' only counter.
    pub(crate) fn counted(&self) -> (u64, u64) {
        let output = self.command("nft").args(["list", "ruleset"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<_> = text.split_whitespace().collect();
        let number = |name| {
            let at = words.iter().position(|word| *word == name).expect("a counter");
            words[at + 1].parse().unwrap()
        };
        (number("packets"), number("bytes"))
    }

    fn start(&self, dir: &Path, args: &[&str]) -> Program {
        Program::start_by(self.command(env!("CARGO_BIN_EXE_chatagram")), dir, args)
    }

    /// This program on the machine, in another of its roles.
    pub(crate) fn role(&self, role: &str, args: &[&str]) -> Command {
        let mut command = self.command(needs::itself().get_program());
        command.args(["--role", role]).args(args);
        command
    }
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {words}: {status}");
}
