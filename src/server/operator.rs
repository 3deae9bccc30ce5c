//! Orders of the operator to a running server, from another thread.

use crate::hub::{Answer, Hub};
use crate::time::Now;
use mio::Waker;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

/// Orders that wait for the server.
const QUEUE: usize = 16;
/// Longest wait for the answer. A server that is this busy carries the order out later.
const PATIENCE: Duration = Duration::from_secs(5);

/// The answer to an order that was carried out, or the reason against it.
type Outcome = Result<Answer, Answer>;

#[derive(Debug)]
struct Order {
    line: String,
    answer: SyncSender<Outcome>,
}

/// A handle to give orders, such as `kick bob`.
#[derive(Clone, Debug)]
pub struct Operator {
    queue: SyncSender<Order>,
    waker: Arc<Waker>,
}

impl Operator {
    /// Gives an order and waits for what becomes of it. `None`: the server has ended, or does not
    /// answer in time.
    #[must_use]
    pub fn order(&self, line: String) -> Option<Outcome> {
        let (answer, outcome) = sync_channel(1);
        self.queue.send(Order { line, answer }).ok()?;
        if let Err(error) = self.waker.wake() {
            log::error!("cannot wake the server: {error}");
        }
        outcome.recv_timeout(PATIENCE).ok()
    }
}

/// The server's end.
#[derive(Debug)]
pub(super) struct Orders {
    queue: Receiver<Order>,
    sender: SyncSender<Order>,
}

impl Orders {
    pub(super) fn new() -> Self {
        let (sender, queue) = sync_channel(QUEUE);
        Self { queue, sender }
    }

    /// A handle for another thread; `waker` wakes the server.
    pub(super) fn operator(&self, waker: Arc<Waker>) -> Operator {
        Operator { queue: self.sender.clone(), waker }
    }

    /// Carries out the orders that wait.
    pub(super) fn carry_out(&self, hub: &mut Hub, now: Now) {
        while let Ok(Order { line, answer }) = self.queue.try_recv() {
            // The operator may not wait any more.
            let _ = answer.try_send(hub.order(&line, now));
        }
    }
}
