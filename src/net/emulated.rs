//! A network of two nodes inside this machine, without root: the kernel's own UDP and TCP at both
//! ends, and [`impair`](crate::impair) between them, so that TCP meets packets that are really lost.
//!
//! ```text
//!   namespace of the clients                              namespace of the server
//!   10.77.1.2 ── device ══► router (up: impairment) ══► device ── 10.77.2.2
//!                device ◄══ (down: impairment) router ◄══ device
//! ```
//!
//! Each node is a thread in a network namespace of its own; threads and processes it starts live
//! there too. The device is a TUN or, where `/dev/net/tun` is closed, a veth pair with a packet
//! socket on its far end. Either way the router sees whole IPv4 packets of at most 1,500 bytes,
//! checksummed and segmented by the kernel, and each takes one index of its direction. A node
//! reaches the other node and nothing else.

mod device;
mod error;
mod netlink;
mod node;
mod router;
mod sys;

pub use error::Error;

use crate::impair::{Counts, Spec};
use device::Device;
use netlink::Netlink;
use node::NodeThread;
use router::Router;
use rustix::thread::{CapabilitySet, UnshareFlags};
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::process::{Child, Command};
use std::sync::Arc;
use std::thread::JoinHandle;

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Node {
    /// Where the clients are; what they send goes up.
    Clients = 0,
    /// Where the server is.
    Server = 1,
}

impl Node {
    /// The node's only address besides `127.0.0.1`.
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

/// How the router gets at the nodes' packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A TUN device for each node; needs an open `/dev/net/tun`.
    Tun,
    /// A veth pair for each node, with a packet socket on its far end.
    Veth,
}

/// The process that builds networks.
#[derive(Debug)]
pub struct Host(());

impl Host {
    /// Makes sure that this process may build networks: where it may not already, it becomes root
    /// of a user namespace of its own, in which its user keeps the files it has. To be called
    /// before the process starts a thread. On failure nothing has changed.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Threads`], with the way out.
    pub fn enter() -> Result<Self, Error> {
        // Some kernels give the namespace and then no rights in it, and there is no way back.
        Self::rehearse()?;
        if !is_capable() {
            become_root().map_err(Error::refused)?;
        }
        Ok(Self(()))
    }

    /// Whether [`Self::enter`] would do, found out in a child process: nothing changes here.
    ///
    /// # Errors
    /// As [`Self::enter`].
    pub fn rehearse() -> Result<(), Error> {
        if !is_capable() {
            the_only_thread()?;
        }
        sys::rehearse(leave).map_err(Error::refused)
    }

    /// Whether the kernel takes a netem queue, found out in a namespace that ends with a child process.
    /// A kernel that has netem as a module loads it for this, and it stays.
    ///
    /// # Errors
    /// [`Error::Threads`], and what the kernel gave: it does not find a kind of queue that it lacks.
    pub fn rehearse_netem() -> Result<(), Error> {
        the_only_thread()?;
        sys::rehearse(|| {
            leave()?;
            Netlink::open()?.add_netem("lo")
        })
        .map_err(Error::at("add a netem queue"))
    }
}

/// To be called in a child process: it goes to a network namespace of its own, and stays there.
fn leave() -> io::Result<()> {
    if !is_capable() {
        become_root()?;
    }
    sys::unshare(UnshareFlags::NEWNET)
}

/// More threads could hold a lock that the rehearsal needs, and cannot enter a user namespace.
fn the_only_thread() -> Result<(), Error> {
    match fs::read_dir("/proc/self/task").map_err(Error::at("read /proc"))?.count() {
        0 | 1 => Ok(()),
        threads => Err(Error::Threads(threads)),
    }
}

fn is_capable() -> bool {
    let needed = CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW;
    rustix::thread::capabilities(None).is_ok_and(|sets| sets.effective.contains(needed))
}

