//! The lab: the same chat over every transport, measured message by message.
//!
//! | module | owns |
//! |---|---|
//! | [`plan`] | which networks to meet with which modes |
//! | [`sweep`] | running a plan, in emulated networks or, without them, in this process; replaying a run |
//! | [`load`] | many real clients against a running server, and what became of every message |
//! | [`record`] | what a run leaves on disk: one row per message and receiver, as CSV or Parquet, and `run.json` |
//! | [`metrics`] | the statistics of a run and of a condition, each by a named method; pure |
//! | [`report`] | the page, the tables and the pictures made of them |

pub mod load;
pub mod metrics;
pub mod plan;
pub mod record;
pub mod report;
pub mod sweep;
