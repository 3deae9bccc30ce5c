//! Replaces the screen in a build without the feature `watch`: prints every answer as lines.

use super::View;
use std::io;

/// Has no value.
pub(super) enum Screen {}

impl Screen {
    pub(super) fn open() -> io::Result<Option<Self>> {
        log::error!("this build has no screen (cargo feature `watch`): it prints tables");
        Ok(None)
    }

    pub(super) fn draw(&mut self, _: &View) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn wants_to_leave(&mut self, _: &View) -> io::Result<bool> {
        match *self {}
    }
}
