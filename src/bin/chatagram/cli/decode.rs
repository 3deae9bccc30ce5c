//! The options of `decode`.

use clap::Args;
use clap::builder::FalseyValueParser;

/// Options of `decode`.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// Bytes in hexadecimal; '-' reads them from standard input
    ///
    /// Spaces, colons, commas, line breaks and 0x are ignored; several arguments are joined.
    /// Standard input may also be the bytes themselves, or a dump by xxd, hexdump -C or Wireshark.
    #[arg(value_name = "HEX", required = true, env = "CHATAGRAM_HEX")]
    pub(crate) hex: Vec<String>,
    /// Decode what one end sent over TCP, from the first byte
    #[arg(long, env = "CHATAGRAM_STREAM", value_parser = FalseyValueParser::new())]
    pub(crate) stream: bool,
}

impl DecodeArgs {
    /// The text to decode; `None` if it is on standard input.
    pub(crate) fn text(&self) -> Option<String> {
        (self.hex != ["-"]).then(|| self.hex.join(" "))
    }
}
