//! The frames of a WebSocket (RFC 6455 §5) as a server reads and writes them. No I/O: bytes in,
//! pieces of messages out. A piece is what has arrived of a message, so a message of any length
//! costs no memory here. There are no extensions, and so no compression.

use sha1::{Digest, Sha1};

/// Largest payload of a control frame (§5.5).
const MAX_CONTROL: usize = 125;
/// Largest head of a frame: two bytes, eight of length, four of mask.
const MAX_HEAD: usize = 14;
/// What the accepting side appends to the key (§1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The two kinds of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8. The reader of a whole message checks that.
    Text,
    /// Any bytes.
    Binary,
}

/// What the other end sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A part of a message; `last` ends the message.
    Piece {
        /// The kind of the message.
        kind: Kind,
        /// The bytes, perhaps none.
        bytes: Vec<u8>,
        /// No more of this message follows.
        last: bool,
    },
    /// It is to be answered by a pong with the same bytes.
    Ping(Vec<u8>),
    /// An answer that nobody waits for.
    Pong,
    /// The other end sends nothing more.
    Close,
}

/// A frame that breaks RFC 6455; the connection ends with [`PROTOCOL_ERROR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a WebSocket frame breaks RFC 6455: {0}")]
pub struct Violation(&'static str);

/// Codes of a closing frame (§7.4.1).
pub const NORMAL: u16 = 1_000;
/// The server ends.
pub const GOING_AWAY: u16 = 1_001;
/// A frame breaks the protocol.
pub const PROTOCOL_ERROR: u16 = 1_002;
/// A message of a kind that this end does not take.
pub const UNSUPPORTED: u16 = 1_003;
/// A text is not UTF-8.
pub const NOT_TEXT: u16 = 1_007;
/// The other end breaks a rule of this server.
pub const POLICY: u16 = 1_008;
/// A message is too long.
pub const TOO_LONG: u16 = 1_009;
/// There are too many connections for now.
pub const TRY_LATER: u16 = 1_013;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn read(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A frame whose payload is arriving.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: Opcode,
    last: bool,
    mask: [u8; 4],
    /// Bytes of the payload so far, and in all.
    read: u64,
    length: u64,
}

impl Frame {
    /// The next bytes of the payload without their mask (§5.3).
    fn take(&mut self, bytes: &mut &[u8]) -> Vec<u8> {
        let left = usize::try_from(self.length - self.read).unwrap_or(usize::MAX);
        let (payload, rest) = bytes.split_at(left.min(bytes.len()));
        *bytes = rest;
        let phase = self.read as usize % 4;
        self.read += payload.len() as u64;
        let mask = self.mask.iter().cycle().skip(phase);
        payload.iter().zip(mask).map(|(byte, mask)| byte ^ mask).collect()
    }

    fn is_whole(&self) -> bool {
        self.read == self.length
    }
}

/// Reads the frames of a client.
#[derive(Debug, Default)]
pub struct Reader {
    /// The bytes of an incomplete head.
    head: Vec<u8>,
    frame: Option<Frame>,
    /// The message that further frames continue.
    message: Option<Kind>,
    /// The payload of an incomplete control frame.
    control: Vec<u8>,
}

impl Reader {
    /// The next input in `bytes`, which loses what was read; `None` once it is empty.
    ///
    /// # Errors
    /// [`Violation`]: the connection cannot be read any further.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Input>, Violation> {
        loop {
            let Some(mut frame) = self.frame.take() else {
                match self.read_head(bytes)? {
                    None => return Ok(None),
                    Some(frame) => self.frame = Some(frame),
                }
                continue;
            };
            if bytes.is_empty() && !frame.is_whole() {
                self.frame = Some(frame);
                return Ok(None);
            }
            let payload = frame.take(bytes);
            if !frame.is_whole() {
                self.frame = Some(frame);
            }
            if frame.opcode.is_control() {
                self.control.extend_from_slice(&payload);
                if !frame.is_whole() {
                    return Ok(None);
                }
                return control(frame.opcode, std::mem::take(&mut self.control)).map(Some);
            }
            let kind = self.message.unwrap_or(Kind::Binary);
            let last = frame.last && frame.is_whole();
            if last {
                self.message = None;
            }
            return Ok(Some(Input::Piece { kind, bytes: payload, last }));
        }
    }

    /// Reads the head of a frame; `None` until it is complete.
    fn read_head(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        while let Some((byte, rest)) = bytes.split_first() {
            (*bytes, _) = (rest, self.head.push(*byte));
            if let Some(frame) = self.parse_head()? {
                self.head.clear();
                return Ok(Some(frame));
            }
            debug_assert!(self.head.len() < MAX_HEAD, "a head is complete by then");
        }
        Ok(None)
    }

    fn parse_head(&mut self) -> Result<Option<Frame>, Violation> {
        let [first, second, rest @ ..] = &self.head[..] else { return Ok(None) };
        let opcode = Opcode::read(first & 0x0F).ok_or(Violation("an unknown opcode"))?;
        let last = first & 0x80 != 0;
        if first & 0x70 != 0 {
            return Err(Violation("a bit of an extension that was not agreed"));
        }
        if second & 0x80 == 0 {
            return Err(Violation("a client's frame without a mask"));
        }
        let short = second & 0x7F;
        if opcode.is_control() && (!last || short as usize > MAX_CONTROL) {
            return Err(Violation("a control frame in parts, or too long"));
        }
        let extended = match short {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let Some((length, mask)) = rest.split_at_checked(extended) else { return Ok(None) };
        let Ok(mask) = <[u8; 4]>::try_from(mask) else { return Ok(None) };
        let length = match extended {
            0 => u64::from(short),
            _ => length.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)),
        };
        // The shortest form only; the first bit of eight bytes is 0 (§5.2).
        if (extended == 2 && length < 126)
            || (extended == 8 && (length <= u64::from(u16::MAX) || length >> 63 == 1))
        {
            return Err(Violation("a length in another form than the shortest"));
        }
        match (opcode, self.message) {
            (Opcode::Continuation, None) => return Err(Violation("it continues no message")),
            (Opcode::Text | Opcode::Binary, Some(_)) => {
                return Err(Violation("a message within another"));
            }
            (Opcode::Text, None) => self.message = Some(Kind::Text),
            (Opcode::Binary, None) => self.message = Some(Kind::Binary),
            _ => {}
        }
        Ok(Some(Frame { opcode, last, mask, read: 0, length }))
    }
}

