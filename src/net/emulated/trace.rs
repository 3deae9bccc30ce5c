//! Captures what the router receives and sends, as pcapng: each packet where it enters and, unless
//! it is lost, where it leaves, with a comment that says what happened and by which rule.
//!
//! The router hands packets to a thread that writes them and never waits for it: a packet for which
//! the queue has no room is counted and left out.

use super::Node;
use crate::impair::{Departure, Direction, Fate, Profile, Spec};
use crate::net::pcapng::{self, Way};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Limit on the bytes of a capture: about 200,000 packets of a chat.
pub const MAX_BYTES: u64 = 64 << 20;
/// Limit on the packets that wait to be written: 12 MB.
const QUEUE: usize = 8_192;
/// Interval at which the writing thread looks for packets while some come. A wake-up for each
/// packet would cost the router more than the packet.
const INTERVAL: Duration = Duration::from_millis(20);

/// The counters of a capture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// Packets in the capture; one that crosses the network is in it twice.
    pub packets: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Packets left out because it was full.
    pub beyond_limit: u64,
    /// Packets left out because writing was too slow.
    pub too_slow: u64,
}

/// One packet at one interface of the router.
struct Seen {
    /// Wall-clock time.
    nanos: u64,
    direction: Direction,
    event: Event,
    bytes: Vec<u8>,
    /// Packets left out before this one.
    missed: u64,
}

enum Event {
    Entered(u64, Fate),
    Left(Departure, Delivery),
}

/// The outcome of a packet at a node's kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery {
    Accepted,
    /// It is corrupted, or memory is short.
    Refused,
}

/// The router's end of the capture.
pub(super) struct Recorder {
    queue: SyncSender<Seen>,
    epoch: (Instant, u64),
    missed: AtomicU64,
    /// Those of `missed` that the next packet reports.
    unreported: AtomicU64,
    thread: JoinHandle<io::Result<Traced>>,
}

impl Recorder {
    /// Begins the capture, which must not exist. `note` describes the network.
    pub(super) fn start(path: &Path, spec: Spec, note: &str, limit: u64) -> io::Result<Self> {
        let mut writer = Writer::create(path, spec, note, limit)?;
        let (queue, seen) = sync_channel(QUEUE);
        let thread = thread::Builder::new().name("trace".into()).spawn(move || {
            writer.write_all(&seen)?;
            writer.finish()
        })?;
        let epoch = (Instant::now(), wall_nanos());
        let [missed, unreported] = [AtomicU64::new(0), AtomicU64::new(0)];
        Ok(Self { queue, epoch, missed, unreported, thread })
    }

    pub(super) fn entered(&self, direction: Direction, index: u64, fate: Fate, bytes: Vec<u8>) {
        self.put(direction, Event::Entered(index, fate), bytes);
    }

    pub(super) fn left(&self, direction: Direction, it: Departure, to: Delivery, bytes: Vec<u8>) {
        self.put(direction, Event::Left(it, to), bytes);
    }

    fn put(&self, direction: Direction, event: Event, bytes: Vec<u8>) {
        let (epoch, wall) = self.epoch;
        let nanos = wall + u64::try_from(epoch.elapsed().as_nanos()).unwrap_or(u64::MAX / 2);
        let missed = self.unreported.swap(0, Ordering::Relaxed);
        if self.queue.try_send(Seen { nanos, direction, event, bytes, missed }).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
            self.unreported.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }

    /// Waits until all packets are written.
    ///
    /// # Errors
    /// The first error of the file.
    pub(super) fn finish(self) -> io::Result<Traced> {
        drop(self.queue);
        let written = self.thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))?;
        Ok(Traced { too_slow: self.missed.into_inner(), ..written })
    }
}

/// Writes the file, in a thread of its own.
struct Writer {
    file: BufWriter<File>,
    spec: Spec,
    limit: u64,
    counts: Traced,
    /// Packets in the capture and packets seen, by interface.
    by_node: [(u64, u64); 2],
    last: u64,
}

