//! The library's public face, the vectors, and the pages that have to agree with the code.
// A test fails by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../vectors/catalogue.rs"]
mod catalogue;
#[path = "../vectors/format.rs"]
mod format;
#[path = "../vectors/streams.rs"]
mod streams;

mod decode;
mod impair;
mod impaired_sockets;
mod layering;
mod page;
mod proto_md;
mod records;
mod sockets;
mod stream_vectors;
mod ticket;
mod vectors;
mod words;
