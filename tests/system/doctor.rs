//! `chatagram doctor`: its output agrees with what other programs find on the machine, and it
//! leaves the machine unchanged.

use crate::needs::{needs, skip};
use serde_json::Value;
use std::fs::File;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const NAMES: [&str; 17] = [
    "namespaces",
    "tun",
    "netem",
    "iproute2",
    "udp-buffer",
    "udp-2428",
    "tcp-2428",
    "udp-2429",
    "ipv6",
    "discovery",
    "firewall",
    "clock",
    "machine",
    "open-files",
    "terminal",
    "tshark",
    "python3",
];

/// The program in an environment of its own, run through `wrapper` if there is one.
fn doctor(wrapper: &[&str], args: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_chatagram");
    let all = wrapper.iter().copied().chain([program, "doctor"]).chain(args.iter().copied());
    let all: Vec<_> = all.collect();
    let mut command = Command::new(all[0]);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
        command.env_remove(name);
    }
    command.args(&all[1..]).env_remove("NO_COLOR").env("LANG", "C.UTF-8").env_remove("LC_ALL");
    command.stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn checks(command: &mut Command) -> Vec<Value> {
    let text = text(&command.output().unwrap());
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn find<'a>(checks: &'a [Value], name: &str) -> &'a Value {
    checks.iter().find(|check| check["check"] == name).expect(name)
}

fn json_has_every_check_once_with_a_state_and_a_sentence() {
    let checks = checks(&mut doctor(&[], &["--output", "json"]));
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, NAMES);
    for check in &checks {
        let state = check["state"].as_str().unwrap();
        assert!(["ok", "limited", "missing", "unknown"].contains(&state), "{check}");
        assert!(check["means"].as_str().unwrap().len() > 5, "{check}");
        assert!(check["fix"].is_null() || !check["fix"].as_str().unwrap().is_empty(), "{check}");
        assert!(!(check["fix"].is_null() && check["fix_is_command"] == true), "{check}");
        assert_eq!(check.as_object().unwrap().len(), 5, "{check}");
    }
    assert!(!checks.iter().any(|check| check["state"] == "ok" && !check["fix"].is_null()));
}

fn text_has_every_check_within_80_columns() {
    let text = text(&doctor(&[], &[]).output().unwrap());
    for name in NAMES {
        assert!(text.contains(&format!(" {name} ")), "{name}: {text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[cfg(target_os = "linux")]
fn namespaces_are_reported_as_unshare_finds_them() {
    needs(&["unshare", "true"]);
    let kinds: &[&str] = if rustix::process::geteuid().is_root() {
        &["--net"]
    } else {
        &["--user", "--map-root-user", "--net"]
    };
    let other = Command::new("unshare").args(kinds).arg("true").output().unwrap();
    let checks = checks(&mut doctor(&[], &["--output", "json"]));
    let found = find(&checks, "namespaces");
    let expected = if other.status.success() { "ok" } else { "missing" };
    assert_eq!(found["state"], expected, "{found} {other:?}");
}

/// A user namespace in which the kernel allows no further network namespace.
#[cfg(target_os = "linux")]
fn without_namespaces_the_fix_names_the_sysctl() {
    let forbid = "echo 0 > /proc/sys/user/max_net_namespaces && exec \"$@\"";
    let wrapper = ["unshare", "--user", "--map-root-user", "sh", "-c", forbid, "sh"];
    needs(&["unshare", "sh", "true"]);
    let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skip("unshare makes no user namespace on this machine");
    }
    let checks = checks(&mut doctor(&wrapper, &["--output", "json"]));
    let found = find(&checks, "namespaces");
    assert_eq!(found["state"], "missing", "{found}");
    assert!(found["means"].as_str().unwrap().contains("no TCP"), "{found}");
    let fix = found["fix"].as_str().unwrap();
    assert!(fix.contains("sysctl -w user.max_net_namespaces="), "{found}");
}

/// A namespace whose firewall admits UDP 2429 and nothing else.
#[cfg(target_os = "linux")]
fn a_firewall_that_drops_the_port_is_reported() {
    let build = "ip link set lo up && ip link add near type veth peer name far && \
        ip addr add 10.9.9.1/24 brd + dev near && ip link set near up && ip link set far up && \
        nft add table inet t && \
        nft 'add chain inet t in { type filter hook input priority 0; policy drop; }' && \
        nft add rule inet t in udp dport 2429 accept && exec \"$@\"";
    let wrapper = ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", build, "sh"];
    needs(&["unshare", "sh", "true", "ip", "nft"]);
    let tried = Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").output();
    if !tried.is_ok_and(|output| output.status.success()) {
        skip("no network namespace with a firewall can be made on this machine");
    }
    let checks = checks(&mut doctor(&wrapper, &["--output", "json"]));
    let found = find(&checks, "firewall");
    assert_eq!(found["state"], "limited", "{found}");
    assert!(found["means"].as_str().unwrap().contains("to UDP 2428 do not come in"), "{found}");
    let discovery = find(&checks, "discovery");
    assert!(discovery["means"].as_str().unwrap().contains("on near"), "{discovery}");
}

fn a_port_in_use_is_reported() {
    // If another program has the port already, the test needs no socket of its own.
    let _held = UdpSocket::bind("[::]:2428").or_else(|_| UdpSocket::bind("0.0.0.0:2428"));
    let checks = checks(&mut doctor(&[], &["--output", "json"]));
    assert_eq!(find(&checks, "udp-2428")["state"], "limited");
}

/// `script` gives the program a terminal.
#[cfg(target_os = "linux")]
fn colours_are_for_terminals_without_no_color() {
    needs(&["script", "sh", "env"]);
    let on_terminal = |settings: &str| {
        let command = format!("{settings} '{}' doctor", env!("CARGO_BIN_EXE_chatagram"));
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &command, "/dev/null"]).stdin(Stdio::null());
        text(&script.env_remove("NO_COLOR").env("LC_ALL", "C.UTF-8").output().unwrap())
    };
    assert!(on_terminal("TERM=xterm").contains("\u{1b}[3"));
    for plain in ["TERM=dumb", "TERM=xterm NO_COLOR=1", "env -u TERM"] {
        let shown = on_terminal(plain);
        assert!(shown.contains("namespaces") && !shown.contains('\u{1b}'), "{plain}: {shown:?}");
    }
}

