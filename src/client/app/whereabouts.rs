//! Look-up of a server: by name, or by its room if it was found by discovery (`proto.md` §7.12).

use super::discovery::{WAIT, search};
use crate::discovery::{Known, Recognition, SEARCH_WINDOW};
use crate::net::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

/// The name of a server, and its room if it was found by discovery.
#[derive(Debug)]
pub(super) struct Whereabouts {
    name: ServerName,
    room: Option<Mutex<Known>>,
}

impl Whereabouts {
    pub(super) fn new(name: ServerName, room: Option<Known>) -> Self {
        Self { name, room: room.map(Mutex::new) }
    }

    /// The current addresses, and a message for the user. This can block for seconds.
    ///
    /// # Errors
    /// Why the look-up failed.
    pub(super) fn look_up(&self) -> io::Result<(Vec<SocketAddr>, Option<String>)> {
        let Some(room) = &self.room else { return Ok((self.name.resolve()?, None)) };
        let outcome = search(WAIT, Some(SEARCH_WINDOW))?;
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match room.recognise(&outcome.found) {
            Recognition::Here(addresses) | Recognition::Missing(addresses) => (addresses, None),
            Recognition::Ambiguous(addresses) => {
                let addresses: Vec<_> = addresses.iter().map(SocketAddr::to_string).collect();
                let text = format!(
                    "several rooms called \"{}\" are here, at {}: join the right one with \
                     `chatagram client ADDRESS`",
                    room.name(),
                    addresses.join(", ")
                );
                (Vec::new(), Some(text))
            }
        })
    }

    /// The current addresses of this name, for people.
    pub(super) fn describe(&self) -> String {
        match &self.room {
            Some(room) => {
                format!("\"{}\"", room.lock().unwrap_or_else(PoisonError::into_inner).name())
            }
            None => self.name.to_string(),
        }
    }
}