impl Writer {
    fn create(path: &Path, spec: Spec, note: &str, limit: u64) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let counts = Traced::default();
        let mut it = Self { file, spec, limit, counts, by_node: [(0, 0); 2], last: 0 };
        it.put(&pcapng::section(concat!("chatagram ", env!("CARGO_PKG_VERSION")), note))?;
        for node in [Node::Clients, Node::Server] {
            let what = format!("between the router and {}", node.address());
            it.put(&pcapng::interface(node.name(), &what))?;
        }
        Ok(it)
    }

    fn write_all(&mut self, queue: &Receiver<Seen>) -> io::Result<()> {
        let mut is_idle = false;
        loop {
            match queue.try_recv() {
                Ok(seen) => {
                    is_idle = false;
                    self.write(&seen)?;
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
                Err(TryRecvError::Empty) if is_idle => {
                    let Ok(seen) = queue.recv() else { return Ok(()) };
                    is_idle = false;
                    self.write(&seen)?;
                }
                Err(TryRecvError::Empty) => {
                    self.file.flush()?;
                    is_idle = true;
                    thread::sleep(INTERVAL);
                }
            }
        }
    }

    fn write(&mut self, seen: &Seen) -> io::Result<()> {
        let Seen { nanos, direction, event, bytes, missed } = seen;
        let (profile, from, to) = self.lane(*direction);
        let (node, way, index, comment) = match event {
            Event::Entered(index, fate) => {
                (from, Way::In, *index, profile.explain(*direction, *index, fate))
            }
            Event::Left(it, delivery) => {
                let refused = match delivery {
                    Delivery::Accepted => "",
                    Delivery::Refused => ", refused by the kernel",
                };
                (to, Way::Out, it.index, it.explain(*direction) + refused)
            }
        };
        let id = index * 2 + *direction as u64;
        let block = pcapng::packet(node as u32, *nanos, way, id, *missed, &comment, bytes);
        let fits = self.counts.bytes + block.len() as u64 <= self.limit;
        let (kept, seen) = &mut self.by_node[node as usize];
        *seen += 1;
        self.last = *nanos;
        // Once full, it stays full: a gap in the middle would look like a loss.
        if !fits || self.counts.beyond_limit > 0 {
            self.counts.beyond_limit += 1;
            return Ok(());
        }
        *kept += 1;
        self.counts.packets += 1;
        self.put(&block)
    }

    /// The rules of a direction, and the nodes that it connects.
    fn lane(&self, direction: Direction) -> (&Profile, Node, Node) {
        match direction {
            Direction::Up => (&self.spec.up, Node::Clients, Node::Server),
            Direction::Down => (&self.spec.down, Node::Server, Node::Clients),
        }
    }

    fn finish(mut self) -> io::Result<Traced> {
        for node in [Node::Clients, Node::Server] {
            let (kept, seen) = self.by_node[node as usize];
            self.put(&pcapng::statistics(node as u32, self.last, seen, kept))?;
        }
        self.file.flush()?;
        Ok(self.counts)
    }

    fn put(&mut self, block: &[u8]) -> io::Result<()> {
        self.counts.bytes += block.len() as u64;
        self.file.write_all(block)
    }
}

fn wall_nanos() -> u64 {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::impair::Cause;
    use crate::net::pcapng::Capture;

    fn entered(index: u64) -> Seen {
        let event = Event::Entered(index, Fate::Lost(Cause::Chance));
        let bytes = vec![0x45; 100];
        Seen { nanos: 1_000 + index, direction: Direction::Down, event, bytes, missed: 0 }
    }

    #[test]
    fn a_full_capture_counts_what_it_leaves_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.pcapng");
        let spec: Spec = "loss 5%".parse().unwrap();
        let mut writer = Writer::create(&path, spec, "seed 7", 2_000).unwrap();
        (0..50).for_each(|index| writer.write(&entered(index)).unwrap());
        let counts = writer.finish().unwrap();
        assert!(counts.packets > 5 && counts.packets + counts.beyond_limit == 50, "{counts:?}");
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, counts.bytes);
        let mut capture = Capture::new(&bytes);
        let mut packets = 0;
        while let Some(packet) = capture.next_packet().unwrap() {
            let wanted = format!("down {packets}: dropped by 'loss 5%'");
            assert_eq!(packet.comment, wanted.as_bytes());
            assert_eq!((packet.interface, packet.way), (&b"server"[..], Some(Way::In)));
            packets += 1;
        }
        assert_eq!(packets, counts.packets);
    }

    #[test]
    fn a_queue_without_room_never_makes_the_router_wait() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.pcapng");
        let recorder = Recorder::start(&path, Spec::default(), "", MAX_BYTES).unwrap();
        let packets = 20 * QUEUE as u64;
        for index in 0..packets {
            recorder.entered(Direction::Up, index, Fate::Overflowed, vec![0x45]);
        }
        let counts = recorder.finish().unwrap();
        assert_eq!(counts.packets + counts.too_slow, packets, "{counts:?}");
        assert!(counts.too_slow > 0, "{counts:?}");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_an_error_at_the_end() {
        let full = Path::new("/dev/full");
        assert_eq!(
            Recorder::start(full, Spec::default(), "", MAX_BYTES).err().unwrap().kind(),
            io::ErrorKind::AlreadyExists
        );
    }
}
