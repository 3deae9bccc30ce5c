//! `decode`.

use super::{REJECTED, USAGE, fail, tell};
use crate::cli::DecodeArgs;
use chatagram::decode::{self, hex};
use std::io::{self, Read};
use std::process::ExitCode;

/// Prints the fields of a datagram or a stream.
pub(crate) fn decode(args: &DecodeArgs) -> ExitCode {
    let bytes = match args.text() {
        Some(text) => hex::parse(&text),
        None => {
            let mut input = Vec::new();
            // One byte beyond the bound shows that the input is too long.
            let most = hex::MAX_INPUT as u64 + 1;
            match io::stdin().lock().take(most).read_to_end(&mut input) {
                Ok(_) => hex::parse_input(input),
                Err(error) => return fail(USAGE, format!("cannot read standard input: {error}")),
            }
        }
    };
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => return fail(USAGE, error),
    };
    let decoded = if args.stream { decode::stream(&bytes) } else { decode::datagram(&bytes) };
    tell(&decoded.text);
    if decoded.accepted { ExitCode::SUCCESS } else { ExitCode::from(REJECTED) }
}
