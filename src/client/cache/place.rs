//! Where a user's cache lies, by the customs of the system.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The cache file of this user. `None` when the environment names no place.
///
/// `XDG_CACHE_HOME` goes before the customs of the system, on every system. A
/// place that is not absolute is passed over, as the XDG specification asks.
pub fn default_path() -> Option<PathBuf> {
    path_from(|name| env::var_os(name))
}

pub(super) fn path_from(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let place = |name| {
        let place = PathBuf::from(variable(name)?);
        place.is_absolute().then_some(place)
    };
    let caches = place("XDG_CACHE_HOME").or_else(|| match () {
        () if cfg!(windows) => place("LOCALAPPDATA"),
        () if cfg!(target_os = "macos") => Some(place("HOME")?.join("Library/Caches")),
        () => Some(place("HOME")?.join(".cache")),
    })?;
    Some(caches.join(Path::new("chatagram").join("lines.json")))
}
