//! An emulated network of two nodes on this machine, without root: the kernel's own UDP and TCP at
//! both ends, and [`impair`](crate::impair) between them, so that TCP experiences real packet loss.
//!
//! ```text
//!   namespace of the clients                              namespace of the server
//!   10.77.1.2 ── device ══► router (up: impairment) ══► device ── 10.77.2.2
//!                device ◄══ (down: impairment) router ◄══ device
//! ```
//!
//! Each node is a thread in its own network namespace, which the threads and processes started by
//! it inherit. The device is a TUN or, without access to `/dev/net/tun`, a veth pair with a packet
//! socket at its far end. The router sees whole IPv4 packets of at most 1,500 bytes, checksummed
//! and segmented by the kernel; each takes one index of its direction. A node reaches only the
//! other node.

mod connections;
mod device;
mod error;
mod lateness;
mod netlink;
mod node;
mod processes;
mod router;
mod sys;
mod trace;

pub use connections::controls_at;
pub use error::{Error, Obstacle};
pub use lateness::Lateness;
pub use trace::{MAX_BYTES, Traced};

use crate::impair::{Counts, Spec};
use device::Device;
use netlink::Netlink;
use node::NodeThread;
use router::Router;
use rustix::thread::{CapabilitySet, UnshareFlags};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A node of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// The clients' node; its packets go up.
    Clients = 0,
    /// The server's node.
    Server = 1,
}

impl Node {
    /// The node's only address besides `127.0.0.1`.
    #[must_use]
    pub const fn address(self) -> Ipv4Addr {
        match self {
            Self::Clients => Ipv4Addr::new(10, 77, 1, 2),
            Self::Server => Ipv4Addr::new(10, 77, 2, 2),
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Clients => Self::Server,
            Self::Server => Self::Clients,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Clients => "clients",
            Self::Server => "server",
        }
    }
}

/// The kind of device between a node and the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A TUN device per node; needs access to `/dev/net/tun`.
    Tun,
    /// A veth pair per node, with a packet socket at its far end.
    Veth,
}

/// The kernel's counters of a node's device, packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeCounts {
    /// Handed to the router.
    pub sent: u64,
    /// Dropped because the router was too slow.
    pub overruns: u64,
    /// Taken from the router.
    pub received: u64,
}

/// Counters of a network, from its first packet to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The router's counters towards the server.
    pub up: Counts,
    /// The router's counters towards the clients.
    pub down: Counts,
    /// Packets that left the router and that the kernel refused: up and down.
    pub refused: [u64; 2],
    /// How late packets left the router.
    pub lateness: Lateness,
    /// The kernel's counters, by [`Node`].
    pub nodes: [NodeCounts; 2],
    /// The capture, if there was one.
    pub traced: Option<Traced>,
}

impl Totals {
    /// True if the kernel of each node handed over and took as many packets as the router counted.
    fn agree(&self) -> bool {
        let [clients, server] = self.nodes;
        let left = [&self.up, &self.down].map(|counts| counts.delivered);
        [self.up.packets, self.down.packets] == [clients.sent, server.sent]
            && left == [server.received + self.refused[0], clients.received + self.refused[1]]
    }
}

/// Proof that this process may build networks.
#[derive(Debug)]
pub struct Host(());

impl Host {
    /// Ensures that this process may build networks. If necessary, it becomes root of a new user
    /// namespace, in which its user keeps access to its files. Call it before the process starts a
    /// thread. On failure nothing has changed.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Threads`], with the way out.
    pub fn enter() -> Result<Self, Error> {
        // Some kernels grant the namespace without capabilities in it, which cannot be undone: try
        // in a child.
        Self::rehearse()?;
        if !is_capable() {
            become_root().map_err(Error::refused)?;
        }
        Ok(Self(()))
    }

    /// Tests in a child process whether [`Self::enter`] would succeed; this process does not
    /// change.
    ///
    /// # Errors
    /// Those of [`Self::enter`].
    pub fn rehearse() -> Result<(), Error> {
        if !is_capable() {
            require_single_thread()?;
        }
        sys::rehearse(enter_network_namespace).map_err(Error::refused)
    }

