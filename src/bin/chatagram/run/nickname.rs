//! The nickname to join with: from the option, from the user at a terminal, or the login name.

use super::{USAGE, fail};
use crate::cli::ClientArgs;
use chatagram::client::{self, Format};
use chatagram::protocol::Nickname;
use std::process::ExitCode;

/// Environment variables with the login name.
const USER: &str = if cfg!(windows) { "USERNAME" } else { "USER" };

/// The nickname of a client, before anything is sent.
pub(super) fn nickname(args: &ClientArgs) -> Result<String, ExitCode> {
    if let Some(nick) = &args.nick {
        return Ok(nick.clone());
    }
    let user = std::env::var(USER).unwrap_or_default();
    let own = Nickname::parse(&user);
    if args.output == Format::Text && client::can_ask() {
        let offer = own.as_ref().ok().map(Nickname::as_str);
        return client::ask_name(offer)
            .ok_or_else(|| fail(USAGE, "no name given: use --nick NAME"));
    }
    match own {
        Ok(own) => Ok(own.to_string()),
        Err(_) if user.is_empty() => {
            Err(fail(USAGE, format!("no name given, and ${USER} is not set: use --nick NAME")))
        }
        Err(error) => {
            Err(fail(USAGE, format!("${USER} cannot be your name: {error}: use --nick NAME")))
        }
    }
}
