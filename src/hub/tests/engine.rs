//! A hub of a room with several servers, and a driver that has no room for its requests.

use super::*;
use crate::engine::{Answer, Ask, Attached, Place, Snapshot};
use crate::hub::Shared;
use crate::protocol::limits::{ENGINE_QUIET, ENGINE_RENEW};

/// A hub that takes part in the room since `now`.
fn attached(now: Now) -> Hub {
    let config = Room::new(8).hub.config.clone();
    let mut hub = Hub::shared(config, Shared { addresses: vec![] }, [1; 32], now);
    hub.handle_engine(Answer::Up, now);
    let request = hub.poll_engine(now).unwrap().number;
    let place = Place { epoch: 1, position: 1, chain: 1 };
    let snapshot = Snapshot { place, seats: vec![], lines: vec![], floor: 1 };
    let (clock, servers, outcome) = (0, vec![], Attached::Fresh(snapshot));
    hub.handle_engine(Answer::Attached { request, clock, servers, outcome }, now);
    assert!(hub.poll_engine(now).is_none());
    hub
}

/// Follows the timeouts of the hub until `end` without a poll for requests. Returns their number.
fn timeouts(hub: &mut Hub, now: &mut Now, end: Timestamp) -> usize {
    let mut calls = 0;
    while let Some(at) = hub.poll_timeout().filter(|at| *at < end) {
        now.mono = now.mono.max(at);
        hub.handle_timeout(*now);
        calls += 1;
        assert!(calls < 100, "the timeout {at:?} comes again at {:?}", now.mono);
    }
    calls
}

#[test]
fn a_request_that_waits_for_the_driver_causes_one_timeout() {
    let start = Now { mono: Timestamp::from_micros(1_000_000), wall: WallTime(1_000_000) };
    let mut now = start;
    let mut hub = attached(now);
    assert_eq!(timeouts(&mut hub, &mut now, start.mono + ENGINE_QUIET), 1);
    assert_eq!(now.mono, start.mono + ENGINE_RENEW);
    let request = hub.poll_engine(now).unwrap();
    assert!(matches!(*request.ask, Ask::Renew { .. }), "{request:?}");
    // The driver has no room for the next `Attach` either.
    hub.handle_engine(Answer::Stale { request: request.number }, now);
    assert!(timeouts(&mut hub, &mut now, start.mono + ENGINE_QUIET) <= 1);
    let request = hub.poll_engine(now).unwrap();
    assert!(matches!(*request.ask, Ask::Attach { .. }), "{request:?}");
}
