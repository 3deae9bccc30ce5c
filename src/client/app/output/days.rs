//! Dividers where the day changes between lines, since lines have a time of day only.

use super::text::local;
use crate::client::app::style::Style;
use crate::time::WallTime;
use jiff::civil::Date;
use std::sync::{Mutex, PoisonError};

/// Day of the last line shown. Shared by the main thread and the editor, which both show lines.
#[derive(Debug)]
pub(in crate::client::app) struct Days {
    last: Mutex<Date>,
}

impl Days {
    /// No divider precedes lines of the day of `now` until a line of another day was shown.
    pub(in crate::client::app) fn since(now: WallTime) -> Self {
        Self { last: Mutex::new(local(now).date()) }
    }

    /// The divider before a line of time `at`, if its day differs from the last line's.
    pub(in crate::client::app) fn divider(&self, at: WallTime, style: Style) -> Option<String> {
        let date = local(at).date();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::replace(&mut *last, date) != date;
        changed.then(|| style.dim(&format!("* {}", style.language.day(date))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dividers_are_exactly_where_the_day_changes() {
        // Noon UTC is the same day from Honolulu to Auckland's evening, so whole days apart differ
        // in every zone.
        let day = |day: u64| WallTime((day * 24 + 12) * 3_600_000_000);
        let days = Days::since(day(20_000));
        let divider = |at| days.divider(day(at), Style::default());
        assert_eq!(divider(20_000), None);
        let earlier = divider(19_990).unwrap();
        assert!(earlier.starts_with("* 2024-09-") && earlier.ends_with("day"), "{earlier}");
        assert_eq!(divider(19_990), None);
        assert!(divider(19_991).is_some());
        assert!(divider(20_000).is_some(), "what follows the past is of today again");
        assert_eq!(divider(20_000), None);
    }
}
