//! Engines of other kinds: a socket of this machine, and a Redis that knows what is on its disk.

use super::crowd::Crowd;
use super::redis::Redis;
use super::servers::{addresses, servers};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(20);
/// The text before the version in the reply to `INFO`.
const VERSION: &[u8] = b"redis_version:";

pub(crate) fn a_unix_socket_leads_to_the_engine() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("redis.sock");
    let socket = socket.to_str().unwrap();
    let redis = Redis::start(&["--unixsocket", socket, "--unixsocketperm", "700"]);
    let servers = servers::<2>(&format!("redis+unix://{socket}/r"), &[]);
    let mut crowd = Crowd::new(&addresses(&servers), [2, 2], PACE, None);
    crowd.until("the first join", LIMIT, false, Crowd::all_here);
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.until("all lines everywhere", LIMIT, false, Crowd::all_shown);
    crowd.check(&redis.lines("r"));
}

/// From Redis 7.2 on a server asks what is on the disk, and confirms nothing else.
pub(crate) fn a_durable_line_is_confirmed_when_the_disk_has_it() {
    let redis = Redis::start(&[]);
    let newer = Newer::start(redis.port);
    let url = format!("redis://127.0.0.1:{}/r", newer.port);
    let servers = servers::<2>(&url, &["--engine-durable"]);
    let mut crowd = Crowd::new(&addresses(&servers), [2, 2], PACE, None);
    crowd.until("the first join", LIMIT, false, Crowd::all_here);
    crowd.expect_answers();
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    let (confirmed, asked) = (crowd.confirmed.len(), newer.asked.load(Ordering::SeqCst));
    assert!(asked > 0, "WAITAOF was never sent");

    newer.on_disk.store(false, Ordering::SeqCst);
    crowd.expect_answers();
    let busy = |_: &Crowd| newer.asked.load(Ordering::SeqCst) >= asked + 20;
    crowd.until("questions about the disk", LIMIT, true, busy);
    assert_eq!(crowd.confirmed.len(), confirmed, "confirmed before the disk had it");

    newer.on_disk.store(true, Ordering::SeqCst);
    crowd.until("answers", LIMIT, true, Crowd::all_answered);
    crowd.until("outcomes", LIMIT, false, Crowd::is_settled);
    crowd.check(&redis.lines("r"));
    assert_eq!(crowd.confirmed.len(), crowd.said());
}

/// A connection to a Redis, which then says it is Redis 7.2. The test decides what `WAITAOF` says.
struct Newer {
    port: u16,
    on_disk: Arc<AtomicBool>,
    /// How often a server asked.
    asked: Arc<AtomicUsize>,
}

impl Newer {
    fn start(redis: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (on_disk, asked) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
        let all = (on_disk.clone(), asked.clone());
        thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, redis)) else { return };
                let [near2, far2] = [&near, &far].map(|it| it.try_clone().unwrap());
                let (on_disk, asked) = all.clone();
                thread::spawn(move || ask(near, far, &on_disk, &asked));
                thread::spawn(move || answer(far2, near2));
            }
        });
        Self { port, on_disk, asked }
    }
}

/// Carries commands. A server sends `WAITAOF` alone, when it has all earlier replies.
fn ask(mut near: TcpStream, mut far: TcpStream, on_disk: &AtomicBool, asked: &AtomicUsize) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = near.read(&mut buffer) {
        let bytes = &buffer[..count];
        let sent = if bytes.windows(7).any(|it| it == b"WAITAOF") {
            asked.fetch_add(1, Ordering::SeqCst);
            let masters = u8::from(on_disk.load(Ordering::SeqCst));
            near.write_all(format!("*2\r\n:{masters}\r\n:0\r\n").as_bytes())
        } else {
            far.write_all(bytes)
        };
        if sent.is_err() {
            break;
        }
    }
    let _ = far.shutdown(std::net::Shutdown::Both);
}

/// Carries replies. The version is at the beginning of the reply to `INFO`.
fn answer(mut far: TcpStream, mut near: TcpStream) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = far.read(&mut buffer) {
        let bytes = &mut buffer[..count];
        if let Some(at) = bytes.windows(VERSION.len()).position(|it| it == VERSION)
            && let Some(version) = bytes[at + VERSION.len()..].first_chunk_mut()
        {
            *version = *b"7.2";
        }
        if near.write_all(bytes).is_err() {
            break;
        }
    }
    let _ = near.shutdown(std::net::Shutdown::Both);
}
