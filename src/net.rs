//! The operating system's network: the clock, UDP and TCP sockets, and the poller; and QUIC over
//! the UDP sockets. No protocol decisions are made here.

mod address;
mod clock;
mod conditions;
mod datagrams;
#[cfg(target_os = "linux")]
pub mod emulated;
pub mod lan;
pub(crate) mod pcapng;
mod poller;
pub mod quic;
mod tcp;
mod udp;
mod wildcards;
mod zone;

pub use address::{AddressError, ResolveError, ServerName, parse_bind};
pub use clock::Clock;
pub use datagrams::{BadNetwork, Datagrams, End, ImpairmentCounts, Read};
pub use poller::{Pollable, Poller, Ready, Watch};
pub(crate) use tcp::READ_LEN;
pub use tcp::{Listener, Reading, Stream, Written};
pub use udp::{
    BUFFER as SOCKET_BUFFER, BindError, Incoming, Outgoing, Socket, receive_stamped, stamp_arrivals,
};
pub use wildcards::{Listen, listen};
