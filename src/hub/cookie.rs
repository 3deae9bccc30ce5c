//! Cookies: proof that a client answers at an address, while the server remembers nothing (RFC 4987
//! §3.6, RFC 9000 §8.1). A cookie is an HMAC-SHA-256 of the path, the nonce or session and the
//! time, under a secret that is replaced every two minutes.

use crate::path::{Local, Path};
use crate::protocol::limits::{COOKIE_LIFE, SECRET_LIFE};
use crate::protocol::{Cookie, PathCookie};
use crate::registry::same;
use crate::time::{Timestamp, micros};
use hmac::{Hmac, KeyInit, Mac};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::Rng;
use sha2::Sha256;
use std::net::IpAddr;
use std::time::Duration;

type Secret = [u8; 32];

/// The server's secrets.
#[derive(Debug)]
pub(super) struct Cookies {
    current: Secret,
    previous: Secret,
    renew_at: Timestamp,
    /// How long a join cookie is valid.
    life: Duration,
}

impl Cookies {
    pub(super) fn new(rng: &mut ChaCha20Rng, life: Duration, now: Timestamp) -> Self {
        let renew_at = now + SECRET_LIFE.max(life);
        Self { current: secret(rng), previous: secret(rng), renew_at, life }
    }

    /// Replaces the secret when it has served its time.
    pub(super) fn renew(&mut self, rng: &mut ChaCha20Rng, now: Timestamp) {
        if now < self.renew_at {
            return;
        }
        self.previous = std::mem::replace(&mut self.current, secret(rng));
        self.renew_at = now + SECRET_LIFE.max(self.life);
    }

    /// A cookie for a join from `path` with this nonce.
    pub(super) fn issue(&self, path: &Path, nonce: u64, now: Timestamp) -> Cookie {
        join_cookie(&self.current, path, nonce, ticks(now))
    }

    /// Whether `cookie` was issued to `path` for this nonce, within its life and after `floor`.
    pub(super) fn accepts(
        &self,
        cookie: &[u8],
        path: &Path,
        nonce: u64,
        floor: Option<Timestamp>,
        now: Timestamp,
    ) -> bool {
        let Some(issued) = cookie.first_chunk().copied().map(u32::from_be_bytes) else {
            return false;
        };
        let age = ticks(now).wrapping_sub(issued);
        let old = floor.is_some_and(|floor| age >= ticks(now).wrapping_sub(ticks(floor)));
        u64::from(age) * TICK <= micros(self.life)
            && !old
            && [&self.current, &self.previous]
                .iter()
                .any(|secret| same(&join_cookie(secret, path, nonce, issued), cookie))
    }

    /// A cookie for a session that appeared at `path`.
    pub(super) fn issue_path(&self, path: &Path, session: u64, now: Timestamp) -> PathCookie {
        path_cookie(&self.current, path, session, period(now))
    }

    /// Whether `cookie` was issued to `path` for this session in this period or the one before.
    pub(super) fn accepts_path(
        &self,
        cookie: &PathCookie,
        path: &Path,
        session: u64,
        now: Timestamp,
    ) -> bool {
        [&self.current, &self.previous].iter().any(|secret| {
            [period(now), period(now).wrapping_sub(1)]
                .iter()
                .any(|period| same(&path_cookie(secret, path, session, *period), cookie))
        })
    }
}

/// A join cookie's clock ticks every 100 ms.
const TICK: u64 = 100_000;

fn ticks(now: Timestamp) -> u32 {
    (now.as_micros() / TICK) as u32
}

fn period(now: Timestamp) -> u64 {
    now.as_micros() / micros(COOKIE_LIFE)
}

fn secret(rng: &mut ChaCha20Rng) -> Secret {
    let mut secret = [0; 32];
    rng.fill_bytes(&mut secret);
    secret
}

fn join_cookie(secret: &Secret, path: &Path, nonce: u64, issued: u32) -> Cookie {
    let mac = mac(secret, b"join", path, nonce, u64::from(issued));
    let issued = issued.to_be_bytes();
    std::array::from_fn(|i| if i < 4 { issued[i] } else { mac[i - 4] })
}

fn path_cookie(secret: &Secret, path: &Path, session: u64, period: u64) -> PathCookie {
    let mac = mac(secret, b"path", path, session, period);
    std::array::from_fn(|i| mac[i])
}

fn mac(secret: &Secret, purpose: &[u8; 4], path: &Path, id: u64, time: u64) -> [u8; 32] {
    let ip = match path.remote.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    let Local { socket, interface, .. } = path.local;
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        unreachable!("HMAC takes a key of any length (RFC 2104 §2)")
    };
    mac.update(purpose);
    mac.update(&ip.octets());
    mac.update(&path.remote.port().to_be_bytes());
    mac.update(&path.local.ip_v6().octets());
    mac.update(&interface.to_be_bytes());
    mac.update(&(socket as u64).to_be_bytes());
    mac.update(&id.to_be_bytes());
    mac.update(&time.to_be_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;
    use std::time::Duration;

    fn path(port: u16) -> Path {
        Path::routed(0, ([10, 0, 0, 1], port).into())
    }

    #[test]
    fn a_cookie_is_valid_for_one_address_one_join_and_ten_seconds() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let now = Timestamp::from_micros(5_000_000);
        let cookies = Cookies::new(&mut rng, COOKIE_LIFE, now);
        let cookie = cookies.issue(&path(1), 7, now);
        assert!(cookies.accepts(&cookie, &path(1), 7, None, now + Duration::from_secs(10)));
        assert!(!cookies.accepts(&cookie, &path(1), 7, None, now + Duration::from_millis(10_100)));
        assert!(!cookies.accepts(&cookie, &path(2), 7, None, now));
        assert!(!cookies.accepts(&cookie, &path(1), 8, None, now));
        assert!(!cookies.accepts(&cookie[..19], &path(1), 7, None, now));
        assert!(!cookies.accepts(&[], &path(1), 7, None, now));
        assert!(!cookies.accepts(&cookie, &path(1), 7, Some(now), now + Duration::from_secs(1)));
        let older = Timestamp::from_micros(now.as_micros() - 100_000);
        assert!(cookies.accepts(&cookie, &path(1), 7, Some(older), now + Duration::from_secs(1)));
        for bit in 0..cookie.len() * 8 {
            let mut forged = cookie;
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!cookies.accepts(&forged, &path(1), 7, None, now), "bit {bit}");
        }
    }

    #[test]
    fn a_new_secret_keeps_recent_cookies_valid() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut cookies = Cookies::new(&mut rng, COOKIE_LIFE, Timestamp::ZERO);
        let before = Timestamp::ZERO + SECRET_LIFE - Duration::from_secs(1);
        let join = cookies.issue(&path(1), 7, before);
        let roam = cookies.issue_path(&path(1), 9, before);
        let after = Timestamp::ZERO + SECRET_LIFE + Duration::from_secs(1);
        cookies.renew(&mut rng, after);
        assert!(cookies.accepts(&join, &path(1), 7, None, after));
        assert!(cookies.accepts_path(&roam, &path(1), 9, after));
        assert!(!cookies.accepts_path(&roam, &path(2), 9, after));
        assert!(!cookies.accepts_path(&roam, &path(1), 9, after + 3 * COOKIE_LIFE));
    }
}
