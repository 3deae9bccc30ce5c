//! Privileges and limits of the processes of a program under test.
//!
//! Each process begins a session of its own, has no capability, gains none from files, and runs as
//! the user who called `sudo`, or as `nobody`, if the lab runs as root. In a user namespace of an
//! unprivileged user it stays that user.
#![allow(unsafe_code)]

use rustix::process::{Resource, Rlimit, Signal};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Processor time beyond the duration of a run, for each process.
const CPU_TIME: Duration = Duration::from_secs(60);
/// Data of each process, bytes. Reserved address space does not count.
const MEMORY: u64 = 2 << 30;
/// Processes and threads of the user, in all runs together.
const PROCESSES: u64 = 1_024;
/// Open files of each process.
const OPEN_FILES: u64 = 1_024;
/// Largest file that a process can write, bytes.
const FILE_SIZE: u64 = 64 << 20;
/// User and group without privileges.
const NOBODY: u32 = 65_534;
/// More capabilities than any kernel has; an unknown one ends the loop earlier.
const CAPABILITIES: libc::c_ulong = 128;

/// Makes the child of this command confined for a run of this duration. With `pty`, its standard
/// input is a terminal, which becomes that of its session. If the calling thread ends, the kernel
/// kills the child.
pub(crate) fn confine(command: &mut Command, duration: Duration, pty: bool) {
    let user = ordinary_user();
    let parent = rustix::process::getpid();
    let cpu = (duration + CPU_TIME).as_secs();
    // SAFETY: between fork and exec the closure makes system calls and nothing else: it neither
    // allocates nor locks.
    unsafe {
        command.pre_exec(move || {
            rustix::process::setsid()?;
            if pty {
                rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            limit(cpu)?;
            drop_privileges(user)?;
            // After the change of user, which resets it.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() == Some(parent) {
                Ok(())
            } else {
                Err(rustix::io::Errno::SRCH.into())
            }
        });
    }
}

/// An exit status, with the meaning of a limit's signal.
pub(crate) fn describe(status: ExitStatus) -> String {
    match status.signal() {
        Some(libc::SIGXCPU) => "killed: it used too much processor time".to_owned(),
        Some(libc::SIGXFSZ) => "killed: it wrote too large a file".to_owned(),
        _ => status.to_string(),
    }
}

/// The user and group that root becomes.
fn ordinary_user() -> (u32, u32) {
    let id = |name| std::env::var(name).ok()?.parse().ok().filter(|id| *id != 0);
    (id("SUDO_UID").unwrap_or(NOBODY), id("SUDO_GID").unwrap_or(NOBODY))
}

fn limit(cpu: u64) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::Cpu, cpu),
        (Resource::Data, MEMORY),
        (Resource::Nproc, PROCESSES),
        (Resource::Nofile, OPEN_FILES),
        (Resource::Fsize, FILE_SIZE),
        (Resource::Core, 0),
    ] {
        // A lower limit that is in force already stays.
        let current = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Some(limit.min(current));
        rustix::process::setrlimit(resource, Rlimit { current: limit, maximum: limit })?;
    }
    Ok(())
}

/// Gives up root's user, if there is another one here, and every capability.
fn drop_privileges((user, group): (u32, u32)) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    for capability in 0..CAPABILITIES {
        // SAFETY: PR_CAPBSET_DROP takes a number and reads no memory.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } != 0 {
            break;
        }
    }
    // SAFETY: without groups, setgroups(2) reads no memory. Only root of a machine may call it;
    // root of a user namespace is an ordinary user already.
    if unsafe { libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) } == 0 {
        // SAFETY: these take numbers. The raw calls concern this thread, which is the only one.
        let changed = unsafe {
            libc::syscall(libc::SYS_setresgid, group, group, group) == 0
                && libc::syscall(libc::SYS_setresuid, user, user, user) == 0
        };
        let error = io::Error::last_os_error();
        // A container may have no such user; root of it is an ordinary user outside.
        if !changed && error.raw_os_error() != Some(libc::EINVAL) {
            return Err(error);
        }
    }
    // What exec would hand on; without a bounding set, root of a namespace gains none either.
    let none = rustix::thread::CapabilitySet::empty();
    let none =
        rustix::thread::CapabilitySets { effective: none, permitted: none, inheritable: none };
    Ok(rustix::thread::set_capabilities(None, none)?)
}
