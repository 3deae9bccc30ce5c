//! The proof of a private room's secret (`proto.md` §11.4), and how a connection opens. The proofs
//! are the first bytes of the stream: the client's, then the server's.

use super::connection::{Connection, Stage};
use super::tls::{OTHER_KEY, REFUSED, VIOLATION};
use super::{EXPORTER, Event, Failure};
use crate::protocol::limits::PROOF_LEN;
use crate::ticket::Prover;
use quinn_proto::{ConnectionError, TransportErrorCode, VarInt};
use std::collections::VecDeque;
use std::time::Instant;

impl Connection {
    /// The connection is open: the caller may use it.
    pub(super) fn open(&mut self, id: u64, events: &mut VecDeque<Event>) {
        self.stage = Stage::Open;
        if self.inner.side().is_client() {
            events.push_back(Event::Connected(id));
        } else {
            if self.secret.is_some() {
                self.prove(Prover::Server);
            }
            events.push_back(Event::Opened(id, self.path));
        }
        if self.secret.take().is_some() {
            // Bytes behind the proof.
            events.push_back(Event::Readable(id));
        }
    }

    /// Closes a connection that is not open.
    pub(super) fn refuse(
        &mut self,
        id: u64,
        code: VarInt,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) {
        self.inner.close(now, code, Vec::new().into());
        self.stage = Stage::Gone;
        events.push_back(Event::Failed(id, Failure::Refused));
    }

    /// Whether this end is a server that waits for its client's proof. Then the client may send
    /// nothing else: a stranger fills no buffer.
    pub(super) fn is_unproven_client(&self) -> bool {
        self.secret.is_some() && self.inner.side().is_server()
    }

    /// Closes the connection: the other end broke the protocol.
    pub(super) fn violate(&mut self, now: Instant) {
        self.inner.close(now, VIOLATION, Vec::new().into());
        if let Stage::Handshake(_) = self.stage {
            self.stage = Stage::Gone;
        }
    }

    /// Sends the proof of this end.
    pub(super) fn prove(&mut self, prover: Prover) {
        if let (Some(secret), Some(exported)) = (&self.secret, self.exported()) {
            let proof = secret.proof(prover, &exported);
            self.write(&proof);
        }
    }

    /// Whether the other end's proof is right, once that has arrived.
    pub(super) fn take_proof(&mut self) -> Option<bool> {
        let Stage::Handshake(_) = self.stage else { return None };
        let secret = self.secret.clone()?;
        let stream = self.stream?;
        let mut stream = self.inner.recv_stream(stream);
        let mut chunks = stream.read(true).ok()?;
        while self.proof.len() < PROOF_LEN
            && let Ok(Some(chunk)) = chunks.next(PROOF_LEN - self.proof.len())
        {
            self.proof.extend_from_slice(&chunk.bytes);
        }
        drop(chunks);
        if self.proof.len() < PROOF_LEN {
            return None;
        }
        let other = if self.inner.side().is_client() { Prover::Server } else { Prover::Client };
        Some(self.exported().is_some_and(|it| secret.is_proven(other, &it, &self.proof)))
    }

    /// A key that only the two ends of this connection have.
    fn exported(&self) -> Option<[u8; PROOF_LEN]> {
        let mut key = [0; PROOF_LEN];
        let session = self.inner.crypto_session();
        session.export_keying_material(&mut key, EXPORTER, &[]).ok().map(|()| key)
    }
}

/// Why a handshake failed.
pub(super) fn failure(reason: &ConnectionError) -> Failure {
    match reason {
        ConnectionError::TransportError(error)
            if error.code == TransportErrorCode::crypto(OTHER_KEY) =>
        {
            Failure::OtherKey
        }
        ConnectionError::ApplicationClosed(close) if close.error_code == REFUSED => {
            Failure::Refused
        }
        other => Failure::Other(other.to_string()),
    }
}
