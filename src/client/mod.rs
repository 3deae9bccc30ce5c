//! scaffold
pub mod cache;
pub mod session;
