//! The emulated network with the kernel's UDP and TCP at both ends.

mod capture;
mod connections;

use crate::needs::{Role, Test, delegate, needs, skip};
use chatagram::net::emulated::{Error, Host, Network, Node, Wire};
use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{fs, thread};

/// Timeout of every wait.
const TIMEOUT: Duration = Duration::from_secs(20);
const NOBODY: u32 = 65_534;
type Check = fn(Wire);
const CHECKS: [(&str, Check); 10] = [
    ("an echo takes both delays and is counted", echo),
    ("listed drops lose exactly those packets", listed_drops),
    ("TCP recovers from packet loss", tcp_under_loss),
    ("the counters account for every packet of a burst", burst),
    ("a capture has every packet, and agrees with kernel and router", capture::check),
    ("a node reaches only the other node", isolation),
    ("a child runs on its node and ends with the network", child_dies_with_the_network),
    ("dropping a network releases everything", nothing_is_left),
    ("a deleted device is a failure", deleted_device),
    ("a device that is down is a failure", device_down),
];

/// Those for which the kind of device does not matter.
const FURTHER: [(&str, fn()); 2] = [
    ("either kind of device is used", either_wire_will_do),
    ("children die with a killed lab", children_die_with_a_killed_lab),
];

/// Those for users without privileges.
const UNPRIVILEGED: [(&str, fn()); 2] = [
    ("a process with two threads is refused", two_threads_are_refused),
    ("an error names the way out", a_refusal_names_the_way_out),
];

pub(crate) const ROLES: &[Role] = &[
    ("emulated_network", check),
    ("a_lab_with_a_child", |_| a_lab_with_a_child()),
    ("echo_until_killed", |_| echo_until_killed()),
    ("end_at_once", |_| ()),
    ("sleep_until_killed", |_| thread::sleep(Duration::from_secs(600))),
];

/// A process enters namespaces before its second thread starts, and some checks count its threads
/// and files: each check has a process of its own. If this process is root's, each check runs
/// again as an unprivileged user.
pub(crate) fn tests() -> Vec<Test> {
    let test = |name: &str, user: Option<u32>| {
        let (check, whose) = (name.to_owned(), if user.is_some() { "nobody: " } else { "" });
        Test::new(module_path!(), &format!("{whose}{name}"), move || {
            let mut command = role("emulated_network");
            // Not every machine lets everybody write to its directory for temporary files.
            let dir = tempfile::tempdir().unwrap();
            if let Some(id) = user {
                chown(dir.path(), Some(id), Some(id)).unwrap();
                command.uid(id).gid(id).current_dir("/").env("TMPDIR", dir.path());
            }
            delegate(command.arg(&check));
        })
    };
    let names = |wires: &[Wire]| -> Vec<String> {
        let on_wire = |wire: Wire| CHECKS.map(|(name, _)| format!("{wire:?}: {name}"));
        let further = FURTHER.iter().map(|(name, _)| (*name).to_owned());
        wires.iter().copied().flat_map(on_wire).chain(further).collect()
    };
    let mut tests: Vec<_> =
        names(&[Wire::Tun, Wire::Veth]).iter().map(|name| test(name, None)).collect();
    let listed = connections::the_kernel_lists_what_each_socket_has;
    tests.push(Test::new(module_path!(), "the kernel lists what each socket has", listed));
    let user = rustix::process::geteuid().is_root().then_some(NOBODY);
    tests.extend(UNPRIVILEGED.iter().map(|(name, _)| test(name, user)));
    if user.is_some() {
        // On many machines only root may open `/dev/net/tun`.
        let open = fs::metadata("/dev/net/tun").is_ok_and(|it| it.permissions().mode() & 6 == 6);
        let wires = if open { &[Wire::Tun, Wire::Veth][..] } else { &[Wire::Veth] };
        tests.extend(names(wires).iter().map(|name| test(name, user)));
    }
    tests
}