fn control(opcode: Opcode, payload: Vec<u8>) -> Result<Input, Violation> {
    match (opcode, &payload[..]) {
        (Opcode::Ping, _) => Ok(Input::Ping(payload)),
        (Opcode::Pong, _) => Ok(Input::Pong),
        (_, []) => Ok(Input::Close),
        (_, [first, second, reason @ ..]) => {
            let code = u16::from_be_bytes([*first, *second]);
            let known = matches!(code, 1_000..=1_003 | 1_007..=1_014 | 3_000..=4_999);
            if known && std::str::from_utf8(reason).is_ok() {
                Ok(Input::Close)
            } else {
                Err(Violation("a closing frame with a wrong code or reason"))
            }
        }
        (_, [_]) => Err(Violation("a closing frame with half a code")),
    }
}

/// Appends a frame with a whole message. A server does not mask (§5.1).
pub fn write_message(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    let opcode = match kind {
        Kind::Text => 0x1,
        Kind::Binary => 0x2,
    };
    write_frame(opcode, payload, out);
}

/// Appends the answer to a ping.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_frame(0xA, payload, out);
}

/// Appends a closing frame.
pub fn write_close(code: u16, out: &mut Vec<u8>) {
    write_frame(0x8, &code.to_be_bytes(), out);
}

fn write_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        short @ 0..126 => out.push(short as u8),
        length => match u16::try_from(length) {
            Ok(length) => {
                out.push(126);
                out.extend_from_slice(&length.to_be_bytes());
            }
            Err(_) => {
                out.push(127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        },
    }
    out.extend_from_slice(payload);
}

/// The value of `Sec-WebSocket-Accept` for a client's key (§4.2.2).
#[must_use]
pub fn accept(key: &str) -> String {
    base64(&Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// Whether a client's key is base64 of 16 bytes (§4.1).
#[must_use]
pub fn is_key(key: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.ends_with("==") && key.bytes().take(22).all(digit)
}

/// base64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        let digits = (0..=three.len()).map(|place| (bits >> (18 - 6 * place)) & 0x3F);
        text.extend(digits.map(|digit| char::from(DIGITS[digit as usize])));
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

#[cfg(test)]
mod tests;
