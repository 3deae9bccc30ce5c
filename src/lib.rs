//! Chatagram: a chat whose transport is the subject. Raw UDP, reliable UDP and TCP in one room.
//!
//! # Where a datagram goes
//!
//! ```text
//!   server                                          client
//!   net::Socket     bytes from the kernel           net::Socket
//!   server          a loop, no decisions            client::app      threads, no decisions
//!   hub             which peer sent it?             client::session  did the server send it?
//!   link            new? in order? acknowledge      link             the same
//!   room            what does it mean?              client::session  what does it mean?
//!   link            queue, retransmit               client::app      lines and status
//!   server ► net::Socket                            your terminal
//! ```
//!
//! A server and a client in memory, without sockets and clocks:
//!
//! ```
//! use chatagram::client::session::{self, Event, Session, Transport};
//! use chatagram::hub::{self, Capacity, Destination, Hub, Past, Path};
//! use chatagram::protocol::{Delivery, limits::MAX_DATAGRAM};
//! use chatagram::time::{Now, Timestamp, WallTime};
//! use std::time::Duration;
//!
//! let mut now = Now { mono: Timestamp::ZERO, wall: WallTime(1_800_000_000_000_000) };
//! let config = hub::Config {
//!     room: "lab".to_owned(),
//!     heartbeat: Duration::from_secs(2),
//!     capacity: Capacity { peers: 8, peers_per_ip: 8, expiry: Duration::from_secs(10) },
//!     replay: 10,
//!     limit: None,
//!     discovery: None,
//! };
//! let mut hub = Hub::new(config, Past::default(), [1; 32], now);
//! let config = session::Config {
//!     nickname: "alice".to_owned(),
//!     transport: Transport::Udp,
//!     delivery: Delivery::ReliableOrdered,
//!     give_up: Duration::from_secs(60),
//!     shown: Vec::new(),
//! };
//! let server = ([10, 0, 0, 1], 2428).into();
//! let alice = Path::routed(0, ([10, 0, 0, 2], 50_000).into());
//! let mut session = Session::new(config, vec![server], [2; 32], now);
//! session.say("hello", now)?;
//!
//! let (mut buffer, mut confirmed) = (Vec::new(), false);
//! for _millisecond in 0..1_000 {
//!     now.mono = now.mono + Duration::from_millis(1);
//!     session.handle_timeout(now);
//!     hub.handle_timeout(now);
//!     // One buffer may hold several datagrams of `MAX_DATAGRAM` bytes, the last one shorter.
//!     while session.poll_transmit(&mut buffer, now).is_some() {
//!         buffer.chunks(MAX_DATAGRAM).for_each(|it| hub.handle_datagram(alice, it, now));
//!     }
//!     // Events first: a history would be written before the line is sent.
//!     while hub.poll_event().is_some() {}
//!     while let Some(Destination::Datagram(_)) = hub.poll_transmit(&mut buffer, now) {
//!         buffer.chunks(MAX_DATAGRAM).for_each(|it| session.handle_datagram(server, it, now));
//!     }
//!     while let Some(event) = session.poll_event() {
//!         confirmed |= matches!(event, Event::Confirmed { text, .. } if text == "hello");
//!     }
//! }
//! assert!(confirmed && session.is_settled());
//! # Ok::<(), session::Busy>(())
//! ```
//!
//! Reading a datagram, as a program and as a person:
//!
//! ```
//! use chatagram::decode;
//! use chatagram::protocol::{Datagram, DatagramWriter, Frame, Header};
//!
//! let mut bytes = Vec::new();
//! let mut writer = DatagramWriter::new(&mut bytes);
//! writer.push(&Frame::Heartbeat);
//! writer.finish(&Header { sequence: 7, ..Header::default() });
//!
//! let datagram = Datagram::decode(&bytes)?;
//! assert_eq!(datagram.header.sequence, 7);
//! assert_eq!(datagram.frames().count(), 1);
//!
//! let last = bytes.len() - 1;
//! bytes[last] ^= 1;
//! assert!(Datagram::decode(&bytes).is_err());
//! let text = decode::datagram(&bytes).text;
//! assert!(text.contains("checksum"), "{text}");
//! # Ok::<(), chatagram::protocol::DecodeError>(())
//! ```
//!
//! # Modules
//!
//! The core is sans-IO: time and randomness are arguments, and the same calls give the same output.
//! It builds without any cargo feature and without a crate that opens a socket, a file or a thread.
//!
//! Nine modules are the library: what embeds a hub or a session, reads datagrams, or reads the
//! results of a lab.
//!
//! | module | owns |
//! |---|---|
//! | [`time`] | moments as values: monotonic for timers, wall clock for people |
//! | [`protocol`] | headers, frames and messages as bytes; specified by `proto.md` |
//! | [`decode`] | a datagram or stream as text, field by field |
//! | [`link`] | one side of one conversation: loss, order, acknowledgment, congestion, path size |
//! | [`hub`] | the server without sockets: registry, room, and a link for each peer |
//! | [`engine`] | the requests and answers between a hub and a log that several servers share |
//! | [`client::session`] | the client without sockets |
//! | `lab` (feature `lab`) | the records of experiments, their statistics, the report |
//! | [`docs`] | the pages of documentation for users |
//!
//! The other modules are parts of them or of the program. The program and the tests are crates of
//! their own and use some of those parts, which are therefore `pub` and `#[doc(hidden)]`: they may
//! change at any time.
//!
//! | part of the core | owns |
//! |---|---|
//! | `bucket` | how fast a client may speak; both sides count alike |
//! | `path` | the local address and interface, and the remote address |
//! | `registry` | nickname, peer and address, and which peers are silent too long |
//! | `room` | join, say, whisper, leave, replay; the order of lines is `room::log` |
//! | `discovery` | which networks to search for servers, and how to read the answers |
//! | `impair` | an emulated bad network: seeded loss, delay, jitter, duplicates, damage, rate |
//! | `quantity` | durations, shares and rates as people write them |
//! | `ticket` | what admits a client to a private room, and the proof of its secret |
//!
//! | part of the program | feature | owns |
//! |---|---|---|
//! | `net` | `net` | clock, sockets, QUIC (feature `quic`), poller, emulated networks, captures |
//! | `server` | `net` | the thread that carries bytes between `net`, `hub` and `history` |
//! | `server::web` | `web` | the page of a room, its WebSockets, and what it is told |
//! | `history` | `net` | the append-only file of lines, each with a checksum |
//! | `files` | `net` | opening files that stay open for long, and noticing log rotation |
//! | `lab::sweep`, `lab::load` | `lab` | running a plan; many clients against a server |
//! | `grade` | `cli` | running a client that somebody else wrote, and judging it |
//! | `kit` | `cli` | a directory to start such a client from, in five languages |
//! | `client::app` | `cli` | the threads around a session, the terminal, the output, the cache |
//! | `words` | | every text that people read while they chat, in three languages |
//!
//! The program (options, commands, logging, `doctor`) is `src/bin/chatagram`.
//!
//! # Invariants
//!
//! - Features keep sockets and their crates out of the core. The standard library has threads,
//!   files and clocks too; `tests/library/layering.rs` checks that the core names none of them.
//! - Dependencies point one way: `time ◄ protocol ◄ {link, bucket} ◄ {registry, room} ◄ hub`,
//!   `hub ◄ server`, and `link ◄ client::session ◄ client`. `tests/library/layering.rs` checks this
//!   too.
//! - `net` decides nothing; `server` and `client::app::driver` only carry.
//! - One thread owns the server's state. The client's threads share one session behind one lock. A
//!   thread that panics ends the process.
//! - Input from the network or a file never panics, blocks, makes memory grow without bound, or
//!   reaches a terminal unescaped.

pub mod client;
pub mod decode;
pub mod docs;
pub mod engine;
pub mod hub;
#[cfg(feature = "lab")]
pub mod lab;
pub mod link;
pub mod protocol;
pub mod time;

// For the program and the tests only.
#[doc(hidden)]
pub mod discovery;
#[cfg(feature = "net")]
#[doc(hidden)]
pub mod files;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod grade;
#[cfg(feature = "net")]
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod impair;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod kit;
#[cfg(feature = "net")]
#[doc(hidden)]
pub mod net;
#[doc(hidden)]
pub mod quantity;
#[cfg(feature = "net")]
#[doc(hidden)]
pub mod server;
#[doc(hidden)]
pub mod ticket;
#[doc(hidden)]
pub mod words;

mod bucket;
mod path;
mod percentile;
mod prefetch;
mod registry;
mod room;
#[cfg(feature = "cli")]
mod sync;