/// Runs the check with this name.
fn check(args: &[&str]) {
    let [name] = args else { panic!("{args:?}") };
    let mut unprivileged = UNPRIVILEGED.iter();
    if let Some((_, check)) = unprivileged.find(|(check, _)| check == name) {
        return check();
    }
    if let Err(error) = Host::enter() {
        skip(error.to_string());
    }
    for wire in [Wire::Tun, Wire::Veth] {
        for (check, run) in CHECKS {
            if *name == format!("{wire:?}: {check}") {
                return missing(wire).map_or_else(|| run(wire), |why| skip(why));
            }
        }
    }
    FURTHER.iter().find(|(check, _)| check == name).expect("a check").1();
}

/// The reason why this machine has no such device.
fn missing(wire: Wire) -> Option<String> {
    match Network::build_over(wire, &"none".parse().unwrap(), 1) {
        Ok(_) => None,
        Err(Error::Device { cause, .. }) => Some(format!("no {wire:?}: {cause}")),
        Err(error) => panic!("{wire:?}: {error}"),
    }
}

fn echo(wire: Wire) {
    const DATAGRAMS: u64 = 20;
    let network = build(wire, "delay 25ms");
    let socket = on_server(&network);
    let server = socket.local_addr().unwrap();
    let echo = thread::spawn(move || serve_echo(&socket, DATAGRAMS));
    let waits = network.run_in(Node::Clients, move || {
        let socket = udp(Node::Clients);
        (0..DATAGRAMS).map(|_| round_trip(&socket, server)).collect::<Vec<_>>()
    });
    for wait in waits.unwrap().join().unwrap() {
        // Times are whole microseconds, so each way may appear one shorter.
        assert!(wait >= Duration::from_micros(50_000 - 2), "{wait:?} there and back");
    }
    echo.join().unwrap();
    let (up, down) = network.counts();
    for counts in [&up, &down] {
        assert_eq!(counts.packets, DATAGRAMS);
        // 20 bytes of IPv4 header, 8 of UDP, 5 of text.
        assert_eq!(counts.bytes, DATAGRAMS * 33);
        assert_eq!((counts.delivered, counts.lost), (DATAGRAMS, 0));
        assert_eq!(counts.delivered_bytes, counts.bytes);
        assert!(counts.delay_sum_us >= DATAGRAMS * 25_000);
    }
    // The kernel's counters on both nodes.
    for node in [Node::Clients, Node::Server] {
        assert_eq!(counter(&network, node, "Ip", "OutRequests"), DATAGRAMS);
        assert_eq!(counter(&network, node, "Ip", "InReceives"), DATAGRAMS);
    }
}

fn listed_drops(wire: Wire) {
    let network = build(wire, "up: drop 3,5");
    let server = on_server(&network);
    let to = server.local_addr().unwrap();
    network
        .run_in(Node::Clients, move || {
            let socket = udp(Node::Clients);
            (0..8u8).for_each(|n| assert_eq!(socket.send_to(&[n], to).unwrap(), 1));
        })
        .unwrap()
        .join()
        .unwrap();
    let mut arrived = Vec::new();
    while arrived.last() != Some(&7) {
        let mut byte = [0];
        server.recv(&mut byte).unwrap();
        arrived.push(byte[0]);
    }
    assert_eq!(arrived, [0, 1, 2, 4, 6, 7]);
    let (up, down) = network.counts();
    assert_eq!((up.packets, up.lost, up.delivered), (8, 2, 6));
    assert_eq!(up.drops, "3,5");
    assert_eq!(down.packets, 0);
}

fn tcp_under_loss(wire: Wire) {
    let network = build(wire, "loss 5%, delay 5ms");
    network.set_congestion_control("reno").unwrap();
    assert_eq!(network.congestion_control().unwrap(), "reno");
    transfer(&network, 200_000);
    let (up, down) = network.counts();
    assert!(up.packets > 200_000 / 1_500 && up.lost > 0, "{up:?}");
    assert!(down.packets > 0, "{down:?}");
    assert!(counter(&network, Node::Clients, "Tcp", "RetransSegs") >= 1);
}

fn burst(wire: Wire) {
    let network = build(wire, "delay 10ms");
    transfer(&network, 8_000_000);
    let (up, down) = network.counts();
    assert_eq!((up.lost, up.overflowed, down.lost, down.overflowed), (0, 0, 0, 0));
    assert!(up.bytes > 8_000_000 && up.bytes / up.packets <= 1_500, "{up:?}");
    assert_eq!(network.overruns().unwrap(), 0);
}

