//! scaffold
pub mod client;
pub mod history;
pub mod hub;
pub mod link;
pub mod protocol;
pub mod registry;
pub mod room;
pub mod time;
