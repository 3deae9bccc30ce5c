//! The configuration of an engine: where its URL comes from.

use super::Error;
use crate::net::{Poller, lan};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
#[cfg(feature = "redis")]
use std::{fs, io};

/// Longest file with a URL, bytes.
#[cfg(feature = "redis")]
const MAX_FILE: u64 = 4_096;
/// Addresses that a server tells the others about itself, at most.
pub(super) const MAX_ADVERTISED: usize = 4;

/// The engine of a room on several servers.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where its URL comes from.
    pub url: UrlSource,
    /// Confirm only lines that are on a disk.
    pub durable: bool,
    /// Addresses of this server for clients, instead of those on which it listens.
    pub advertise: Vec<SocketAddr>,
}

/// Where the URL of an engine comes from.
#[derive(Clone)]
pub enum UrlSource {
    /// The URL.
    Url(String),
    /// The first line of this file.
    File(PathBuf),
}

/// Leaves the URL out: it may hold a password.
impl fmt::Debug for UrlSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => f.write_str("Url(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(feature = "redis")]
impl UrlSource {
    /// The URL.
    ///
    /// # Errors
    /// The file cannot be read, or is too long for a URL.
    pub(super) fn read(&self) -> Result<String, Error> {
        let path = match self {
            Self::Url(url) => return Ok(url.clone()),
            Self::File(path) => path,
        };
        let text = if fs::metadata(path).is_ok_and(|it| it.len() > MAX_FILE) {
            Err(io::Error::other("it is too long for a URL"))
        } else {
            fs::read_to_string(path)
        };
        let text = text.map_err(|error| Error::EngineFile(path.clone(), error))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }
}

impl EngineConfig {
    /// The addresses at which clients reach a server that listens on `bound`.
    pub(super) fn advertised(&self, bound: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
        let mut all = self.advertise.clone();
        if all.is_empty() {
            all.extend(bound.flat_map(reachable));
        }
        all.truncate(MAX_ADVERTISED);
        all
    }
}

/// The addresses of other machines for a socket: those of the interfaces for a wildcard.
fn reachable(bound: SocketAddr) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![bound];
    }
    let interfaces = lan::interfaces().unwrap_or_default();
    let others = interfaces.iter().filter(|it| it.kind.leads_to_others());
    let networks = others.flat_map(|it| it.networks.iter().map(|network| network.ip));
    let usable = networks.filter(|ip| match ip {
        IpAddr::V4(_) => true,
        IpAddr::V6(ip) => bound.is_ipv6() && !ip.is_unicast_link_local(),
    });
    usable.map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

/// The report of an engine about itself. No text contains a control character.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineReport {
    /// Its address.
    pub place: String,
    /// Its name and version.
    pub software: String,
    /// Its version has `WAITAOF`.
    pub waits_for_disk: bool,
    /// It has an append-only file.
    pub appends: bool,
    /// Its `appendfsync`; `None` if it does not tell.
    pub fsync: Option<String>,
    /// Replicas that are connected.
    pub replicas: u64,
    /// Its memory has a limit.
    pub is_limited: bool,
    /// Its rule at that limit: its `maxmemory-policy`.
    pub policy: String,
    /// Difference between its clock and this machine's.
    pub clock_gap: Duration,
    /// Round trip of a command.
    pub round_trip: Duration,
}

/// Asks an engine about itself, as `doctor` does.
///
/// # Errors
/// Why a server could not use it.
pub fn inspect_engine(url: &UrlSource) -> Result<EngineReport, super::Error> {
    #[cfg(feature = "redis")]
    return Ok(super::redis::inspect(&url.read()?)?);
    #[cfg(not(feature = "redis"))]
    {
        let _ = url;
        Err(super::Error::NoEngine)
    }
}

/// Connects to the engine, whose threads wake the poller.
#[cfg(feature = "redis")]
pub(super) fn connect(config: &EngineConfig, poller: &Poller) -> Result<super::Redis, Error> {
    Ok(super::Redis::start(&config.url.read()?, config.durable, poller.waker())?)
}

/// A build without an engine.
#[cfg(not(feature = "redis"))]
pub(super) fn connect(_: &EngineConfig, _: &Poller) -> Result<none::Redis, Error> {
    Err(Error::NoEngine)
}

/// Figures of an engine for the metrics.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct EngineFigures {
    /// 1 while there is a connection, else 0.
    pub(super) up: u64,
    /// Connections after the first one.
    pub(super) reconnects: u64,
    /// The last round trip, microseconds.
    pub(super) round_trip: u64,
    /// Lines that wait for it.
    pub(super) waiting: usize,
}

/// Stands in for an engine in a build without one: it cannot be constructed.
#[cfg(not(feature = "redis"))]
pub(super) mod none {
    use super::EngineFigures;
    use crate::engine::{Answer, Request};

    #[derive(Debug)]
    pub(in crate::server) enum Redis {}

    impl Redis {
        pub(in crate::server) fn send(&mut self, _: impl FnMut() -> Option<Request>) {
            match *self {}
        }

        pub(in crate::server) fn receive(&self) -> Option<Answer> {
            match *self {}
        }

        pub(in crate::server) fn figures(&self) -> EngineFigures {
            match *self {}
        }
    }
}