    /// Tests in a child process's namespace whether the kernel has netem. A kernel with netem as a
    /// module loads it, and it stays loaded.
    ///
    /// # Errors
    /// [`Error::Threads`], and the kernel's; a missing netem is `NotFound`.
    pub fn rehearse_netem() -> Result<(), Error> {
        require_single_thread()?;
        sys::rehearse(|| {
            enter_network_namespace()?;
            Netlink::open()?.add_netem("lo")
        })
        .map_err(Error::at("add a netem queue"))
    }
}

/// Moves this process to a network namespace of its own, in which loopback is all there is.
///
/// # Errors
/// [`Error::Threads`], or the kernel has no namespaces for this user.
pub fn leave_networks() -> Result<(), Error> {
    if !is_capable() {
        require_single_thread()?;
    }
    enter_network_namespace().map_err(Error::refused)?;
    let netlink = Netlink::open().map_err(Error::at("open a netlink socket"))?;
    netlink.bring_up("lo", 0, None).map_err(Error::at("bring lo up"))
}

/// In a child process: moves it to a new network namespace.
fn enter_network_namespace() -> io::Result<()> {
    if !is_capable() {
        become_root()?;
    }
    sys::unshare(UnshareFlags::NEWNET)
}

/// Another thread could hold a lock that the child needs, and a process with threads cannot enter a
/// user namespace.
fn require_single_thread() -> Result<(), Error> {
    match fs::read_dir("/proc/self/task").map_err(Error::at("read /proc"))?.count() {
        0 | 1 => Ok(()),
        threads => Err(Error::Threads(threads)),
    }
}

