//! `doctor`.

use super::print;
use crate::cli::DoctorArgs;
use crate::doctor;
use chatagram::client::Format;
use std::process::ExitCode;

/// Runs `doctor`. A missing ability is no failure: this is a report.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let checks = doctor::examine();
    print(&match args.output {
        Format::Text => doctor::text(&checks, doctor::wants_colour()),
        Format::Json => doctor::json(&checks),
    })
}