fn isolation(wire: Wire) {
    let network = build(wire, "none");
    let reached = network.run_in(Node::Clients, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"out?", "192.0.2.1:9").map_err(|error| error.kind())
    });
    assert_eq!(reached.unwrap().join().unwrap(), Err(ErrorKind::NetworkUnreachable));
    assert_eq!(network.counts().0.packets, 0);
}

fn child_dies_with_the_network(wire: Wire) {
    let network = build(wire, "none");
    let mut command = role("echo_until_killed");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = network.spawn(Node::Server, command).unwrap();
    let server = address_of(&mut child);
    assert_eq!(server.ip(), Node::Server.address());
    let answered = network.run_in(Node::Clients, move || {
        round_trip(&udp(Node::Clients), server);
    });
    answered.unwrap().join().unwrap();
    drop(network);
    assert_eq!(child.wait().unwrap().signal(), Some(9));
}

fn nothing_is_left(wire: Wire) {
    let before = traces();
    let network = build(wire, "delay 1s");
    let socket = on_server(&network);
    let server = socket.local_addr().unwrap();
    // One packet is in flight when the network is dropped.
    let sender = network.run_in(Node::Clients, move || {
        udp(Node::Clients).send_to(b"late", server).unwrap();
    });
    sender.unwrap().join().unwrap();
    let (devices, threads, files) = traces();
    assert_eq!(devices, before.0, "the machine's own devices");
    assert!(threads >= before.1 + 3 && files > before.2);
    network.spawn(Node::Server, role("end_at_once")).unwrap().wait().unwrap();
    drop(network);
    drop(socket);
    // The kernel needs a moment to remove a joined thread.
    wait_until(|| traces() == before, || format!("left: {:?}, before: {before:?}", traces()));
}

fn deleted_device(wire: Wire) {
    let network = build(wire, "none");
    assert!(network.failure().is_none());
    ip(&network, &["delete", "emulated0"]);
    wait_until(|| network.failure().is_some(), || "no failure".into());
}

/// A packet meets the device that is down, and is not counted as lost.
fn device_down(wire: Wire) {
    let network = build(wire, "none");
    let server = on_server(&network).local_addr().unwrap();
    ip(&network, &["set", if wire == Wire::Tun { "emulated0" } else { "wire0" }, "down"]);
    network
        .run_in(Node::Clients, move || udp(Node::Clients).send_to(b"hello", server).unwrap())
        .unwrap()
        .join()
        .unwrap();
    wait_until(|| network.failure().is_some(), || "no failure".into());
    assert_eq!(network.counts().0.lost, 0);
}

/// Runs `ip link` on the server's node.
fn ip(network: &Network, arguments: &[&str]) {
    needs(&["ip"]);
    let mut command = Command::new("ip");
    command.arg("link").args(arguments);
    assert!(network.spawn(Node::Server, command).unwrap().wait().unwrap().success());
}

fn either_wire_will_do() {
    let network = Network::build(&"none".parse().unwrap(), 1).unwrap();
    let tun = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    assert_eq!(network.wire() == Wire::Tun, tun.is_ok());
}

fn two_threads_are_refused() {
    let (end, ended) = mpsc::channel::<()>();
    let second = thread::spawn(move || ended.recv());
    assert!(matches!(Host::enter(), Err(Error::Threads(2))));
    drop(end);
    let _ = second.join();
    wait_until(|| traces().1 == 1, || "the second thread is still there".into());
}

/// The limit applies to this process's own user namespace.
fn a_refusal_names_the_way_out() {
    if let Err(error) = Host::enter() {
        skip(error.to_string());
    }
    if let Err(error) = fs::write("/proc/sys/user/max_net_namespaces", "0") {
        skip(format!("namespaces cannot be limited: {error}"));
    }
    let error = Host::enter().unwrap_err();
    assert!(error.to_string().contains("sysctl -w user.max_net_namespaces="), "{error}");
}

fn children_die_with_a_killed_lab() {
    let mut lab = role("a_lab_with_a_child").stdout(Stdio::piped()).spawn().unwrap();
    let mut output = lab.stdout.take().unwrap();
    let mut line = [0; 5];
    output.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"ready");
    lab.kill().unwrap();
    lab.wait().unwrap();
    // The child shares the lab's standard output, which ends when both have ended.
    let (ended, end) = mpsc::channel();
    thread::spawn(move || ended.send(output.read_to_end(&mut Vec::new())));
    end.recv_timeout(TIMEOUT).expect("the child outlives the lab").unwrap();
}