fn is_capable() -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// Enters a user namespace as its root (`man 7 user_namespaces`). Only the own user can be mapped,
/// and the group only after setgroups is denied.
fn become_root() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    sys::unshare(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Number of times that [`Network::finish`] compares its counters.
const SETTLE: u32 = 100;

/// An emulated network. Dropping it kills its processes and removes its threads and devices.
pub struct Network {
    // Fields drop in this order: the router stops before the nodes go.
    router: Router,
    nodes: [NodeThread; 2],
    devices: [Arc<Device>; 2],
    wire: Wire,
}

impl Network {
    /// Builds a network with this impairment; all its randomness comes from `seed`. It uses TUN
    /// devices or, if they are unavailable, veth pairs. [`Host::enter`] must have been called.
    ///
    /// # Errors
    /// The missing feature and the way out.
    pub fn build(spec: &Spec, seed: u64) -> Result<Self, Error> {
        match Self::build_over(Wire::Tun, spec, seed) {
            Err(Error::Device { cause: tun, .. }) => {
                log::debug!("no TUN device ({tun}): taking veth pairs");
                Self::build_over(Wire::Veth, spec, seed).map_err(|error| match error {
                    Error::Device { cause: veth, .. } => Error::NoDevice { tun, veth },
                    other => other,
                })
            }
            other => other,
        }
    }

    /// Like [`Self::build`], with one kind of device only.
    ///
    /// # Errors
    /// The missing feature and the way out.
    pub fn build_over(wire: Wire, spec: &Spec, seed: u64) -> Result<Self, Error> {
        let (clients, from_clients) = NodeThread::start(Node::Clients, wire)?;
        let (server, from_server) = NodeThread::start(Node::Server, wire)?;
        let devices = [Arc::new(from_clients), Arc::new(from_server)];
        let router =
            Router::start(devices.clone(), spec, seed).map_err(Error::at("start the router"))?;
        Ok(Self { router, nodes: [clients, server], devices, wire })
    }

    /// The kind of device in use.
    #[must_use]
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Starts a process on a node. The kernel kills it when this network is dropped or this process
    /// dies.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(&self, node: Node, command: Command) -> io::Result<Child> {
        self.node(node).run(|| sys::spawn_with_death_signal(command))?
    }

    /// Kills all processes on a node, whatever sessions and parents they have.
    ///
    /// # Errors
    /// The kernel's; `TimedOut` if a process could not be killed.
    pub fn end_processes(&self, node: Node) -> io::Result<()> {
        self.node(node).run(processes::end_all)?
    }

    /// Runs `work` in a new thread on a node. Sockets opened there belong to that node even when
    /// other threads use them, and keep its namespace alive.
    ///
    /// # Errors
    /// The kernel's, when it allows no further thread.
    pub fn run_in<T: Send + 'static>(
        &self,
        node: Node,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let thread = std::thread::Builder::new().name(format!("on {}", node.name()));
        self.node(node).run(move || thread.spawn(work))?
    }

    /// The counters so far, up (to the server) and down.
    #[must_use]
    pub fn counts(&self) -> (Counts, Counts) {
        self.router.counts()
    }

    /// The error after which the network delivers no packet any more, if there was one: packets
    /// sent since then are in no counter.
    #[must_use]
    pub fn failure(&self) -> Option<&io::Error> {
        self.router.failure()
    }

    /// Captures each packet from now on, where it enters the router and where it leaves, in a new
    /// pcapng file of at most about `limit` bytes. `note` is the comment at its beginning.
    ///
    /// # Errors
    /// An error of the file system. [`Self::finish`] returns later ones.
    pub fn capture(&self, path: &Path, note: &str, limit: u64) -> io::Result<()> {
        self.router.capture(path, note, limit)
    }

    /// Stops the router and returns all counters, which agree with each other and with the capture.
    ///
    /// # Errors
    /// The kernel's, or [`Error::Capture`].
    pub fn finish(mut self) -> Result<Totals, Error> {
        let at = Error::at("read the counters");
        self.router.stop();
        let mut totals = self.settled().map_err(at)?;
        totals.traced = self.router.end_capture().map_err(Error::Capture)?;
        Ok(totals)
    }

    /// The counters of a router that has stopped.
    fn settled(&self) -> io::Result<Totals> {
        let mut totals = self.totals()?;
        // A connection whose process has ended may still send.
        for _ in 0..SETTLE {
            if totals.agree() {
                break;
            }
            self.router.take_rest()?;
            totals = self.totals()?;
        }
        Ok(totals)
    }

    fn totals(&self) -> io::Result<Totals> {
        let mut nodes = [NodeCounts::default(); 2];
        for node in [Node::Clients, Node::Server] {
            let device = Arc::clone(&self.devices[node as usize]);
            nodes[node as usize] = self.node(node).run(move || device.counts())??;
        }
        let (up, down) = self.router.counts();
        let (refused, lateness) = (self.router.refused(), self.router.lateness());
        Ok(Totals { up, down, refused, lateness, nodes, traced: None })
    }

    /// Packets lost because the router could not keep up, both ways. If it is not 0, the network
    /// lost more than its counters say.
    ///
    /// # Errors
    /// The kernel's.
    pub fn overruns(&self) -> io::Result<u64> {
        Ok(self.totals()?.nodes.iter().map(|node| node.overruns).sum())
    }

    /// Sets the congestion control of new TCP connections on both nodes, such as `cubic`. A new
    /// network has the machine's default.
    ///
    /// # Errors
    /// The kernel's; an unknown algorithm is `NotFound`.
    pub fn set_congestion_control(&self, name: &str) -> io::Result<()> {
        for node in [Node::Clients, Node::Server] {
            let name = name.to_owned();
            self.node(node).run(move || fs::write(CONGESTION_CONTROL, name))??;
        }
        Ok(())
    }

    /// Lets TCP handshakes take minutes on both nodes: with the usual retries the kernel forgets a
    /// connection request after a minute.
    ///
    /// # Errors
    /// The kernel's.
    pub fn allow_long_handshakes(&self) -> io::Result<()> {
        for node in [Node::Clients, Node::Server] {
            self.node(node)
                .run(|| HANDSHAKE_RETRIES.iter().try_for_each(|it| fs::write(it, "10")))??;
        }
        Ok(())
    }

    /// The congestion control of new TCP connections.
    ///
    /// # Errors
    /// The kernel's.
    pub fn congestion_control(&self) -> io::Result<String> {
        let name = self.node(Node::Server).run(|| fs::read_to_string(CONGESTION_CONTROL))??;
        Ok(name.trim().to_owned())
    }

    /// The congestion controls of a node's established TCP connections, of whatever program.
    ///
    /// # Errors
    /// The kernel's, such as `NotFound` for one without sock_diag(7).
    pub fn controls_of_connections(&self, node: Node) -> io::Result<BTreeSet<String>> {
        self.node(node).run(move || controls_at(node.address()))?
    }

    fn node(&self, node: Node) -> &NodeThread {
        &self.nodes[node as usize]
    }
}

/// The setting of the calling thread's network namespace.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
/// Retransmissions of SYN and of its answer.
const HANDSHAKE_RETRIES: [&str; 2] =
    ["/proc/sys/net/ipv4/tcp_syn_retries", "/proc/sys/net/ipv4/tcp_synack_retries"];
