//! Discovery of servers: a [`Search`] and its sockets.

use crate::discovery::{Found, MAX_ROUTES, ProbeRoute, Search, probe_routes};
use crate::net::{Clock, Incoming, Poller, Ready, Socket, lan};
use std::io;
use std::time::Duration;

/// Duration of the search of a client without a server name.
pub const WAIT: Duration = Duration::from_secs(1);

/// The result of a search.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Servers that answered.
    pub found: Vec<Found>,
    /// The ways of asking that were tried.
    pub asked: Vec<Asked>,
    /// Interfaces left out, at least in some ways: there are too many.
    pub left_out: Vec<String>,
}

/// A way of asking that was tried.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The way.
    pub way: ProbeRoute,
    /// Why no probe left this way, if none did.
    pub failed: Option<String>,
}

/// Searches nearby servers for `wait`; after the first answer for at most `after_first` longer.
///
/// # Errors
/// The system's error when it cannot list interfaces or wait for them. A way that fails is no
/// error.
pub fn search(wait: Duration, after_first: Option<Duration>) -> io::Result<Outcome> {
    let clock = Clock::start();
    let mut poller = Poller::new()?;
    let mut nonce = [0; 8];
    getrandom::fill(&mut nonce).map_err(io::Error::other)?;
    let mut asked = Vec::new();
    let mut sockets: Vec<Option<Socket>> = Vec::new();
    let mut ways = probe_routes(&lan::interfaces()?);
    let left_out = ways.split_off(ways.len().min(MAX_ROUTES));
    let mut left_out: Vec<_> = left_out.into_iter().map(|way| way.interface).collect();
    left_out.dedup();
    for way in ways {
        let opened = lan::probe_socket(&way).and_then(|mut socket| {
            poller.add(&mut socket, sockets.len())?;
            Ok(socket)
        });
        let failed = opened.as_ref().err().map(ToString::to_string);
        sockets.push(opened.ok());
        asked.push(Asked { way, failed });
    }
    let mut search = Search::new(u64::from_be_bytes(nonce), wait, after_first, clock.now().mono);
    let mut ready = Ready::new();
    let mut incoming = Incoming::default();
    'searching: loop {
        let now = clock.now().mono;
        if search.is_over(now) {
            return Ok(Outcome { found: search.into_found(), asked, left_out });
        }
        if let Some(probe) = search.poll_probe(now) {
            for (asked, socket) in asked.iter_mut().zip(&sockets) {
                if let Some(socket) = socket {
                    asked.failed = ask(socket, &asked.way, &probe);
                }
            }
        }
        poller.wait(Some(clock.until(search.poll_timeout())), &mut ready)?;
        for index in &ready {
            let Some(socket) = sockets.get(*index).and_then(Option::as_ref) else { continue };
            // An interface that disappears has no more answers.
            while let Ok(Some((path, bytes))) = socket.receive(&mut incoming) {
                let now = clock.now().mono;
                search.handle_datagram(path.remote, bytes, now);
                if search.is_over(now) {
                    continue 'searching;
                }
            }
        }
    }
}

/// Sends a probe this way; returns the error if none left.
fn ask(socket: &Socket, way: &ProbeRoute, probe: &[u8]) -> Option<String> {
    let mut errors = Vec::new();
    for to in &way.to {
        errors.extend(socket.try_send(probe, *to).err());
    }
    errors.pop().filter(|_| errors.len() + 1 == way.to.len()).map(|error| error.to_string())
}
