//! Ends the processes that a graded client leaves running in other sessions (`setsid`).
//!
//! This process is the parent of the orphans among its descendants, so that none gets away. Those
//! of an ended client are found by a variable of their environment. One that has changed its
//! environment ends with the grading.

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, waitpid};
use std::collections::BTreeSet;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

/// The variable that names a client to its descendants.
const VARIABLE: &str = "GRADED_CLIENT";
/// Rounds of a search, at most: a process may start new ones while it is ended.
const ROUNDS: usize = 200;

/// The clients that were not waited for yet. Any other child of this process is an orphan.
static CLIENTS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn clients() -> MutexGuard<'static, BTreeSet<u32>> {
    CLIENTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client's mark in the environment of its descendants.
pub(super) struct Mark(String);

/// Starts a client.
pub(super) fn start(command: &mut Command) -> io::Result<(Child, Mark)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = getpid();
    // An old kernel has no such setting; orphans in sessions of their own then go on.
    let _ = rustix::process::set_child_subreaper(Some(own));
    let mark = format!("{}-{}", own.as_raw_nonzero(), NEXT.fetch_add(1, Ordering::Relaxed));
    command.env(VARIABLE, &mark);
    // Locked until the child is known: no other thread takes it for an orphan.
    let mut clients = clients();
    let child = command.spawn()?;
    clients.insert(child.id());
    Ok((child, Mark(format!("{VARIABLE}={mark}"))))
}

/// The client was waited for: its number may be another process's from now on.
pub(super) fn forget(child: &Child) {
    clients().remove(&child.id());
}

/// Ends what an ended client left behind; without a mark, what all of them left.
pub(super) fn end(mark: Option<&Mark>) {
    for _ in 0..ROUNDS {
        let clients = clients();
        let mut ended = 0;
        for (pid, is_zombie) in children() {
            if clients.contains(&pid.as_raw_nonzero().get().unsigned_abs()) {
                continue;
            }
            if is_zombie {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            } else if mark.is_none_or(|mark| has(pid, mark))
                && kill_process(pid, Signal::KILL).is_ok()
            {
                let _ = waitpid(Some(pid), WaitOptions::empty());
                ended += 1;
            }
        }
        // The children of an orphan that ended are found in the next round.
        if ended == 0 {
            return;
        }
    }
}

/// The children of this process, and whether they have ended.
fn children() -> Vec<(Pid, bool)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let child = |pid| {
        let (state, parent) = status(pid)?;
        (parent == getpid()).then_some((pid, state == "Z"))
    };
    pids.filter_map(Pid::from_raw).filter_map(child).collect()
}

/// A process's state and parent. They are behind its name, which may have any characters.
fn status(pid: Pid) -> Option<(String, Pid)> {
    let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    Some((fields.next()?.to_owned(), Pid::from_raw(fields.next()?.parse().ok()?)?))
}

fn has(pid: Pid, mark: &Mark) -> bool {
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero()));
    environment.is_ok_and(|it| it.split(|byte| *byte == 0).any(|it| it == mark.0.as_bytes()))
}
