//! The shells around the core: the clock, the UDP socket, waiting for both. The only place where
//! the crate meets the operating system's network; no protocol decisions are made here.

mod address;
mod clock;
mod poller;
mod udp;

pub use address::{AddressError, ServerName, parse_bind};
pub use clock::Clock;
pub use poller::{Poller, Ready};
pub use udp::{BindError, Socket};
