//! Whether the congestion controls of a plan fit its modes.

use super::{Error, Plan};
use crate::lab::record::Mode;
use crate::lab::variant::Control;

impl Plan {
    /// Each mode over TCP or QUIC has at least one of the congestion controls, and one that is
    /// named has such a mode.
    pub(super) fn check_controls(&self) -> Result<(), Error> {
        let has_none = |mode: &&Mode| !self.congestion.iter().any(|it| it.is_of(**mode));
        if let Some(mode) = self.modes.iter().find(has_none) {
            return Err(Error::NoControl(*mode));
        }
        let is_named = self.congestion.iter().any(|it| *it != Control::Auto);
        if is_named && !self.modes.iter().any(|mode| mode.is_steered()) {
            return Err(Error::NothingToControl);
        }
        Ok(())
    }
}
