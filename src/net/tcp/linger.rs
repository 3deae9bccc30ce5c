//! Keeps ended connections open while their last bytes are under way. The kernel resets a closed
//! connection if the other end sends more, and forgets those bytes (RFC 1122 §4.2.2.13).

use mio::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// How long a connection is kept.
const LINGER: Duration = Duration::from_secs(2);
/// Connections that are kept at once. Any other is closed at once.
const MAX_LINGERING: usize = 64;

static LINGERING: AtomicUsize = AtomicUsize::new(0);

/// One of the connections that are kept.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let place = Self;
        (LINGERING.fetch_add(1, Ordering::Relaxed) < MAX_LINGERING).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        LINGERING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Closes this connection after [`LINGER`], in a thread of its own; at once if there is no place.
pub(super) fn close_later(stream: TcpStream) {
    let Some(place) = Place::take() else { return };
    let keep = move || {
        thread::sleep(LINGER);
        drop((stream, place));
    };
    let _ = thread::Builder::new().name("linger".to_owned()).stack_size(64 * 1024).spawn(keep);
}
