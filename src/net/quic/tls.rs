//! Keys, certificates and the parameters of all connections.

use super::{ALPN, QuicError, ServerKey, Settings};
use crate::link::Congestion;
use crate::protocol::limits::{MAX_DATAGRAM, MAX_QUEUE_BYTES, MESSAGE_WINDOW, STREAM_TURN_BYTES};
use crate::ticket::KeyHash;
use quinn_proto::congestion::{BbrConfig, CubicConfig, NewRenoConfig};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, RandomConnectionIdGenerator,
    ServerConfig, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, KeyLogFile, SignatureScheme};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// The name in certificates and for them. No end checks it.
pub(super) const NAME: &str = "chatagram";
/// The second byte of the magic: no connection id begins with it.
const RESERVED: u8 = crate::protocol::MAGIC as u8;
/// Bytes of a connection id.
const ID_LEN: usize = 8;
/// Bytes of QUIC datagrams that wait to be read, and to be sent. Above this the oldest is dropped.
const DATAGRAMS: usize = 64 * 1024;

/// Random connection ids that do not begin with [`RESERVED`].
#[derive(Debug)]
struct Ids(RandomConnectionIdGenerator);

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        loop {
            let id = self.0.generate_cid();
            if id.first() != Some(&RESERVED) {
                return id;
            }
        }
    }

    fn cid_len(&self) -> usize {
        ID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The settings of an endpoint. Datagrams have the size that every path for QUIC carries
/// (RFC 9000 §14), which is also this protocol's: no search for a larger one.
pub(super) fn endpoint() -> Result<EndpointConfig, QuicError> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(MAX_DATAGRAM as u16).map_err(keys)?;
    config.cid_generator(|| Box::new(Ids(RandomConnectionIdGenerator::new(ID_LEN))));
    // A peer may send the bit as 0 where it is greased (RFC 9287): then `is_quic` would miss it.
    config.grease_quic_bit(false);
    Ok(config)
}

/// A server with this key.
pub(super) fn server(settings: Settings, key: &ServerKey) -> Result<ServerConfig, QuicError> {
    let (certificate, key) = key.certified()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
        .map_err(keys)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.key_log = Arc::new(KeyLogFile::new());
    config.send_tls13_tickets = 0;
    let crypto = QuicServerConfig::try_from(config).map_err(keys)?;
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    server.validation_token_config(tokens);
    server.migration(true);
    // A client opens one stream for everything ordered.
    server.transport_config(Arc::new(transport(settings, 1)?));
    Ok(server)
}

/// A client that takes any certificate, or those with the `pinned` key.
pub(super) fn client(
    settings: Settings,
    pinned: Option<KeyHash>,
) -> Result<ClientConfig, QuicError> {
    let provider = provider();
    let verifier = KeyVerifier { provider: provider.clone(), pinned };
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(keys)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.key_log = Arc::new(KeyLogFile::new());
    config.resumption = rustls::client::Resumption::disabled();
    let crypto = QuicClientConfig::try_from(config).map_err(keys)?;
    let mut client = ClientConfig::new(Arc::new(crypto));
    client.transport_config(Arc::new(transport(settings, 0)?));
    Ok(client)
}

/// The parameters of a connection. Heartbeats keep it alive, so QUIC needs no PINGs of its own.
fn transport(settings: Settings, streams: u32) -> Result<TransportConfig, QuicError> {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(settings.idle.try_into().map_err(keys)?))
        .max_concurrent_bidi_streams(streams.into())
        .max_concurrent_uni_streams((MESSAGE_WINDOW as u32).into())
        .stream_receive_window((STREAM_TURN_BYTES as u32).into())
        .receive_window((MAX_QUEUE_BYTES as u32).into())
        .send_window(MAX_QUEUE_BYTES as u64 / 2)
        .datagram_receive_buffer_size(Some(DATAGRAMS))
        .datagram_send_buffer_size(DATAGRAMS)
        .initial_mtu(MAX_DATAGRAM as u16)
        .mtu_discovery_config(None)
        .enable_segmentation_offload(false)
        .congestion_controller_factory(match settings.congestion {
            Congestion::NewReno => Arc::new(NewRenoConfig::default()),
            Congestion::Cubic => Arc::new(CubicConfig::default()),
            Congestion::Bbr => Arc::new(BbrConfig::default()),
        });
    Ok(config)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn keys(error: impl Display) -> QuicError {
    QuicError::Keys(error.to_string())
}

/// The code of a close without a fault.
pub(super) const NO_ERROR: VarInt = VarInt::from_u32(0);
/// The code of a close because the other end broke the protocol.
pub(super) const VIOLATION: VarInt = VarInt::from_u32(1);
/// The code of a close because the proof of the secret is wrong.
pub(super) const REFUSED: VarInt = VarInt::from_u32(2);
/// The code of a close because the address has sent too many wrong proofs.
pub(super) const TOO_MANY: VarInt = VarInt::from_u32(3);
/// The code of a close by a client whose server has another key (RFC 9001 §4.8): the alert
/// `access_denied`, which no other check of this client raises.
pub(super) const OTHER_KEY: u8 = 49;

/// Takes any certificate whose key signed the handshake, if that is the pinned one or none is.
#[derive(Debug)]
struct KeyVerifier {
    provider: Arc<CryptoProvider>,
    pinned: Option<KeyHash>,
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let key = || {
            let certificate = ParsedCertificate::try_from(certificate).ok()?;
            Some(KeyHash::of(&certificate.subject_public_key_info()))
        };
        match self.pinned {
            Some(pinned) if key() != Some(pinned) => {
                Err(CertificateError::ApplicationVerificationFailure.into())
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("QUIC has TLS 1.3 only (RFC 9001 §4.2)".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_connection_id_begins_with_the_second_byte_of_the_magic() {
        let mut ids = Ids(RandomConnectionIdGenerator::new(ID_LEN));
        assert!((0..10_000).all(|_| ids.generate_cid().first() != Some(&RESERVED)));
        assert_eq!(RESERVED, 0x47);
    }
}
