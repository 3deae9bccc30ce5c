//! The engine of a room on several servers: whether a server can use it, and what it may lose.

use super::clock::synchronise;
use super::remedy::{Fix, Remedy};
use super::{Check, State};
use chatagram::server::EngineReport;
use std::time::Duration;

/// Clocks that differ by less show people the same times.
const CLOCK_GAP: Duration = Duration::from_secs(1);

/// The findings about an engine, or the reason why a server could not use it.
pub(super) fn judge(
    found: &Result<EngineReport, String>,
    durable: bool,
    remedy: &Remedy,
) -> Vec<Check> {
    match found {
        Err(why) => vec![Check::new("engine", State::Missing, why)],
        Ok(found) => {
            let EngineReport { place, software, round_trip, .. } = found;
            let millis = round_trip.as_secs_f64() * 1e3;
            let means = format!("{software} at {place} answers within {millis:.1} ms");
            let reached = Check::new("engine", State::Ok, means);
            vec![reached, disk(found, durable), memory(found), clock(found, remedy)]
        }
    }
}

/// The lines that a crash of the engine loses.
fn disk(found: &EngineReport, durable: bool) -> Check {
    fn check(state: State, means: impl Into<String>) -> Check {
        Check::new("engine-disk", state, means)
    }
    let wish = |text: &str| Fix::Say(format!("{text} in the engine's configuration"));
    let unsure = if durable { State::Missing } else { State::Limited };
    if !found.appends {
        let means = if durable {
            "it has no append-only file, so a server with --engine-durable does not start"
        } else {
            "it has no append-only file: all lines and names are lost when it restarts"
        };
        return check(unsure, means).with(wish("set `appendonly yes`"));
    }
    let copies = match found.replicas {
        0 => String::new(),
        1 => "; it has one replica".to_owned(),
        more => format!("; it has {more} replicas"),
    };
    match found.fsync.as_deref() {
        Some("always") => {
            check(State::Ok, format!("it writes each line to its disk before it answers{copies}"))
        }
        Some("everysec") if durable && found.waits_for_disk => {
            check(State::Ok, format!("the server waits until a line is on its disk{copies}"))
        }
        Some("everysec") if !durable => {
            let means = format!("a crash loses its last second at most{copies}");
            check(State::Ok, means)
        }
        Some("everysec") => {
            let means = "its version cannot say what is on its disk, so a server with \
                         --engine-durable does not start";
            check(State::Missing, means)
                .with(Fix::Say("set `appendfsync always`, or use Redis 7.2 or later".to_owned()))
        }
        Some(_) => check(unsure, "it leaves to its kernel when lines reach its disk")
            .with(wish("set `appendfsync everysec` or `always`")),
        None => check(State::Unknown, "it does not tell when lines reach its disk"),
    }
}

/// The effect of a full memory.
fn memory(found: &EngineReport) -> Check {
    let check = |state, means| Check::new("engine-full", state, means);
    match &*found.policy {
        _ if !found.is_limited => check(State::Ok, "its memory has no limit of its own".to_owned()),
        "noeviction" => {
            check(State::Ok, "it refuses lines when its memory is full, and drops none".to_owned())
        }
        policy => {
            let what = if policy.starts_with("allkeys") {
                "any key: lines and names may vanish"
            } else {
                "keys that expire: whispers and names held for their owners may vanish"
            };
            let means = format!("when its memory is full, it drops {what} ({policy})");
            let fix = "set `maxmemory-policy noeviction` in the engine's configuration";
            check(State::Limited, means).with(Fix::Say(fix.to_owned()))
        }
    }
}

/// Whether all servers show the same times.
fn clock(found: &EngineReport, remedy: &Remedy) -> Check {
    let check = |state, means| Check::new("engine-time", state, means);
    let gap = found.clock_gap.as_secs_f64();
    if found.clock_gap < CLOCK_GAP {
        let means = format!("its clock and this machine's differ by {:.0} ms", gap * 1e3);
        return check(State::Ok, means);
    }
    let means = format!(
        "its clock and this machine's differ by {gap:.1} s: servers with other clocks show other \
         times for a line"
    );
    check(State::Limited, means).with(synchronise(remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The states of disk, memory and clock.
    fn states(found: EngineReport, durable: bool) -> [State; 3] {
        let checks = judge(&Ok(found), durable, &Remedy::default());
        let good = checks.iter().filter(|check| check.state == State::Ok);
        assert!(good.map(|check| &check.fix).all(Option::is_none), "{checks:?}");
        [1, 2, 3].map(|at: usize| checks[at].state)
    }

    fn engine(appends: bool, fsync: &str, waits_for_disk: bool) -> EngineReport {
        let fsync = Some(fsync.to_owned());
        EngineReport { appends, fsync, waits_for_disk, ..EngineReport::default() }
    }

    #[test]
    fn an_engine_has_to_be_as_durable_as_asked() {
        use State::{Limited, Missing, Ok};
        for (appends, fsync, waits, usual, durable) in [
            (false, "everysec", true, Limited, Missing),
            (true, "everysec", true, Ok, Ok),
            (true, "everysec", false, Ok, Missing),
            (true, "always", false, Ok, Ok),
            (true, "no", true, Limited, Missing),
        ] {
            let found = engine(appends, fsync, waits);
            let [disk, durable_disk] =
                [false, true].map(|durable| states(found.clone(), durable)[0]);
            assert_eq!((disk, durable_disk), (usual, durable), "{found:?}");
        }
        let silent = EngineReport { appends: true, ..EngineReport::default() };
        assert_eq!(states(silent, true)[0], State::Unknown);
    }

    #[test]
    fn a_full_engine_may_refuse_lines_and_must_not_drop_keys() {
        for (is_limited, policy, state) in [
            (false, "allkeys-lru", State::Ok),
            (true, "noeviction", State::Ok),
            (true, "allkeys-lru", State::Limited),
            (true, "volatile-ttl", State::Limited),
        ] {
            let policy = policy.to_owned();
            let found = EngineReport { is_limited, policy, ..engine(true, "always", true) };
            assert_eq!(states(found.clone(), false)[1], state, "{found:?}");
        }
    }

    #[test]
    fn a_clock_that_is_off_is_reported() {
        for (millis, state) in [(900, State::Ok), (1_100, State::Limited)] {
            let clock_gap = Duration::from_millis(millis);
            let found = EngineReport { clock_gap, ..engine(true, "always", true) };
            assert_eq!(states(found, false)[2], state, "{millis} ms");
        }
    }

    #[test]
    fn an_engine_that_cannot_be_used_is_missing_with_the_reason() {
        let checks = judge(&Err("no way".to_owned()), false, &Remedy::default());
        assert_eq!(checks, [Check::new("engine", State::Missing, "no way")]);
    }
}
