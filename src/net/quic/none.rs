//! Stands in for QUIC in a build without it: it cannot be constructed.

use super::{Event, Input, QuicError, Settings};
use crate::link::QuicInfo;
use crate::path::Path;
use crate::protocol::Delivery;
use crate::ticket::{KeyHash, Secret, Ticket};
use crate::time::Timestamp;
use std::net::SocketAddr;

/// QUIC of a build that has none.
#[derive(Debug)]
pub struct Quic {
    never: Never,
}

#[derive(Debug)]
enum Never {}

#[allow(missing_docs, clippy::missing_errors_doc, clippy::must_use_candidate)]
impl Quic {
    pub fn server(_: Settings, _: Timestamp) -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn client(_: Settings, _: Timestamp) -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn private_server(
        _: Settings,
        _: &ServerKey,
        _: Secret,
        _: Timestamp,
    ) -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn private_client(_: Settings, _: &Ticket, _: Timestamp) -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn connect(&mut self, _: SocketAddr, _: Timestamp) -> Result<u64, QuicError> {
        match self.never {}
    }

    pub fn handle_datagram(&mut self, _: Path, _: &[u8], _: Timestamp) -> bool {
        match self.never {}
    }

    pub fn handle_timeout(&mut self, _: Timestamp) {
        match self.never {}
    }

    pub fn poll_timeout(&self) -> Option<Timestamp> {
        match self.never {}
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        match self.never {}
    }

    pub fn poll_transmit(&mut self, _: &mut Vec<u8>, _: Timestamp) -> Option<Path> {
        match self.never {}
    }

    pub fn read(&mut self, _: u64, _: &mut Vec<u8>, _: Timestamp) -> Input {
        match self.never {}
    }

    pub fn write(&mut self, _: u64, _: &[u8]) -> bool {
        match self.never {}
    }

    pub fn send_message(&mut self, _: u64, _: Delivery, _: &[u8]) -> bool {
        match self.never {}
    }

    pub fn info(&self, _: u64) -> Option<QuicInfo> {
        match self.never {}
    }

    pub fn close(&mut self, _: u64, _: Timestamp) {
        match self.never {}
    }

    pub fn is_finished(&self) -> bool {
        match self.never {}
    }

    pub fn abort_all(&mut self, _: Timestamp) {
        match self.never {}
    }
}

/// The key of a server that has none.
#[derive(Debug)]
pub struct ServerKey(Never);

#[allow(missing_docs, clippy::missing_errors_doc, clippy::must_use_candidate)]
impl ServerKey {
    pub fn generate() -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn from_bytes(_: &[u8]) -> Result<Self, QuicError> {
        Err(QuicError::NotBuilt)
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        match self.0 {}
    }

    pub fn hash(&self) -> KeyHash {
        match self.0 {}
    }
}
