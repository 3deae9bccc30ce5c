//! The router thread: it moves packets from one node's device through the impairment to the
//! other's.

use super::Node;
use super::device::Device;
use super::lateness::Lateness;
use super::trace::{Delivery, Recorder, Traced};
use crate::impair::{Counts, Direction, Impairment, Spec};
use crate::net::Clock;
use crate::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, PipeReader, PipeWriter};
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

/// Packets read from one device before the other device and due packets are served.
const BATCH: usize = 64;
/// Size of the packet buffer, bytes: more than the MTU with an Ethernet header.
const MAX_PACKET: usize = 2048;

/// One direction.
struct Lane {
    direction: Direction,
    from: Node,
    to: Node,
    impairment: Mutex<Impairment>,
    /// Packets that left and that the kernel of the node refused.
    refused: AtomicU64,
    late: Mutex<Lateness>,
}

/// The state that the router's thread shares.
struct Shared {
    devices: [Arc<Device>; 2],
    lanes: [Lane; 2],
    recorder: Mutex<Option<Recorder>>,
    clock: Clock,
}

/// Ends its thread when dropped; delayed packets are lost.
pub(super) struct Router {
    spec: Spec,
    shared: Arc<Shared>,
    stop: Option<PipeWriter>,
    failure: Arc<OnceLock<io::Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    pub(super) fn start(devices: [Arc<Device>; 2], spec: &Spec, seed: u64) -> io::Result<Self> {
        let lane = |direction, profile, from: Node| Lane {
            direction,
            from,
            to: from.other(),
            impairment: Mutex::new(Impairment::new(profile, seed, direction)),
            refused: AtomicU64::new(0),
            late: Mutex::default(),
        };
        let lanes = [
            lane(Direction::Up, &spec.up, Node::Clients),
            lane(Direction::Down, &spec.down, Node::Server),
        ];
        let recorder = Mutex::new(None);
        let shared = Arc::new(Shared { devices, lanes, recorder, clock: Clock::start() });
        let (stopped, stop) = io::pipe()?;
        let failure = Arc::new(OnceLock::new());
        let thread = thread::Builder::new().name("router".into()).spawn({
            let (shared, failure) = (Arc::clone(&shared), Arc::clone(&failure));
            move || {
                if let Err(error) = run(&shared, &stopped) {
                    let _ = failure.set(error);
                }
            }
        })?;
        Ok(Self { spec: spec.clone(), shared, stop: Some(stop), failure, thread: Some(thread) })
    }

    /// The error that ended the thread.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }

    /// The counters so far, up and down.
    pub(super) fn counts(&self) -> (Counts, Counts) {
        let [up, down] = &self.shared.lanes;
        (lock(&up.impairment).counts(), lock(&down.impairment).counts())
    }

    /// Packets, of those that left, that the kernel of the node refused: up and down.
    pub(super) fn refused(&self) -> [u64; 2] {
        self.shared.lanes.each_ref().map(|lane| lane.refused.load(Ordering::Relaxed))
    }

    /// How late packets left, both ways.
    pub(super) fn lateness(&self) -> Lateness {
        let [up, down] = &self.shared.lanes;
        let mut late = lock(&up.late).clone();
        late.merge(&lock(&down.late));
        late
    }

    /// Captures the packets from now on in a new file.
    pub(super) fn capture(&self, path: &Path, note: &str, limit: u64) -> io::Result<()> {
        let recorder = Recorder::start(path, self.spec.clone(), note, limit)?;
        *lock(&self.shared.recorder) = Some(recorder);
        Ok(())
    }

    /// Ends the thread. No packet enters or leaves any more.
    pub(super) fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// After [`Self::stop`]: counts the packets that the nodes have sent since.
    pub(super) fn take_rest(&self) -> io::Result<()> {
        let mut buffer = vec![0; MAX_PACKET];
        for lane in &self.shared.lanes {
            while receive_batch(&self.shared, lane, &mut buffer)? == BATCH {}
        }
        Ok(())
    }

    /// Ends the capture, if there is one.
    pub(super) fn end_capture(&self) -> io::Result<Option<Traced>> {
        lock(&self.shared.recorder).take().map(Recorder::finish).transpose()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop();
        let _ = self.end_capture(); // what a failed run has captured
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs until the other end of `stopped` closes.
fn run(shared: &Shared, stopped: &PipeReader) -> io::Result<()> {
    // The default timer slack would wake the thread up to 50 µs late and lengthen delays.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let Shared { devices, lanes, clock, .. } = shared;
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        for lane in lanes {
            deliver(shared, lane, clock.now().mono)?;
        }
        let due = lanes.iter().filter_map(|lane| lock(&lane.impairment).poll_timeout()).min();
        let wait = due.map(|due| timespec(due, clock.now().mono));
        let mut ready = [
            PollFd::new(&devices[0], PollFlags::IN),
            PollFd::new(&devices[1], PollFlags::IN),
            PollFd::new(stopped, PollFlags::IN),
        ];
        match rustix::event::poll(&mut ready, wait.as_ref()) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let [clients, server, stop] = ready.map(|fd| !fd.revents().is_empty());
        if stop {
            return Ok(());
        }
        for lane in lanes {
            if [clients, server][lane.from as usize] {
                receive_batch(shared, lane, &mut buffer)?;
            }
        }
    }
}

/// Lets packets enter, at most [`BATCH`], and returns their number.
fn receive_batch(shared: &Shared, lane: &Lane, buffer: &mut [u8]) -> io::Result<usize> {
    let recorder = lock(&shared.recorder);
    for count in 0..BATCH {
        let Some(packet) = shared.devices[lane.from as usize].receive(buffer)? else {
            return Ok(count);
        };
        let bytes = if recorder.is_some() { packet.clone() } else { Vec::new() };
        let mut impairment = lock(&lane.impairment);
        let index = impairment.entered();
        let fate = impairment.push(packet, shared.clock.now().mono);
        if let Some(recorder) = &*recorder {
            recorder.entered(lane.direction, index, fate, bytes);
        }
    }
    Ok(BATCH)
}

fn deliver(shared: &Shared, lane: &Lane, now: Timestamp) -> io::Result<()> {
    let recorder = lock(&shared.recorder);
    let mut impairment = lock(&lane.impairment);
    while let Some(due) = impairment.poll_timeout()
        && let Some((packet, departure)) = impairment.depart(now)
    {
        lock(&lane.late).note(now.since(due));
        let delivery = shared.devices[lane.to as usize].send(&packet)?;
        lane.refused.fetch_add((delivery == Delivery::Refused).into(), Ordering::Relaxed);
        if let Some(recorder) = &*recorder {
            recorder.left(lane.direction, departure, delivery, packet);
        }
    }
    Ok(())
}

fn timespec(due: Timestamp, now: Timestamp) -> Timespec {
    let wait = due.since(now);
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
}
