//! Stands in for the page in a build without it.

use super::{Config, Error, Rest};
use crate::hub::{Hub, StreamId};
use crate::net::{Datagrams, Poller};
use crate::time::{Now, Timestamp};
use std::net::SocketAddr;

/// It cannot be constructed.
#[derive(Debug)]
pub(super) enum Web {}

/// What a page would show and change.
pub(super) struct Around<'a> {
    pub(super) hub: &'a mut Hub,
    pub(super) udp: &'a mut Datagrams,
    pub(super) now: Now,
}

pub(super) fn owns(_: u64) -> bool {
    false
}

impl Web {
    pub(super) fn open(_: SocketAddr, _: &Config, _: &Poller) -> Result<Self, Error> {
        Err(Error::NoWeb)
    }

    pub(super) fn address(&self) -> SocketAddr {
        match *self {}
    }

    pub(super) fn token(&self) -> String {
        match *self {}
    }

    pub(super) fn invite(&mut self, _: Vec<String>, _: Option<String>) {
        match *self {}
    }

    pub(super) fn receive(&mut self, _: usize, around: &mut Around<'_>) -> Rest {
        let _ = (&around.hub, &around.udp, around.now);
        match *self {}
    }

    pub(super) fn poll_timeout(&self, _: &Hub) -> Option<Timestamp> {
        match *self {}
    }

    pub(super) fn handle_timeout(&mut self, _: &mut Around<'_>) {
        match *self {}
    }

    pub(super) fn readable(&mut self, _: &Hub) -> Vec<usize> {
        match *self {}
    }

    pub(super) fn send(&mut self, _: StreamId, _: &[u8]) -> bool {
        match *self {}
    }

    pub(super) fn unacknowledged(&self, _: StreamId) -> Option<u64> {
        match *self {}
    }

    pub(super) fn streams_to_ask(&mut self, _: &Hub, _: Timestamp) -> Vec<StreamId> {
        match *self {}
    }

    pub(super) fn close(&mut self, _: StreamId) {
        match *self {}
    }

    pub(super) fn finish(&mut self) {
        match *self {}
    }
}
