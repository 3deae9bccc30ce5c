//! The client: a session (sans-IO), the threads that carry it, and the user's side of it.

pub mod session;

#[cfg(feature = "lab")]
pub(crate) mod reach;

#[cfg(feature = "cli")]
mod attended;
#[cfg(feature = "cli")]
mod cache;
#[cfg(feature = "cli")]
mod cached_history;
#[cfg(feature = "cli")]
mod commands;
#[cfg(feature = "cli")]
pub mod discovery;
#[cfg(feature = "cli")]
mod driver;
#[cfg(feature = "cli")]
mod farewell;
#[cfg(feature = "cli")]
mod input;
#[cfg(feature = "cli")]
mod monitor;
#[cfg(feature = "cli")]
mod name;
#[cfg(feature = "cli")]
mod no_color;
#[cfg(feature = "cli")]
mod output;
#[cfg(feature = "cli")]
mod panics;
#[cfg(feature = "cli")]
mod run;
#[cfg(feature = "cli")]
mod screen;
#[cfg(feature = "cli")]
mod style;
#[cfg(feature = "cli")]
mod terminal;
#[cfg(feature = "cli")]
pub mod watch;
#[cfg(feature = "cli")]
mod whereabouts;

#[cfg(feature = "cli")]
pub use {
    input::Unreadable,
    name::{ask_name, can_ask},
    no_color::no_color,
    output::Format,
    panics::end_on_panic,
    run::{Config, Error, Leaver, Sink, keep_terminal, restore_terminal, run},
};
