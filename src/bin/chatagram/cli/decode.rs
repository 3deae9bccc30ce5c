//! The options of `decode`.

use clap::Args;
use clap::builder::FalseyValueParser;

/// Options of `decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The bytes in hexadecimal, with or without spaces, colons, commas, line breaks and 0x; several
    /// are joined. '-' reads them from standard input: there also as they are, or as a dump by xxd,
    /// hexdump -C or Wireshark
    #[arg(value_name = "HEX", required = true, env = "CHATAGRAM_HEX")]
    pub(crate) hex: Vec<String>,
    /// They are what one end sent over TCP, from its first byte
    #[arg(long, env = "CHATAGRAM_STREAM", value_parser = FalseyValueParser::new())]
    pub(crate) stream: bool,
}

impl DecodeArgs {
    /// The text to decode; `None` where it is on standard input.
    pub(crate) fn text(&self) -> Option<String> {
        (self.hex != ["-"]).then(|| self.hex.join(" "))
    }
}
