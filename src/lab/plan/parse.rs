//! Values as an option or a plan's string has them.

use super::Bandwidth;
use crate::lab::record::{Mode, UnknownMode};
use crate::lab::variant::Control;
use crate::link::{BadCongestionControl, BadCopies, Copies};
use crate::quantity;

/// Parses a delay in milliseconds, as an option or in a plan.
///
/// # Errors
/// Those of [`quantity::milliseconds`].
pub fn milliseconds(text: &str) -> Result<f64, quantity::Error> {
    quantity::milliseconds(text, &quantity::LAB_DELAY)
}

/// Parses a duration in seconds, as an option or in a plan.
///
/// # Errors
/// Those of [`quantity::seconds`].
pub fn seconds(text: &str) -> Result<f64, quantity::Error> {
    quantity::seconds(text, &quantity::RUN)
}

/// Parses the mean length of a loss burst in packets, as an option or in a plan.
///
/// # Errors
/// Those of [`quantity::burst`].
pub fn burst(text: &str) -> Result<f64, quantity::Error> {
    quantity::burst(text).map(|thousandths| thousandths as f64 / 1e3)
}

/// Parses a bandwidth, `off` or such as `2mbit`, as an option or in a plan.
///
/// # Errors
/// Those of a rate with its unit.
pub fn bandwidth(text: &str) -> Result<Bandwidth, quantity::Error> {
    text.parse()
}

/// Parses the packets in the queue of a bandwidth, as an option or in a plan.
///
/// # Errors
/// Those of [`quantity::count`].
pub fn queue(text: &str) -> Result<u32, quantity::Error> {
    quantity::count(text, &quantity::QUEUES, "packets")
}

/// Parses the bytes of text in a message, as an option or in a plan.
///
/// # Errors
/// Those of [`quantity::count`].
pub fn size(text: &str) -> Result<u32, quantity::Error> {
    quantity::count(text, &quantity::SIZES, "bytes")
}

/// Parses a number of copies, as an option or in a plan.
///
/// # Errors
/// [`BadCopies`].
pub fn redundancy(text: &str) -> Result<Copies, BadCopies> {
    text.parse()
}

/// Parses the name of a congestion control, as an option or in a plan.
///
/// # Errors
/// [`BadCongestionControl`].
pub fn control(text: &str) -> Result<Control, BadCongestionControl> {
    text.parse()
}

/// Parses the name of a mode, as an option or in a plan.
///
/// # Errors
/// [`UnknownMode`], which lists the names.
pub fn mode(text: &str) -> Result<Mode, UnknownMode> {
    text.trim().parse()
}
