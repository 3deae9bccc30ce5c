//! Where the day changes among the lines that are shown. A time of day alone would be that of today.

use super::text::local;
use crate::client::style::Style;
use crate::time::WallTime;
use jiff::civil::Date;
use std::sync::{Mutex, PoisonError};

/// The day of the line shown last. Shared: the main thread shows lines, and so does the editor.
#[derive(Debug)]
pub(in crate::client) struct Days {
    last: Mutex<Date>,
}

impl Days {
    /// Lines of the day of `now` have no divider before them until one of another day was shown.
    pub(in crate::client) fn since(now: WallTime) -> Self {
        Self { last: Mutex::new(local(now).date()) }
    }

    /// The divider before a line said at `at`, if it is of another day than the line before it.
    pub(in crate::client) fn divider(&self, at: WallTime, style: Style) -> Option<String> {
        let date = local(at).date();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = std::mem::replace(&mut *last, date) != date;
        changed.then(|| style.dim(&format!("* {}", date.strftime("%Y-%m-%d, %A"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divider_stands_where_the_day_changes_and_nowhere_else() {
        // Noon in Greenwich is the same day from Honolulu to Auckland's evening: apart by whole days,
        // they are of different ones everywhere.
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