#[cfg(target_os = "linux")]
fn doctor_leaves_no_process_and_no_change() {
    use std::os::unix::process::CommandExt;
    let dir = TempDir::new().unwrap();
    let before = machine();
    let mut command = doctor(&[], &[]);
    command.current_dir(&dir).env("HOME", dir.path()).env("TMPDIR", dir.path());
    command.process_group(0).stdout(Stdio::piped());
    let child = command.spawn().unwrap();
    let group = child.id().to_string();
    text(&child.wait_with_output().unwrap());
    assert_eq!(machine(), before);
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
    let left = processes().into_iter().filter(|(_, of)| *of == group).count();
    assert_eq!(left, 0, "processes of its group");
}

/// The machine's interfaces, kernel modules and settings.
#[cfg(target_os = "linux")]
fn machine() -> Vec<String> {
    let names = |path: &str| {
        let mut names: Vec<_> = std::fs::read_dir(path)
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.join(" ")
    };
    let modules = std::fs::read_to_string("/proc/modules").unwrap_or_default();
    let modules = modules.lines().filter_map(|line| line.split(' ').next());
    let slack = std::fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap_or_default();
    vec![names("/sys/class/net"), names("/run/netns"), modules.collect(), slack]
}

/// Each process with its process group.
#[cfg(target_os = "linux")]
fn processes() -> Vec<(String, String)> {
    let stat = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may contain any character.
        let mut fields = text.rsplit_once(')')?.1.split_whitespace();
        Some((entry.file_name().into_string().ok()?, fields.nth(2)?.to_owned()))
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter_map(stat).collect()
}

/// Every program that doctor runs hangs; doctor does not.
#[cfg(unix)]
fn a_hanging_program_is_given_up() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TempDir::new().unwrap();
    for name in ["tc", "gzip", "firewall-cmd", "timedatectl", "nft"] {
        let path = dir.path().join(name);
        std::fs::write(&path, "#!/bin/sh\nsleep 600\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    let begun = Instant::now();
    let checks = checks(doctor(&[], &["--output", "json"]).env("PATH", path));
    let took = begun.elapsed();
    assert_eq!(checks.len(), NAMES.len());
    // doctor may take 3 s; the rest is for a busy machine.
    assert!(took < Duration::from_secs(20), "{took:?}");
    #[cfg(target_os = "linux")]
    assert_eq!(find(&checks, "iproute2")["state"], "missing");
}

#[cfg(unix)]
fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let gone = doctor(&[], &[]).stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((gone.status.code(), gone.stderr.as_slice()), (Some(0), b"".as_slice()));
    if Path::new("/dev/full").exists() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = doctor(&[], &[]).stdout(full).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(full.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&full.stderr).contains("cannot print"), "{full:?}");
    }
}

fn its_options_have_environment_variables() {
    let mut command = doctor(&[], &[]);
    assert_eq!(checks(command.env("CHATAGRAM_OUTPUT", "json")).len(), NAMES.len());
    let wrong = doctor(&[], &["--output", "xml"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
}

tests! {
    json_has_every_check_once_with_a_state_and_a_sentence,
    text_has_every_check_within_80_columns,
    #[cfg(target_os = "linux")]
    namespaces_are_reported_as_unshare_finds_them,
    #[cfg(target_os = "linux")]
    without_namespaces_the_fix_names_the_sysctl,
    #[cfg(target_os = "linux")]
    a_firewall_that_drops_the_port_is_reported,
    a_port_in_use_is_reported,
    #[cfg(target_os = "linux")]
    colours_are_for_terminals_without_no_color,
    #[cfg(target_os = "linux")]
    doctor_leaves_no_process_and_no_change,
    #[cfg(unix)]
    a_hanging_program_is_given_up,
    #[cfg(unix)]
    a_closed_pipe_is_no_error_and_a_full_disk_is,
    its_options_have_environment_variables,
}
