//! Look-up of servers: by name, or by the room of one that was found by discovery (`proto.md`
//! §7.12).

use super::discovery::{WAIT, search};
use crate::discovery::{Known, Recognition, SEARCH_WINDOW};
use crate::net::ServerName;
use crate::protocol::limits::MAX_ADDRESSES;
use crate::words::Language;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The names of servers, and the room if it was found by discovery.
#[derive(Clone, Debug)]
pub(super) struct Whereabouts {
    names: Vec<Name>,
    room: Option<Arc<Mutex<Known>>>,
}

/// A name, and the addresses that it had last.
#[derive(Clone, Debug)]
struct Name {
    name: ServerName,
    addresses: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Name {
    /// The addresses now; if it cannot be resolved, those that it had.
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let mut known = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match self.name.resolve() {
            Ok(addresses) => known.clone_from(&addresses),
            Err(error) if known.is_empty() => return Err(error),
            Err(error) => log::debug!("{error}: its last addresses count"),
        }
        Ok(known.clone())
    }
}

impl Whereabouts {
    pub(super) fn new(names: &[ServerName], room: Option<Known>) -> Self {
        let name = |name: &ServerName| Name { name: name.clone(), addresses: Arc::default() };
        Self { names: names.iter().map(name).collect(), room: room.map(Mutex::new).map(Arc::new) }
    }

    /// Whether the names are those of several servers.
    pub(super) fn are_several(&self) -> bool {
        self.names.len() > 1
    }

    /// The addresses of all names, in order. Names that cannot be resolved are left out, and
    /// returned as errors, if another one can.
    ///
    /// # Errors
    /// None of the names can be resolved.
    pub(super) fn resolve(&self) -> io::Result<(Vec<SocketAddr>, Vec<io::Error>)> {
        let (mut addresses, mut failures) = (Vec::new(), Vec::new());
        let share = MAX_ADDRESSES / self.names.len().clamp(1, MAX_ADDRESSES);
        for name in &self.names {
            match name.resolve() {
                Ok(found) => addresses.extend(found.into_iter().take(share)),
                Err(error) => failures.push(error),
            }
        }
        match failures.pop_if(|_| addresses.is_empty()) {
            Some(error) => Err(error),
            None => Ok((addresses, failures)),
        }
    }

    /// The current addresses, and a message for the user. This can block for seconds.
    ///
    /// # Errors
    /// Why the look-up failed.
    pub(super) fn look_up(
        &self,
        language: Language,
    ) -> io::Result<(Vec<SocketAddr>, Option<String>)> {
        let Some(room) = &self.room else { return Ok((self.resolve()?.0, None)) };
        let outcome = search(WAIT, Some(SEARCH_WINDOW))?;
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match room.recognise(&outcome.found) {
            Recognition::Here(addresses) | Recognition::Missing(addresses) => (addresses, None),
            Recognition::Ambiguous(addresses) => {
                (Vec::new(), Some(language.ambiguous_room(room.name(), &addresses)))
            }
        })
    }

    /// The current addresses of this name, for people.
    pub(super) fn describe(&self) -> String {
        match &self.room {
            Some(room) => {
                format!("\"{}\"", room.lock().unwrap_or_else(PoisonError::into_inner).name())
            }
            None => {
                let names = self.names.iter().map(|it| it.name.to_string());
                names.collect::<Vec<_>>().join(", ")
            }
        }
    }
}
