//! The client: a session (sans-IO), and the program around it.

pub mod session;

#[cfg(feature = "cli")]
mod app;
#[cfg(feature = "lab")]
pub(crate) mod quic;
#[cfg(feature = "lab")]
pub(crate) mod reach;

#[cfg(feature = "cli")]
#[doc(hidden)]
pub use app::*;
