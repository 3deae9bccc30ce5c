//! The router thread: it moves packets from one node's device through the impairment to the
//! other's.

use super::Node;
use super::device::Device;
use crate::impair::{Counts, Direction, Impairment, Spec};
use crate::net::Clock;
use crate::time::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, PipeReader, PipeWriter};
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};

/// Packets read from one device before the other device and due packets are served.
const BATCH: usize = 64;
/// Size of the packet buffer, bytes: more than the MTU with an Ethernet header.
const MAX_PACKET: usize = 2048;

/// One direction.
pub(super) struct Lane {
    from: Node,
    to: Node,
    impairment: Mutex<Impairment>,
}

impl Lane {
    fn impairment(&self) -> MutexGuard<'_, Impairment> {
        self.impairment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends its thread when dropped; delayed packets are lost.
pub(super) struct Router {
    lanes: Arc<[Lane; 2]>,
    stop: Option<PipeWriter>,
    failure: Arc<OnceLock<io::Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Router {
    pub(super) fn start(devices: [Arc<Device>; 2], spec: &Spec, seed: u64) -> io::Result<Self> {
        let up = Impairment::new(&spec.up, seed, Direction::Up);
        let down = Impairment::new(&spec.down, seed, Direction::Down);
        let lanes = Arc::new([
            Lane { from: Node::Clients, to: Node::Server, impairment: Mutex::new(up) },
            Lane { from: Node::Server, to: Node::Clients, impairment: Mutex::new(down) },
        ]);
        let (stopped, stop) = io::pipe()?;
        let failure = Arc::new(OnceLock::new());
        let thread = thread::Builder::new().name("router".into()).spawn({
            let (lanes, failure) = (Arc::clone(&lanes), Arc::clone(&failure));
            move || {
                if let Err(error) = run(&devices, &lanes, &stopped) {
                    let _ = failure.set(error);
                }
            }
        })?;
        Ok(Self { lanes, stop: Some(stop), failure, thread: Some(thread) })
    }

    /// The error that ended the thread.
    pub(super) fn failure(&self) -> Option<&io::Error> {
        self.failure.get()
    }

    /// The counters so far, up and down.
    pub(super) fn counts(&self) -> (Counts, Counts) {
        let [up, down] = &*self.lanes;
        (up.impairment().counts(), down.impairment().counts())
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Runs until the other end of `stopped` closes.
fn run(devices: &[Arc<Device>; 2], lanes: &[Lane; 2], stopped: &PipeReader) -> io::Result<()> {
    // The default timer slack would wake the thread up to 50 µs late and lengthen delays.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let clock = Clock::start();
    let mut buffer = vec![0; MAX_PACKET];
    loop {
        for lane in lanes {
            deliver(lane, &devices[lane.to as usize], clock.now().mono)?;
        }
        let due = lanes.iter().filter_map(|lane| lane.impairment().poll_timeout()).min();
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
                receive_batch(lane, &devices[lane.from as usize], &clock, &mut buffer)?;
            }
        }
    }
}

fn receive_batch(lane: &Lane, device: &Device, clock: &Clock, buffer: &mut [u8]) -> io::Result<()> {
    for _ in 0..BATCH {
        let Some(packet) = device.receive(buffer)? else { return Ok(()) };
        lane.impairment().push(packet, clock.now().mono);
    }
    Ok(())
}

fn deliver(lane: &Lane, device: &Device, now: Timestamp) -> io::Result<()> {
    let mut impairment = lane.impairment();
    while let Some(packet) = impairment.pop(now) {
        device.send(&packet)?;
    }
    Ok(())
}

fn timespec(due: Timestamp, now: Timestamp) -> Timespec {
    let wait = due.since(now);
    Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() }
}
