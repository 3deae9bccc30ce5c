//! What is on the wire, and nothing else: the header, the frames, the messages inside them, names,
//! texts and limits. `proto.md` is the normative text; this module is its executable twin.
//!
//! ```text
//! datagram = header (40 bytes, fixed offsets) + frame*         codec.rs, header.rs
//! frame    = what one end tells the other about the conversation       frame.rs
//! message  = what a frame carries for the chat above it                message.rs
//! ```
//!
//! Invariant: `codec` is the only user of `bincode` in the crate, and of `crc32fast` in this module. A
//! successor of either touches that one file, and the golden vectors in `tests/vectors` say whether it may.

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
mod stream;
mod text;
mod trace;

pub use batch::Batch;
pub use codec::{
    Datagram, DatagramWriter, DecodeError, Frames, Head, Invariant, decode_message, encode_message,
    encode_message_into,
};
pub use frame::{Cookie, Delivery, Frame, PathCookie, Refusal, Token, Transport};
pub use header::{Flags, HEADER_LEN, Header, MAGIC, VERSION};
pub use mark::{Mark, hex};
pub use message::{ClientMessage, LeaveReason, ServerMessage};
#[cfg(feature = "cli")]
pub(crate) use name::is_default_ignorable;
pub use name::{NameError, NameKey, Nickname};
pub use roll::{Roll, RollEntry, RollWriter};
pub use serial::{unwrap16, unwrap32};
pub use stream::{Piece, Preface, StreamReader, write_record};
pub use text::{MAX_TEXT_BYTES, clean, clean_lines, is_clean, split};
pub use trace::{Step, Trace, Traced};
