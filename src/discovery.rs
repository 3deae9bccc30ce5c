//! Looking for servers near here (`proto.md` §7.12), without sockets: whom to ask, when, and what to
//! make of the answers.
//!
//! A server with several addresses answers from each of them; the number it drew when it started makes
//! them one. Nothing else could: two servers at the usual port, with the usual name, look the same.

mod interface;
mod known;
mod search;
mod standing;

pub use interface::{GROUP_V4, GROUP_V6, Interface, MAX_WAYS, Network, Way, ways};
pub use known::{Again, Known};
pub use search::{Found, SEARCH_WINDOW, Search};
pub use standing::{Standing, Traits};
