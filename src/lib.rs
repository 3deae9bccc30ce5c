//! Chatagram: a chat whose transport is the subject. Raw UDP, reliable UDP and TCP meet in one room.
//!
//! # Where a datagram goes
//!
//! ```text
//!   server                                          client
//!   net::Socket     bytes from the kernel           net::Socket
//!   server          a loop, no decisions            client::driver   threads, no decisions
//!   hub             which peer sent it?             client::session  did the server send it?
//!   link            new? in order? acknowledge      link             the same
//!   room            what does it mean?              client::session  what does it mean?
//!   link            queue, retransmit               client::screen   what the user sees
//!   server ► net::Socket                            your terminal
//! ```
//!
//! # Modules
//!
//! The core is sans-IO: time and randomness are arguments, and the same calls give the same output.
//! It builds without any cargo feature and without a crate that opens a socket, a file or a thread.
//!
//! | core module | owns |
//! |---|---|
//! | [`time`] | moments as values: monotonic for timers, wall clock for people |
//! | [`protocol`] | headers, frames and messages as bytes; specified by `proto.md` |
//! | [`link`] | one side of one conversation: loss, order, acknowledgment, congestion, path size |
//! | [`bucket`] | how fast a client may speak; both sides count alike |
//! | [`path`] | the local address and interface, and the remote address |
//! | [`registry`] | nickname, peer and address, and which peers are silent too long |
//! | [`room`] | join, say, whisper, leave, replay; the order of lines is `room::log` |
//! | [`hub`] | the server without sockets: registry, room, and a link for each peer |
//! | [`client::session`] | the client without sockets |
//! | [`discovery`] | which networks to search for servers, and how to read the answers |
//! | [`impair`] | an emulated bad network: seeded loss, delay, jitter, duplicates, damage, rate |
//! | [`decode`] | a datagram or stream as text, field by field |
//! | [`quantity`] | durations, shares and rates as people write them |
//! | [`docs`] | the pages of documentation for users |
//!
//! | module | feature | owns |
//! |---|---|---|
//! | `net` | `net` | clock, UDP and TCP sockets, the poller, emulated networks |
//! | `server` | `net` | the thread that carries bytes between `net`, `hub` and `history` |
//! | `history` | `net` | the append-only file of lines, each with a checksum |
//! | `files` | `net` | opening files that stay open for long, and noticing log rotation |
//! | `lab` | `lab` | experiments: plans, load, records, statistics, the report |
//! | `client` | `cli` | the threads around a session, the terminal, the output, the cache |
//!
//! The program (options, commands, logging, `doctor`) is `src/bin/chatagram`.
//!
//! # Invariants
//!
//! - Features keep sockets and their crates out of the core. The standard library has threads, files
//!   and clocks too; `tests/layering.rs` checks that the core names none of them.
//! - Dependencies point one way: `time ◄ protocol ◄ {link, bucket} ◄ {registry, room} ◄ hub ◄ server`, and
//!   `link ◄ client::session ◄ client`. `tests/layering.rs` checks this as well.
//! - `net` decides nothing; `server` and `client::driver` only carry.
//! - One thread owns the server's state. The client's threads share one session behind one lock. A
//!   thread that panics ends the process.
//! - Input from the network or a file never panics, blocks, makes memory grow without bound, or reaches
//!   a terminal unescaped.

pub mod bucket;
pub mod client;
pub mod decode;
pub mod discovery;
pub mod docs;
pub mod hub;
pub mod impair;
pub mod link;
pub mod path;
pub mod protocol;
pub mod quantity;
pub mod registry;
pub mod room;
pub mod time;

#[cfg(feature = "net")]
pub mod files;
#[cfg(feature = "net")]
pub mod history;
#[cfg(feature = "lab")]
pub mod lab;
#[cfg(feature = "net")]
pub mod net;
#[cfg(feature = "net")]
pub mod server;

mod prefetch;
#[cfg(feature = "cli")]
mod sync;
