//! `doctor`.

use super::{USAGE, fail, print};
use crate::cli::{DoctorArgs, Error, shows_password};
use crate::doctor;
use chatagram::client::Format;
use chatagram::server::UrlSource;
use std::process::ExitCode;

/// Runs `doctor`. A missing ability is no failure: this is a report.
pub(crate) fn doctor(args: &DoctorArgs) -> ExitCode {
    let engine = match (&args.engine, &args.engine_file) {
        (Some(url), _) => Some(UrlSource::Url(url.clone())),
        (None, Some(file)) => Some(UrlSource::File(file.clone())),
        (None, None) if args.engine_durable => {
            return fail(USAGE, Error::NoEngine("--engine-durable"));
        }
        (None, None) => None,
    };
    if shows_password(&std::env::args_os().collect::<Vec<_>>()) {
        return fail(USAGE, Error::VisiblePassword);
    }
    let checks = doctor::examine(engine.as_ref(), args.engine_durable);
    print(&match args.output {
        Format::Text => doctor::text(&checks, doctor::wants_colour()),
        Format::Json => doctor::json(&checks),
    })
}
