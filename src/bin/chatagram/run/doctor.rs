//! `doctor`.

use super::print;
use crate::cli::DoctorArgs;
use crate::doctor;
use chatagram::client::Format;
use std::process::ExitCode;

/// Says what this machine can do. What it cannot is no failure: this is a report.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let checks = doctor::examine();
    print(&match args.output {
        Format::Text => doctor::text(&checks, doctor::wants_colour()),
        Format::Json => doctor::json(&checks),
    })
}
