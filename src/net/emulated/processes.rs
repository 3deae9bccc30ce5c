//! The processes in a node's network namespace, whoever their parents are.

use rustix::process::{Pid, Signal};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

/// Killed processes are gone within this time, unless the kernel is stuck.
const DEADLINE: Duration = Duration::from_secs(5);
/// Interval at which they are looked for.
const INTERVAL: Duration = Duration::from_millis(2);

/// Kills all processes in the calling thread's namespace, and those that they start meanwhile.
/// Processes that its threads started may enter no other namespace without privileges.
pub(super) fn end_all() -> io::Result<()> {
    let own = namespace("thread-self")?;
    let begun = Instant::now();
    loop {
        let found = processes_in(own)?;
        if found.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= DEADLINE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        for process in found {
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
        thread::sleep(INTERVAL);
    }
}

fn processes_in(wanted: (u64, u64)) -> io::Result<Vec<Pid>> {
    let this = std::process::id();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(number) = name.to_str().and_then(|it| it.parse::<u32>().ok()) else { continue };
        // One that has ended, and one of another user, has no namespace to be read.
        let is_there =
            number != this && namespace(&number.to_string()).is_ok_and(|it| it == wanted);
        found.extend(i32::try_from(number).ok().filter(|_| is_there).and_then(Pid::from_raw));
    }
    Ok(found)
}

fn namespace(process: &str) -> io::Result<(u64, u64)> {
    let found = fs::metadata(format!("/proc/{process}/ns/net"))?;
    Ok((found.dev(), found.ino()))
}
