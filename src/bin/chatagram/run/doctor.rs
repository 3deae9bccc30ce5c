//! `doctor`.

use super::{USAGE, fail, print};
use crate::cli::{DoctorArgs, Error, engine_url, shows_password};
use crate::doctor;
use chatagram::client::Format;
use std::process::ExitCode;

/// Runs `doctor`. A missing ability is no failure: this is a report.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let engine = engine_url(args.engine.as_deref(), args.engine_file.as_deref());
    if engine.is_none() && args.engine_durable {
        return fail(USAGE, Error::NoEngine("--engine-durable"));
    }
    if shows_password(&std::env::args_os().collect::<Vec<_>>()) {
        return fail(USAGE, Error::VisiblePassword);
    }
    let checks = doctor::examine(engine.as_ref(), args.engine_durable);
    print(&match args.output {
        Format::Text => doctor::text(&checks, doctor::wants_colour()),
        Format::Json => doctor::json(&checks),
    })
}
