//! The lab: the same chat over every transport, measured for each message.
//!
//! | module | owns |
//! |---|---|
//! | `plan` | the conditions to measure and the modes to measure them with |
//! | `variant` | a mode with its settings: the runs of one trial differ in it |
//! | `sweep` | running a plan in emulated networks or in this process; replaying a run |
//! | `program` | chats of other authors: their commands, output, privileges and limits |
//! | `load` | many real clients against a running server, and the outcome of every message |
//! | `capture` | the packets of each message in a run's capture, and what each waited for |
//! | [`record`] | a run's files: rows per message and receiver (CSV or Parquet) and `run.json` |
//! | [`metrics`] | the statistics of a run and of a condition, each by a named method; pure |
//! | [`report`] | the page, tables and plots made of those statistics |
//!
//! A run goes through five files: `sweep.rs` (the next run of the plan), `sweep/namespaces.rs` (the
//! network, and the processes of server and load), `load.rs` (the clients, and what became of each
//! message), `record/files.rs` (its rows), and, after all runs, `report.rs`.

mod capture;
pub mod metrics;
pub mod record;
pub mod report;

// For the program and the tests only.
#[doc(hidden)]
pub mod demand;
#[doc(hidden)]
pub mod load;
#[doc(hidden)]
pub mod plan;
#[doc(hidden)]
pub mod program;
#[doc(hidden)]
pub mod sweep;
#[doc(hidden)]
pub mod variant;
