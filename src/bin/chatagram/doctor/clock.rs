//! The clocks: whether times of two machines are comparable, and the resolution of this one's.

use super::remedy::{Fix, Remedy};
use super::{Check, State};
use std::time::{Duration, Instant};

/// The facts.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// Whether the kernel reports its clock as synchronised.
    pub(crate) synchronised: Option<bool>,
    /// Smallest step of the monotonic clock.
    pub(crate) step: Option<Duration>,
    /// Timer slack: how late the kernel may wake this program.
    pub(crate) slack: Option<Duration>,
}

impl Facts {
    pub(super) fn gather() -> Self {
        Self { synchronised: synchronised(), step: step(), slack: slack() }
    }
}

pub(super) fn judge(facts: &Facts, remedy: &Remedy) -> Vec<Check> {
    vec![synchrony(facts, remedy), fineness(facts)]
}

fn synchrony(facts: &Facts, remedy: &Remedy) -> Check {
    let check = |state, means| Check::new("clock", state, means);
    match facts.synchronised {
        Some(true) => {
            check(State::Ok, "synchronised: `transit_ms` from other machines means something")
        }
        Some(false) => check(
            State::Limited,
            "not synchronised, as far as the kernel knows: `transit_ms` between two machines may be \
             off; what one machine measures is not",
        )
        .with(if cfg!(target_os = "linux") {
            remedy.as_root("timedatectl set-ntp true")
        } else {
            Fix::Say("let the system set the time by itself".to_owned())
        }),
        None => check(State::Unknown, "cannot tell whether it is synchronised with others"),
    }
}

fn fineness(facts: &Facts) -> Check {
    const COARSE: Duration = Duration::from_millis(1);
    let seen =
        [("the clock moves in steps of", facts.step), ("waits may be longer by", facts.slack)];
    let words: Vec<_> = seen
        .iter()
        .filter_map(|(what, value)| Some(format!("{what} {}", short((*value)?))))
        .collect();
    let (state, end) = match seen.iter().filter_map(|(_, value)| *value).max() {
        None => return Check::new("timers", State::Unknown, "cannot tell how fine the clock is"),
        Some(worst) if worst >= COARSE => (State::Limited, "delays are measured no finer"),
        Some(_) => (State::Ok, "fine enough to measure delays"),
    };
    Check::new("timers", state, format!("{}: {end}", words.join(", ")))
}

fn short(duration: Duration) -> String {
    match duration.as_nanos() {
        nanos if nanos < 1_000 => format!("{nanos} ns"),
        nanos if nanos < 1_000_000 => format!("{} µs", nanos / 1_000),
        nanos => format!("{} ms", nanos / 1_000_000),
    }
}

/// Readings after which a constant clock is given up.
const LOOKS: usize = 200_000;

fn step() -> Option<Duration> {
    let mut smallest = None;
    let (mut last, mut steps) = (Instant::now(), 0);
    for _ in 0..LOOKS {
        let now = Instant::now();
        if now > last {
            let step = now - last;
            smallest = Some(smallest.map_or(step, |old: Duration| old.min(step)));
            (last, steps) = (now, steps + 1);
            if steps == 100 {
                break;
            }
        }
    }
    smallest
}

#[cfg(target_os = "linux")]
fn synchronised() -> Option<bool> {
    // Some containers forbid the call.
    super::sys::synchronised().ok().or_else(|| {
        let args = ["show", "--property", "NTPSynchronized", "--value"];
        match super::ask::run("timedatectl", &args)?.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn synchronised() -> Option<bool> {
    None
}

#[cfg(target_os = "linux")]
fn slack() -> Option<Duration> {
    rustix::thread::current_timer_slack().ok().map(Duration::from_nanos)
}

#[cfg(not(target_os = "linux"))]
fn slack() -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsynchronised_clock_and_a_coarse_one_are_limited() {
        let facts = Facts {
            synchronised: Some(false),
            step: Some(Duration::from_nanos(40)),
            slack: Some(Duration::from_millis(15)),
        };
        let [clock, timers] = judge(&facts, &Remedy::default()).try_into().unwrap();
        assert!(clock.state == State::Limited && clock.fix.is_some());
        assert_eq!(timers.state, State::Limited);
        assert!(timers.means.contains("40 ns") && timers.means.contains("15 ms"), "{timers:?}");
    }

    #[test]
    fn unknown_facts_are_reported_as_unknown() {
        let facts = Facts { synchronised: None, step: None, slack: None };
        for check in judge(&facts, &Remedy::default()) {
            assert!(check.state == State::Unknown && check.means.contains("cannot tell"));
        }
    }

    #[test]
    fn the_clock_of_this_machine_moves() {
        assert!(step().is_some());
    }
}
