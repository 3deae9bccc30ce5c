//! The threads that carry a session, and the user's side of it: input, output, terminal, cache.

mod addressed;
mod attended;
mod cache;
mod cached_history;
mod commands;
pub mod discovery;
mod driver;
mod farewell;
mod input;
mod monitor;
mod name;
mod no_color;
mod output;
mod panics;
mod run;
mod screen;
mod style;
mod terminal;
pub mod watch;
mod whereabouts;

use super::{reach, session};

pub(crate) use cache::{CacheError, CacheWarning};
pub use driver::Tickets;
pub use input::Unreadable;
pub use name::{ask_name, can_ask};
pub use no_color::no_color;
pub use output::Format;
pub use panics::end_on_panic;
pub use run::{Config, Error, Leaver, Sink, keep_terminal, restore_terminal, run};
