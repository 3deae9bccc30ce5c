//! The description and the summary of a run that has ended.

use super::ledger::Ledger;
use super::{Config, Error};
use crate::client::session::Session;
use crate::lab::record::{Emulation, Links, Machine, RunInfo};
use crate::percentile::nearest_rank;
use crate::time::WallTime;
use std::fs;
use std::time::Duration;

/// The summary of a finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The contents of `run.json`.
    pub info: RunInfo,
    /// Messages × receivers.
    pub expected: u64,
    /// Messages delivered, without duplicates.
    pub delivered: u64,
    /// The median latency from the intended time (nearest rank); `None` without a delivery.
    pub p50: Option<Duration>,
    /// The 99th percentile of latency from the intended time; `None` without a delivery.
    pub p99: Option<Duration>,
}

/// The description of a run that has ended, without what only its clients know.
pub(super) fn info(config: &Config, ledger: &Ledger, started: WallTime) -> RunInfo {
    let proc = |path| fs::read_to_string(path).map(|text: String| text.trim().to_owned()).ok();
    let release = proc("/proc/sys/kernel/osrelease");
    RunInfo {
        run: config.name.clone(),
        condition: config.condition,
        emulation: config.impair.as_ref().map(|_| Emulation::InProcess),
        replayed: None,
        impair: config.impair.as_ref().map(|it| it.spec.to_string()),
        mode: config.mode,
        redundancy: config.copies,
        repetition: config.repetition,
        seed: config.seed,
        senders: config.senders,
        receivers: config.receivers,
        rate: config.rate,
        size: config.size,
        no_delay: Some(config.no_delay),
        duration_s: config.duration.as_secs_f64(),
        sent: ledger.scheduled(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: release.map_or_else(|| std::env::consts::OS.to_owned(), |it| format!("Linux {it}")),
        congestion_control: None,
        server_congestion_control: None,
        started: started.to_string(),
        links: Links::default(),
        machine: Machine {
            send_late_p99_us: ledger.lateness().0,
            send_late_max_us: ledger.lateness().1,
            ..Machine::default()
        },
        attempts: 1,
        files: Vec::new(),
        text_bytes: ledger.sent() * u64::from(config.size),
        network: None,
        trace: None,
        program: None,
    }
}

/// Completes the rows of a run, and sums it up.
pub(super) fn finish(mut info: RunInfo, ledger: Ledger) -> Result<Outcome, Error> {
    let expected = ledger.expected();
    let (latencies, files) = ledger.finish()?;
    info.files = files;
    let percentile = |percent| {
        nearest_rank(&latencies, percent).map(|micros| Duration::from_micros(micros.into()))
    };
    let (p50, p99) = (percentile(50), percentile(99));
    Ok(Outcome { info, expected, delivered: latencies.len() as u64, p50, p99 })
}

/// The counters of all links, both directions.
pub(super) fn links<'a>(sessions: impl Iterator<Item = &'a Session>) -> Links {
    let mut links = Links::default();
    for report in sessions.filter_map(Session::report) {
        links.totals += &report.link;
        links.totals.lost += report.link.received_missing;
        links.corrupt += report.corrupt;
    }
    links
}
