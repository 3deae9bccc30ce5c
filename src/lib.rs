//! Chatagram: a chat whose transport is the subject.
//!
//! # Where a datagram goes
//!
//! ```text
//!   server                                          client
//!   net::Socket     (bytes from the kernel)         net::Socket
//!   server          (a loop, no decisions)          client::driver   (threads, no decisions)
//!   hub             (who is it from?)               client::session  (is it from the server?)
//!   link            (new? in order? acknowledge)    link             (the same)
//!   room            (what does it mean?)            client::session  (what does it mean?)
//!   link            (queue, retransmit)             client::screen, output
//!   server ► net::Socket                            your terminal
//! ```
//!
//! # The house
//!
//! | module | owns |
//! |---|---|
//! | [`time`] | moments as values; nothing here or below the shells reads a clock |
//! | [`protocol`] | what is on the wire; the only user of bincode. `proto.md` is the law |
//! | [`link`] | one peer's side of one conversation: loss, order, acknowledgment, round-trip time |
//! | [`bucket`] | how fast a peer may speak; both ends count alike |
//! | [`path`] | the local address and interface, and the remote address |
//! | [`registry`] | nickname ↔ peer ↔ address, and who has fallen silent |
//! | [`room`] | what a chat is: join, say, whisper, leave, replay; its one order is `room::log` |
//! | [`hub`] | the server without sockets: registry + room + a link for each peer |
//! | [`discovery`] | looking for servers near here: whom to ask, what to make of the answers |
//! | [`history`] | the append-only log of lines, each with a checksum |
//! | [`impair`] | a bad network on purpose: seeded loss, delay, jitter, duplicates, damage, rate. Bytes only |
//! | [`net`] | the shells: clock, UDP and TCP sockets, waiting for them, a bad network before or between them |
//! | [`server`] | the thread that carries bytes between net, hub and history |
//! | [`client`] | session (without sockets), its threads, commands, terminal, output, cache |
//! | [`lab`] | experiments: plans, load, runs on disk, their statistics, the report |
//! | [`decode`] | a datagram or stream field by field, for people |
//! | [`docs`] | the pages of documentation for users |
//! | [`doctor`] | what this machine can do, and what would help: facts, and what they mean |
//! | [`places`] | where files lie when nobody says where |
//! | `files` | opening files that are written to for long, and noticing that they were rotated |
//! | `prefetch` | asking for memory that is needed soon; nothing depends on it |
//! | `sync` | the locks of code that is tried in every order in which its threads can run |
//! | [`logging`], [`cli`], [`run`] | messages, options, and the commands put together |
//!
//! # Invariants
//!
//! - `protocol`, `link`, `impair`, `discovery`, `bucket`, `path`, `registry`, `room`, `hub` and `client::session` are sans-IO:
//!   time and randomness are arguments, and the same calls give the same output. They name no socket, thread or
//!   clock type; `tests/layering.rs` holds this.
//! - Dependencies point one way: `time ◄ protocol ◄ {link, bucket} ◄ {registry, room} ◄ hub ◄ server`, and
//!   `link ◄ client::session ◄ client`. `net` decides nothing; `server` and `client::driver` only carry.
//! - Threads share little: `server` has one that owns all of it, those of `client` share one session behind one
//!   lock. One that fails ends the process.
//! - Nothing from the network or a file can panic, block, grow without bound, or reach a terminal
//!   unescaped.

pub mod bucket;
pub mod cli;
pub mod client;
pub mod decode;
pub mod discovery;
pub mod docs;
pub mod doctor;
mod files;
pub mod history;
pub mod hub;
pub mod impair;
pub mod lab;
pub mod link;
pub mod logging;
pub mod net;
pub mod path;
pub mod places;
mod prefetch;
pub mod protocol;
mod quantity;
pub mod registry;
pub mod room;
pub mod run;
pub mod server;
mod sync;
pub mod time;
