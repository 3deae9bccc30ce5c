//! The wire format: header, frames, messages, names, texts and limits. `proto.md` is normative;
//! this module implements it.
//!
//! ```text
//! datagram = header (40 bytes, fixed offsets) + frame*         codec.rs, header.rs
//! frame    = one statement of an end about the session         frame.rs
//! message  = content of the chat, carried by a frame           message.rs
//! ```
//!
//! Invariant: `codec` is the only user of `bincode` in the crate, and of `crc32fast` in this
//! module. Another encoder touches that file only, and must reproduce the golden vectors in
//! `tests/vectors`.

mod batch;
mod codec;
mod frame;
mod header;
pub mod limits;
mod mark;
mod message;
mod name;
mod roll;
mod serial;
mod servers;
mod stream;
mod text;
mod trace;

pub(crate) use batch::Batch;
#[cfg(feature = "cli")]
pub(crate) use codec::checksum;
pub use codec::{
    Datagram, DatagramWriter, DecodeError, Frames, Head, decode_message, encode_message,
};
pub(crate) use codec::{Invariant, decode_frame, encode_message_into};
pub use frame::{Cookie, Delivery, Frame, Join, Part, PathCookie, Refusal, Token, Transport};
pub use header::{Flags, HEADER_LEN, Header, MAGIC, VERSION};
pub use mark::{Mark, hex};
pub use message::{
    About, ClientMessage, LeaveReason, LiveLine, PastLine, Say, ServerCounters, ServerMessage,
    Welcome, Whisper,
};
#[cfg(feature = "cli")]
pub(crate) use name::is_default_ignorable;
pub use name::{NameError, NameKey, Nickname};
pub use roll::{Roll, RollEntry, RollWriter};
pub(crate) use serial::{unwrap16, unwrap32};
pub use servers::ServerList;
pub(crate) use stream::{LENGTH_LEN, write_encoded_record};
pub use stream::{Piece, Preface, StreamReader, write_record};
pub(crate) use text::clip;
pub use text::{MAX_TEXT_BYTES, clean, clean_lines, is_clean, split};
pub use trace::{Step, Trace, Traced};
