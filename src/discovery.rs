//! Searching for servers on the local networks (`proto.md` §7.12), without sockets: the
//! destinations of probes, their times, and the answers.
//!
//! A server with several addresses answers from each of them. The random number drawn at its start
//! groups its answers: two servers at the default port with the default name differ in nothing
//! else.

mod interface;
mod kind;
mod known;
mod search;

pub use interface::{GROUP_V4, GROUP_V6, Interface, MAX_ROUTES, Network, ProbeRoute, probe_routes};
pub use kind::{Hints, InterfaceKind};
pub use known::{Known, Recognition};
pub use search::{Found, SEARCH_WINDOW, Search};
