//! In place of the screen in a build without it: everything goes out line by line.

use super::View;
use std::io;

/// Never made.
pub(super) enum Screen {}

impl Screen {
    pub(super) fn open() -> io::Result<Option<Self>> {
        crate::logging::complain(
            "this build has no screen (cargo feature `watch`): a table each time",
        );
        Ok(None)
    }

    pub(super) fn draw(&mut self, _: &View) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn wants_to_leave(&mut self, _: &View) -> io::Result<bool> {
        match *self {}
    }
}
