//! A thread in its own network namespace that runs jobs there.

use super::device::Device;
use super::{Error, Node, Wire, sys};
use rustix::thread::UnshareFlags;
use std::io::{self, ErrorKind};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};

type Job = Box<dyn FnOnce() + Send>;

/// Ends its thread when dropped. The namespace ends with its last thread, process and socket.
pub(super) struct NodeThread {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl NodeThread {
    /// Starts a thread in a new namespace with a device, and returns the router's end of the
    /// device.
    pub(super) fn start(node: Node, wire: Wire) -> Result<(Self, Device), Error> {
        let (jobs, todo) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name(node.name().into())
            .spawn(move || todo.into_iter().for_each(|job| job()))
            .map_err(Error::at("start a thread"))?;
        let this = Self { jobs: Some(jobs), thread: Some(thread) };
        let device = this
            .run(move || {
                sys::unshare(UnshareFlags::NEWNET).map_err(Error::refused)?;
                Device::build(wire, node.address(), node.other().address())
            })
            .map_err(Error::at("reach a thread"))??;
        Ok((this, device))
    }

    /// Runs `job` in the namespace, after earlier ones, and returns its result.
    pub(super) fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let (result, answer) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            let _ = result.send(job());
        });
        self.jobs
            .as_ref()
            .and_then(|jobs| jobs.send(job).ok())
            .and_then(|()| answer.recv().ok())
            .ok_or_else(|| ErrorKind::BrokenPipe.into())
    }
}

impl Drop for NodeThread {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
