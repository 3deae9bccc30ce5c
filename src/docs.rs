//! The documentation for users, page by page. GitHub shows the same files under `src/docs`.
//!
//! Links to other files of the repository work on GitHub only.

#[doc = include_str!("docs/benchmarks.md")]
pub mod benchmarks {}
#[doc = include_str!("docs/building.md")]
pub mod building {}
#[doc = include_str!("docs/changelog.md")]
pub mod changelog {}
#[doc = include_str!("docs/chat.md")]
pub mod chat {}
#[doc = include_str!("docs/grading.md")]
pub mod grading {}
// The first definition of a label wins: rustdoc takes this one, GitHub the one in the page.
#[doc = "[benchmarks.md]: benchmarks"]
#[doc = include_str!("docs/lab.md")]
pub mod lab {}
#[doc = include_str!("docs/operations.md")]
pub mod operations {}
#[doc = include_str!("docs/security.md")]
pub mod security {}
#[doc = "[the lab]: lab"]
#[doc = include_str!("docs/web.md")]
pub mod web {}
