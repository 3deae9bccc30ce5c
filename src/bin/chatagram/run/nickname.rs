//! The nickname to join with: from the option, from the user at a terminal, or the login name.

use super::{USAGE, fail};
use crate::cli::ClientArgs;
use chatagram::client::{self, Format};
use chatagram::protocol::Nickname;
use chatagram::words::Language;
use std::process::ExitCode;

/// Environment variables with the login name.
const USER: &str = if cfg!(windows) { "USERNAME" } else { "USER" };

/// The nickname of a client, before anything is sent.
pub(super) fn nickname(args: &ClientArgs, say: Language) -> Result<String, ExitCode> {
    if let Some(nick) = &args.nick {
        return Ok(nick.clone());
    }
    let user = std::env::var(USER).unwrap_or_default();
    let own = Nickname::parse(&user);
    if args.output == Format::Text && client::can_ask() {
        let offer = own.as_ref().ok().map(Nickname::as_str);
        return client::ask_name(say, offer).ok_or_else(|| fail(USAGE, say.no_name(None)));
    }
    match own {
        Ok(own) => Ok(own.to_string()),
        Err(error) => {
            let why = (!user.is_empty()).then(|| say.name_error(&error));
            Err(fail(USAGE, say.no_name(Some((USER, why)))))
        }
    }
}
