//! Errors of a lab and of its runs.

use super::NoPattern;
use crate::lab::variant::Control;
use crate::lab::{load, plan, record};
#[cfg(target_os = "linux")]
use crate::net::emulated;
use crate::server;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// An error that ends the lab, or one run of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The plan cannot be run.
    #[error("{0}")]
    Plan(#[from] plan::Error),
    /// The output directory is not empty.
    #[error(
        "{} is not empty: add --resume to continue the lab in it, or choose another --out",
        .0.display()
    )]
    NotEmpty(PathBuf),
    /// Another process measures in the output directory.
    #[error(
        "{} is in use: {} measures in it; wait until it ends, or choose another --out",
        .path.display(),
        .process.map_or_else(|| "another process".to_owned(), |it| format!("process {it}"))
    )]
    InUse {
        /// The output directory.
        path: PathBuf,
        /// The other process, if it could be read.
        process: Option<u32>,
    },
    /// The output directory of a replay is not empty.
    #[error("{} is not empty: choose another --out, or remove the directory first", .0.display())]
    Taken(PathBuf),
    /// The output directory holds a lab with another plan.
    #[error(
        "the lab in {} has another plan: leave the options out to continue it, \
         or choose another --out",
        .0.display()
    )]
    OtherPlan(PathBuf),
    /// `--resume` without a lab.
    #[error("there is no lab in {} to resume: leave --resume out", .0.display())]
    NothingToResume(PathBuf),
    /// A file could not be read or written.
    #[error("{0}")]
    Files(#[from] record::Error),
    /// The plan has TCP and programs alone, which [`Place::InProcess`](super::Place::InProcess)
    /// lacks.
    #[error(
        "TCP and other programs cannot be measured without network namespaces: add a UDP mode, or \
         run `chatagram doctor`"
    )]
    OnlyTcp,
    /// The emulated network could not be built.
    #[cfg(target_os = "linux")]
    #[error("{0}")]
    Network(#[from] emulated::Error),
    /// Another system call failed.
    #[error("cannot {what}: {cause}")]
    System {
        /// The failed operation.
        what: &'static str,
        /// The system's error.
        cause: io::Error,
    },
    /// The kernel refuses the congestion control of a run.
    #[error("run {run}: no TCP with {control}: {cause}; {remedy}")]
    Control {
        /// The run.
        run: String,
        /// The congestion control.
        control: Control,
        /// The kernel's error.
        cause: String,
        /// The remedy.
        remedy: String,
    },
    /// The server or the load of a run failed.
    #[error("run {run}: the {role} failed ({status}){}{output}", colon(.output))]
    Program {
        /// The run.
        run: String,
        /// `server` or `load`.
        role: &'static str,
        /// Its exit status.
        status: ExitStatus,
        /// The end of its error output.
        output: String,
    },
    /// A program's server did not come to listen where its clients look for it.
    #[cfg(target_os = "linux")]
    #[error("run {run}: the server `{command}` {why}")]
    Service {
        /// The run.
        run: String,
        /// The server's command.
        command: String,
        /// The reason, and the way out.
        why: super::NoService,
    },
    /// The server in this process ended before the load.
    #[error("run {run}: the server ended in mid-run")]
    Ended {
        /// The run.
        run: String,
    },
    /// The load in this process failed.
    #[error("run {run}: the load failed: {cause}")]
    Load {
        /// The run.
        run: String,
        /// The reason.
        cause: load::Error,
    },
    /// The server in this process failed.
    #[error("run {run}: the server failed: {cause}")]
    Server {
        /// The run.
        run: String,
        /// The reason.
        cause: server::Error,
    },
    /// The emulated network of a run failed: its record would count everything since as lost.
    #[cfg(target_os = "linux")]
    #[error("run {run}: the emulated network failed: {cause}")]
    Broken {
        /// The run.
        run: String,
        /// The kernel's error.
        cause: String,
    },
    /// The router lost packets because it was late: the run's losses are not those of its
    /// condition.
    #[error(
        "run {run}: the machine was too busy: {lost} packets were lost beyond those of the \
         condition"
    )]
    Overrun {
        /// The run.
        run: String,
        /// The packets lost beyond those of the condition.
        lost: u64,
    },
    /// The run recorded no losses to replay.
    #[error("{path} cannot be replayed: {why}", path = .path.display())]
    NoPattern {
        /// The run's directory.
        path: PathBuf,
        /// The reason.
        why: NoPattern,
    },
    /// The stop flag was set.
    #[error(
        "stopped; finished runs are kept: continue with `chatagram lab --resume` and the same \
         `--out`, or show them with `chatagram report`"
    )]
    Stopped,
}

/// The separator before a program's output, if there is any.
fn colon(output: &str) -> &'static str {
    if output.is_empty() { "" } else { ": " }
}

impl Error {
    /// Returns true for an error of one run, after which the others continue.
    pub(super) fn concerns_one_run(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Broken { .. } | Self::Service { .. } => true,
            other => matches!(
                other,
                Self::Program { .. }
                    | Self::Ended { .. }
                    | Self::Load { .. }
                    | Self::Server { .. }
                    | Self::Overrun { .. }
                    | Self::Control { .. }
            ),
        }
    }
}
