//! The processors' time that the hypervisor gave to others, from `/proc/stat`.

use std::fs;

/// The counters of all processors, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticks {
    total: u64,
    stolen: u64,
}

impl Ticks {
    /// The counters now; `None` where the system has none.
    pub(super) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The first line has user, nice, system, idle, iowait, irq, softirq and steal; user includes
    /// the guests' time that follows (proc_stat(5)).
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.lines().next()?.split_whitespace();
        words.next().filter(|name| *name == "cpu")?;
        let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
        let stolen = *ticks.get(7)?;
        Some(Self { total: ticks.iter().fold(0, |sum, it| sum.saturating_add(*it)), stolen })
    }

    /// The share stolen since `before`; `None` if no tick has passed.
    pub(super) fn stolen_since(self, before: Self) -> Option<f64> {
        let total = self.total.checked_sub(before.total).filter(|total| *total > 0)?;
        Some(self.stolen.saturating_sub(before.stolen) as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighth_counter_is_stolen_time() {
        let text = "cpu  100 0 50 800 20 5 5 20 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let before = Ticks::parse(text).unwrap();
        assert_eq!(before, Ticks { total: 1_000, stolen: 20 });
        let after = Ticks { total: 1_200, stolen: 50 };
        assert_eq!(after.stolen_since(before), Some(0.15));
        assert_eq!(before.stolen_since(before), None);
        for other in ["", "cpu 1 2 3", "intr 1 2 3 4 5 6 7 8", "cpu a b c d e f g h"] {
            assert_eq!(Ticks::parse(other), None, "{other}");
        }
    }
}
