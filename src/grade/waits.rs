//! How long the client waited for a processor: the measure of a busy machine.
//!
//! On Linux the kernel counts the time that each thread waited in a run queue. Where it does not
//! say so, and where it was itself not running (a paused virtual machine), the lateness of the
//! referee takes its place: how late its timers were, and how long its own work took.

use crate::time::Timestamp;
use std::time::Duration;

/// Shortest time between two samples.
const SPACING: Duration = Duration::from_millis(50);

/// Samples of the total time waited: when each was taken, and the total then.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Vec<(Duration, Duration)>);

impl Waits {
    /// Adds a sample.
    pub(super) fn note(&mut self, at: Duration, total: Duration) {
        self.0.push((at, total));
    }

    /// The time of the last sample.
    pub(super) fn end(&self) -> Duration {
        self.0.last().map_or(Duration::ZERO, |it| it.0)
    }

    /// The time waited from this moment on, at most.
    pub(super) fn since(&self, from: Duration) -> Duration {
        self.between(from, Duration::MAX)
    }

    /// The time waited between these moments, at most: samples are some way apart.
    pub(super) fn between(&self, from: Duration, to: Duration) -> Duration {
        let before = self.0.iter().rev().find(|it| it.0 <= from);
        let after = self.0.iter().find(|it| it.0 >= to).or(self.0.last());
        let total = |it: Option<&(Duration, Duration)>| it.map_or(Duration::ZERO, |it| it.1);
        total(after).saturating_sub(total(before))
    }
}

/// Takes the samples.
#[derive(Default)]
pub(super) struct Gauge {
    #[cfg(target_os = "linux")]
    queue: Option<linux::RunQueue>,
    /// The time that the client had waited at the last sample.
    client: Duration,
    /// How late the referee was since the last sample.
    late: Duration,
    total: Duration,
    next: Timestamp,
}

impl Gauge {
    /// Measures this process and its descendants from now on.
    pub(super) fn watch(&mut self, process: u32) {
        #[cfg(target_os = "linux")]
        self.queue.replace(linux::RunQueue::of(process));
        #[cfg(not(target_os = "linux"))]
        let _ = process;
    }

    /// Notes that the referee was late.
    pub(super) fn late(&mut self, by: Duration) {
        self.late += by;
    }

    /// Takes a sample if one is due.
    pub(super) fn sample(&mut self, now: Timestamp, waits: &mut Waits) {
        if now < self.next {
            return;
        }
        self.next = now + SPACING;
        #[cfg(target_os = "linux")]
        let client = self.queue.as_mut().map_or(self.client, linux::RunQueue::waited);
        #[cfg(not(target_os = "linux"))]
        let client = self.client;
        self.total += client.saturating_sub(self.client).max(self.late);
        (self.client, self.late) = (client, Duration::ZERO);
        waits.note(now.since(Timestamp::ZERO), self.total);
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::fs;
    use std::time::Duration;

    /// The threads of a client and of its descendants, and how long each waited in a run queue.
    pub(super) struct RunQueue {
        client: u32,
        running: BTreeMap<String, Duration>,
        /// The times of those that have ended.
        ended: Duration,
    }

    impl RunQueue {
        pub(super) fn of(client: u32) -> Self {
            Self { client, running: BTreeMap::new(), ended: Duration::ZERO }
        }

        /// The time that all of them waited so far.
        pub(super) fn waited(&mut self) -> Duration {
            let (mut processes, mut running) = (vec![self.client.to_string()], BTreeMap::new());
            while let Some(process) = processes.pop() {
                let tasks = fs::read_dir(format!("/proc/{process}/task"));
                for task in tasks.into_iter().flatten().flatten() {
                    // proc(5). A thread that has ended meanwhile has neither file.
                    let read =
                        |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
                    processes.extend(read("children").split_whitespace().map(str::to_owned));
                    // Nanoseconds run, nanoseconds waited, time slices.
                    let waited = read("schedstat").split(' ').nth(1).and_then(|it| it.parse().ok());
                    if let (Some(waited), Ok(thread)) = (waited, task.file_name().into_string()) {
                        running.insert(thread, Duration::from_nanos(waited));
                    }
                }
            }
            for (thread, waited) in std::mem::replace(&mut self.running, running) {
                if !self.running.contains_key(&thread) {
                    self.ended += waited;
                }
            }
            self.ended + self.running.values().sum::<Duration>()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_samples_around_it() {
        let ms = Duration::from_millis;
        let mut waits = Waits::default();
        for (at, total) in [(0, 0), (100, 10), (200, 90), (300, 90)] {
            waits.note(ms(at), ms(total));
        }
        let between = |from, to| waits.between(ms(from), ms(to));
        assert_eq!(between(100, 200), ms(80));
        assert_eq!(between(150, 160), ms(80));
        assert_eq!(between(200, 900), ms(0));
        assert_eq!(between(50, 250), ms(90));
    }

    #[test]
    fn a_late_referee_counts_where_the_client_did_not_wait() {
        let (mut gauge, mut waits) = (Gauge::default(), Waits::default());
        let at = |ms| Timestamp::ZERO + Duration::from_millis(ms);
        gauge.sample(at(0), &mut waits);
        gauge.late(Duration::from_millis(70));
        gauge.sample(at(10), &mut waits);
        gauge.sample(at(100), &mut waits);
        let waited = waits.between(Duration::ZERO, Duration::from_millis(100));
        assert_eq!(waited, Duration::from_millis(70));
    }
}
