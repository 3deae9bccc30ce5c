//! The report of an engine about itself, for `doctor`. It changes nothing there but the scripts
//! that Redis caches.

use super::connection::{Link, fact};
use super::error::{EngineError, Version, WAITAOF};
use super::url::Target;
use crate::protocol::clean;
use crate::server::engine::EngineReport;
use redis::cmd;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Asks the engine at this URL.
pub(in crate::server) fn inspect(url: &str) -> Result<EngineReport, EngineError> {
    let mut link = Link::open(&Target::parse(url)?, false)?;
    let info: String = link.ask(&cmd("INFO"))?;
    let fact = |name| clean(fact(&info, name)).into_owned();
    // An engine of a provider may forbid the question.
    let fsync = link.ask(cmd("CONFIG").arg("GET").arg("appendfsync"));
    let fsync = fsync.ok().map(|(_, fsync): (String, String)| clean(&fsync).into_owned());
    let (asked, since) = (unix_time(SystemTime::now()), Instant::now());
    let (seconds, micros): (u64, u64) = link.ask(&cmd("TIME"))?;
    let round_trip = since.elapsed();
    let its = Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros));
    let software = match &*fact("valkey_version") {
        "" => format!("Redis {}", fact("redis_version")),
        version => format!("Valkey {version}"),
    };
    Ok(EngineReport {
        software,
        waits_for_disk: Version::parse(&fact("redis_version")).is_some_and(|it| it >= WAITAOF),
        appends: fact("aof_enabled") == "1",
        fsync,
        replicas: fact("connected_slaves").parse().unwrap_or(0),
        is_limited: fact("maxmemory") != "0",
        policy: fact("maxmemory_policy"),
        clock_gap: its.abs_diff(asked + round_trip / 2),
        round_trip,
        place: link.place,
    })
}

fn unix_time(moment: SystemTime) -> Duration {
    moment.duration_since(UNIX_EPOCH).unwrap_or_default()
}
