//! The key of a server, and the certificate that shows it. The certificate vouches for nothing: a
//! client takes any, or that with the key of its ticket.

use super::QuicError;
use super::tls::{NAME, keys};
use crate::ticket::KeyHash;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;

/// A server's key pair, Ed25519 (RFC 8410).
pub struct ServerKey(KeyPair);

impl ServerKey {
    /// A new key.
    ///
    /// # Errors
    /// [`QuicError::Keys`]: the system has no random numbers.
    pub fn generate() -> Result<Self, QuicError> {
        KeyPair::generate_for(&rcgen::PKCS_ED25519).map(Self).map_err(keys)
    }

    /// The key in these bytes of [`Self::to_bytes`].
    ///
    /// # Errors
    /// [`QuicError::Keys`]: they are no key.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, QuicError> {
        let bytes = PrivatePkcs8KeyDer::from(bytes);
        KeyPair::from_pkcs8_der_and_sign_algo(&bytes, &rcgen::PKCS_ED25519).map(Self).map_err(keys)
    }

    /// The key as PKCS #8 (RFC 5958).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.serialize_der()
    }

    /// The hash by which a client recognises the key.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0.subject_public_key_info())
    }

    /// A certificate, and the key in the form of rustls.
    pub(super) fn certified(
        &self,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), QuicError> {
        let params = rcgen::CertificateParams::new([NAME.to_owned()]).map_err(keys)?;
        let certificate = params.self_signed(&self.0).map_err(keys)?.der().clone();
        Ok((certificate, PrivatePkcs8KeyDer::from(self.to_bytes()).into()))
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerKey")
    }
}
