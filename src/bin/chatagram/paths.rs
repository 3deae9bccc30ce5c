//! Default locations of a user's files, by the conventions of the system.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The client's cache. `None` if the environment names no directory.
pub(crate) fn cache_file() -> Option<PathBuf> {
    Some(cache_dir(&|name| env::var_os(name))?.join(Path::new("chatagram").join("lines.json")))
}

/// The history of the server on `port`. `None` if the environment names no directory.
pub(crate) fn history_file(port: u16) -> Option<PathBuf> {
    let name = format!("history-{port}.jsonl");
    Some(state_dir(&|name| env::var_os(name))?.join("chatagram").join(name))
}

/// Key and secret of the private room on `port`. `None` if the environment names no directory.
pub(crate) fn private_file(port: u16) -> Option<PathBuf> {
    let name = format!("private-{port}.key");
    Some(state_dir(&|name| env::var_os(name))?.join("chatagram").join(name))
}

/// The log of a server whose host chats in the same terminal. `None` if the environment names no
/// directory.
pub(crate) fn host_log_file() -> Option<PathBuf> {
    Some(state_dir(&|name| env::var_os(name))?.join("chatagram").join("host.log"))
}

type Variables<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// `XDG_CACHE_HOME` precedes the system's convention on every system.
fn cache_dir(variables: Variables<'_>) -> Option<PathBuf> {
    place(variables, "XDG_CACHE_HOME").or_else(|| match () {
        () if cfg!(windows) => place(variables, "LOCALAPPDATA"),
        () if cfg!(target_os = "macos") => Some(place(variables, "HOME")?.join("Library/Caches")),
        () => Some(place(variables, "HOME")?.join(".cache")),
    })
}

/// The state directory: data that persists and is not edited by the user.
fn state_dir(variables: Variables<'_>) -> Option<PathBuf> {
    place(variables, "XDG_STATE_HOME").or_else(|| match () {
        () if cfg!(windows) => place(variables, "LOCALAPPDATA"),
        () if cfg!(target_os = "macos") => {
            Some(place(variables, "HOME")?.join("Library/Application Support"))
        }
        () => Some(place(variables, "HOME")?.join(".local/state")),
    })
}

/// Relative paths are ignored, as the XDG specification requires.
fn place(variables: Variables<'_>, name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(variables(name)?)).filter(|path| path.is_absolute())
}

#[cfg(all(test, unix, not(target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn the_environment_selects_the_directories() {
        let home = |name: &str| (name == "HOME").then(|| "/home/a".into());
        assert_eq!(cache_dir(&home), Some("/home/a/.cache".into()));
        assert_eq!(state_dir(&home), Some("/home/a/.local/state".into()));
        let xdg = |name: &str| match name {
            "XDG_CACHE_HOME" => Some("/c".into()),
            "XDG_STATE_HOME" => Some("relative".into()),
            _ => home(name),
        };
        assert_eq!(cache_dir(&xdg), Some("/c".into()));
        assert_eq!(state_dir(&xdg), Some("/home/a/.local/state".into()));
        assert_eq!(cache_dir(&|_| None), None);
    }
}
