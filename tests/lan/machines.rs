//! Machines on a bridge: namespaces within the namespaces that this test enters with `unshare`,
//! invisible from outside, and gone with the process.

use crate::needs;
use crate::program::Program;
use crate::raw::Raw;
use chatagram::protocol::limits::{DISCOVERY_PORT, PROBE_SIZE};
use chatagram::protocol::{DatagramWriter, Frame, Header};
use std::io::Write;
use std::net::SocketAddrV4;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs};
use tempfile::TempDir;

/// Roles of further processes of this program.
pub(crate) const INSIDE: &str = "--inside";
pub(crate) const FORGE: &str = "--forge";

const TOOLS: [&str; 6] = ["ip", "nft", "nsenter", "unshare", "sh", "mount"];

/// A check's name and function.
pub(crate) type Check = (&'static str, fn());

/// Runs these checks in namespaces of their own, by running this program again.
pub(crate) fn enter(checks: &[Check]) -> ExitCode {
    // If the machine refuses, every check is skipped.
    let Some(mut inside) = namespaces() else {
        let skipped = checks.iter().map(|(name, _)| (*name, || refuse()));
        return needs::run(skipped);
    };
    let args: Vec<_> = env::args_os().skip(1).collect();
    if args.iter().any(|arg| arg == "--list") {
        return needs::run(checks.iter().map(|(name, check)| (*name, *check)));
    }
    let status = inside.arg(itself()).arg(INSIDE).args(args).status().unwrap();
    ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Runs the checks one after another, because they share the directory of namespaces.
pub(crate) fn run_inside<F: Fn() + Send + 'static>(
    checks: impl IntoIterator<Item = (&'static str, F)>,
) -> ExitCode {
    // Without the role's arguments.
    let mut args: Vec<_> = env::args_os().collect();
    args.remove(1);
    needs::run_with(args, Some(1), checks)
}

fn refuse() {
    needs::needs(&TOOLS);
    needs::skip("this machine refuses namespaces, a bridge in them, or nftables' rules");
}

/// The command that runs a program in new namespaces, if the machine permits them.
fn namespaces() -> Option<Command> {
    if !TOOLS.into_iter().all(needs::is_here) {
        return None;
    }
    let own = ["--net", "--mount", "--pid", "--fork", "--kill-child"];
    let mapped = ["--user", "--map-root-user"];
    for options in [&own[..], &[&mapped[..], &own[..]].concat()] {
        let unshare = || {
            let mut command = Command::new("unshare");
            command.args(options).arg("--");
            command
        };
        let try_out = "mount -t tmpfs run /run && ip link add name b type bridge && \
                       nft add table ip t && echo 1 >/proc/sys/net/ipv4/ip_forward";
        let tried = unshare().args(["sh", "-c", try_out]).output();
        if tried.is_ok_and(|output| output.status.success()) {
            return Some(unshare());
        }
    }
    None
}

/// A bridge with machines on it, removed when dropped.
pub(crate) struct Lan {
    id: usize,
    pub(crate) dir: TempDir,
}

/// A machine: the name of its namespace. Its interface on the bridge is `eth0`.
#[derive(Clone)]
pub(crate) struct Machine(String);

impl Lan {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let lan = Self { id, dir: tempfile::tempdir().unwrap() };
        let bridge = lan.isolated("bridge");
        bridge.ip("link add br0 type bridge");
        bridge.ip("link set br0 up");
        lan
    }

    /// A machine without an interface on the bridge.
    pub(crate) fn isolated(&self, name: &str) -> Machine {
        let name = format!("{name}{}", self.id);
        ip(&format!("netns add {name}"));
        let machine = Machine(name);
        machine.ip("link set lo up");
        machine
    }

    /// A machine at 10.7.0.N and fe80::N.
    pub(crate) fn machine(&self, name: &str, n: u8) -> Machine {
        let machine = self.isolated(name);
        self.plug_in(&machine, n);
        machine
    }

    /// Adds an interface on the bridge to a machine.
    pub(crate) fn plug_in(&self, machine: &Machine, n: u8) {
        let Machine(name) = machine;
        let (bridge, port) = (format!("bridge{}", self.id), format!("to-{name}"));
        ip(&format!("-n {bridge} link add {port} type veth peer name eth0 netns {name}"));
        ip(&format!("-n {bridge} link set {port} master br0 up"));
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

impl Drop for Lan {
    fn drop(&mut self) {
        let ours = |name: &str| name.trim_start_matches(char::is_alphabetic) == self.id.to_string();
        for entry in fs::read_dir("/run/netns").into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if ours(&name) {
                let _ = Command::new("ip").args(["netns", "del", &name]).status();
            }
        }
    }
}

impl Machine {
    /// Runs `ip` on the machine.
    pub(crate) fn ip(&self, words: &str) {
        ip(&format!("-n {} {words}", self.0));
    }

    pub(crate) fn name(&self) -> &str {
        &self.0
    }

    /// A command that runs on the machine.
    pub(crate) fn command(&self, program: &str) -> Command {
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
    pub(crate) fn role(&self, words: &[&str]) -> Command {
        let mut command = self.command(&itself());
        command.args(words);
        command
    }

    /// Sends a probe to an address with a forged source address.
    pub(crate) fn forge(&self, from: &str, to: &str) {
        let status = self.role(&[FORGE, from, to]).status().unwrap();
        assert!(status.success());
    }
}

/// [`Machine::forge`] in a process on the machine.
pub(crate) fn forge(from: &str, to: &str) {
    let mut probe = Vec::new();
    let mut writer = DatagramWriter::new(&mut probe);
    writer.push(&Frame::Probe { nonce: 7 });
    writer.pad_to(PROBE_SIZE);
    writer.finish(&Header::default());
    let to = SocketAddrV4::new(to.parse().unwrap(), DISCOVERY_PORT);
    Raw::open().send(from.parse().unwrap(), to, &probe);
}

/// By its path, because `/proc/self/exe` would be the program that leads here.
fn itself() -> String {
    env::current_exe().unwrap().into_os_string().into_string().unwrap()
}

fn ip(words: &str) {
    let status = Command::new("ip").args(words.split_whitespace()).status().unwrap();
    assert!(status.success(), "ip {words}: {status}");
}
