//! `kit`.

use super::{COULD_NOT_START, USAGE, fail, print};
use crate::cli::KitArgs;
use chatagram::kit::{Error, Kit};
use std::process::ExitCode;

/// Writes a kit.
pub(crate) fn kit(args: &KitArgs) -> ExitCode {
    let Some(kit) = Kit::named(&args.language) else {
        return fail(USAGE, format!("no kit is called {}", args.language));
    };
    match kit.write(&args.dir) {
        Ok(()) => print(&format!(
            "a client to start from is in {0}: read {0}/README.md, then\n  cd {0} && make grade\n",
            args.dir.display()
        )),
        Err(error @ Error::NotEmpty(_)) => fail(USAGE, error),
        Err(error) => fail(COULD_NOT_START, error),
    }
}