/// A user namespace in which this user is root (`man 7 user_namespaces`). It can map no other user,
/// and its group only once it has given up setgroups.
fn become_root() -> io::Result<()> {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    sys::unshare(UnshareFlags::NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// An emulated network. Dropping it ends its children, its threads and its devices.
pub struct Network {
    // Dropped in this order: no packet moves any more when the nodes go.
    router: Router,
    nodes: [NodeThread; 2],
    devices: [Arc<Device>; 2],
    wire: Wire,
}

impl Network {
    /// A network that does to packets what `spec` says; each decision follows from `seed`. Uses
    /// TUN devices, or veth pairs where these cannot be had. [`Host::enter`] comes first.
    ///
    /// # Errors
    /// What is missing, and the way out.
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

    /// [`Self::build`] over one kind of device and no other.
    ///
    /// # Errors
    /// What is missing, and the way out.
    pub fn build_over(wire: Wire, spec: &Spec, seed: u64) -> Result<Self, Error> {
        let (clients, from_clients) = NodeThread::start(Node::Clients, wire)?;
        let (server, from_server) = NodeThread::start(Node::Server, wire)?;
        let devices = [Arc::new(from_clients), Arc::new(from_server)];
        let router =
            Router::start(devices.clone(), spec, seed).map_err(Error::at("start the router"))?;
        Ok(Self { router, nodes: [clients, server], devices, wire })
    }

    /// Which kind of device it runs over.
    pub fn wire(&self) -> Wire {
        self.wire
    }

    /// Starts a program on a node. The kernel kills it when this network is dropped or this process
    /// dies, however that comes about.
    ///
    /// # Errors
    /// As [`Command::spawn`].
    pub fn spawn(&self, node: Node, command: Command) -> io::Result<Child> {
        self.node(node).ask(|| sys::spawn_mortal(command))?
    }

    /// Runs `work` in a new thread on a node: sockets opened there are that node's, also when they
    /// are used elsewhere. The node's namespace stays as long as one is open.
    ///
    /// # Errors
    /// The kernel's, when there can be no further thread.
    pub fn run_in<T: Send + 'static>(
        &self,
        node: Node,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<JoinHandle<T>> {
        let thread = std::thread::Builder::new().name(format!("on {}", node.name()));
        self.node(node).ask(move || thread.spawn(work))?
    }

    /// What happened to the packets so far, up (to the server) and down.
    pub fn counts(&self) -> (Counts, Counts) {
        self.router.counts()
    }

    /// Packets that were lost because the router could not keep up, both ways. Unless it is 0, the
    /// network lost more than the counts say.
    ///
    /// # Errors
    /// The kernel's.
    pub fn overruns(&self) -> io::Result<u64> {
        let mut total = 0;
        for node in [Node::Clients, Node::Server] {
            let device = Arc::clone(&self.devices[node as usize]);
            total += self.node(node).ask(move || device.overruns())??;
        }
        Ok(total)
    }

    /// The congestion control of TCP connections that start from now on, on both nodes, such as
    /// `cubic`; a new network has the machine's default.
    ///
    /// # Errors
    /// The kernel's; it does not find one that it lacks.
    pub fn set_congestion_control(&self, name: &str) -> io::Result<()> {
        for node in [Node::Clients, Node::Server] {
            let name = name.to_owned();
            self.node(node).ask(move || fs::write(CONGESTION_CONTROL, name))??;
        }
        Ok(())
    }

    /// The congestion control of new TCP connections.
    ///
    /// # Errors
    /// The kernel's.
    pub fn congestion_control(&self) -> io::Result<String> {
        let name = self.node(Node::Server).ask(|| fs::read_to_string(CONGESTION_CONTROL))??;
        Ok(name.trim().to_owned())
    }

    fn node(&self, node: Node) -> &NodeThread {
        &self.nodes[node as usize]
    }
}

/// Of the network namespace of the thread that opens it.
const CONGESTION_CONTROL: &str = "/proc/sys/net/ipv4/tcp_congestion_control";