/// Builds a network with a child, and waits.
fn a_lab_with_a_child() {
    Host::enter().unwrap();
    let network = Network::build(&"none".parse().unwrap(), 1).unwrap();
    let mut child = network.spawn(Node::Server, role("sleep_until_killed")).unwrap();
    print!("ready");
    std::io::stdout().flush().unwrap();
    child.wait().unwrap();
}

/// Echoes until it is killed or idle for too long.
fn echo_until_killed() {
    let socket = udp(Node::Server);
    println!("{}", socket.local_addr().unwrap());
    serve_echo(&socket, u64::MAX);
}

fn wait_until(done: impl Fn() -> bool, otherwise: impl Fn() -> String) {
    let deadline = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < deadline, "{}", otherwise());
        thread::yield_now();
    }
}

fn build(wire: Wire, spec: &str) -> Network {
    Network::build_over(wire, &spec.parse().unwrap(), 42).unwrap()
}

/// This program in another role. Its own path may be closed to an unprivileged user.
fn role(name: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.args(["--role", name]);
    command
}

fn udp(node: Node) -> UdpSocket {
    let socket = UdpSocket::bind((node.address(), 0)).unwrap();
    socket.set_read_timeout(Some(TIMEOUT)).unwrap();
    socket
}

/// A socket on the server's node, usable from any thread.
fn on_server(network: &Network) -> UdpSocket {
    network.run_in(Node::Server, || udp(Node::Server)).unwrap().join().unwrap()
}

fn round_trip(socket: &UdpSocket, server: SocketAddr) -> Duration {
    let start = Instant::now();
    socket.send_to(b"hello", server).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(socket.recv(&mut buffer).unwrap(), 5);
    start.elapsed()
}

fn serve_echo(socket: &UdpSocket, datagrams: u64) {
    let mut buffer = [0; 2048];
    for _ in 0..datagrams {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], from).unwrap();
    }
}

fn address_of(child: &mut Child) -> SocketAddr {
    let mut output = child.stdout.take().unwrap();
    let mut line = String::new();
    while !line.ends_with('\n') {
        let mut byte = [0];
        output.read_exact(&mut byte).unwrap();
        line.push(byte[0].into());
    }
    line.trim().parse().unwrap()
}

/// Sends `length` bytes up over TCP and checks each of them.
fn transfer(network: &Network, length: usize) {
    let text: Vec<u8> = (0..length).map(|n| (n * 31 % 251) as u8).collect();
    let listener = network
        .run_in(Node::Server, || TcpListener::bind((Node::Server.address(), 0)).unwrap())
        .unwrap()
        .join()
        .unwrap();
    let to = listener.local_addr().unwrap();
    let sender = network.run_in(Node::Clients, {
        let text = text.clone();
        move || {
            let mut stream = TcpStream::connect(to).unwrap();
            stream.set_write_timeout(Some(TIMEOUT)).unwrap();
            stream.write_all(&text).unwrap();
        }
    });
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.unwrap().join().unwrap();
    assert!(received == text, "{} of {length} bytes, or other ones", received.len());
}

/// A counter of a node's kernel, from `/proc/net/snmp`: a line of names, then one of values.
fn counter(network: &Network, node: Node, protocol: &str, name: &str) -> u64 {
    let read = || fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let table = network.run_in(node, read).unwrap().join().unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(&format!("{protocol}: ")));
    let column = lines.next().unwrap().split(' ').position(|found| found == name).unwrap();
    lines.next().unwrap().split(' ').nth(column).unwrap().parse().unwrap()
}

/// The machine's devices, and this process's threads and open files.
fn traces() -> (BTreeSet<String>, usize, usize) {
    let devices = fs::read_to_string("/proc/self/net/dev").unwrap();
    let names = devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().into()));
    let count = |path: &str| fs::read_dir(path).unwrap().count();
    (names.collect(), count("/proc/self/task"), count("/proc/self/fd"))
}
