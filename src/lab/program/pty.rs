//! A pseudo-terminal, for a program that asks or prints only on a terminal (pty(7)).
#![allow(unsafe_code)]

use rustix::termios::{LocalModes, OptionalActions, Winsize};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// So wide that a program which counts columns wraps no message.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 2_000, ws_xpixel: 0, ws_ypixel: 0 };

/// Opens a terminal. Returns the lab's side and the program's. It does not echo what is typed.
pub(crate) fn open() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOCTTY);
    let ours = OwnedFd::from(options.open("/dev/ptmx")?);
    let unlocked: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads one `c_int`, which `unlocked` is and which outlives the call.
    check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes a number and reads no memory.
    let theirs = check(unsafe { libc::ioctl(ours.as_raw_fd(), libc::TIOCGPTPEER, flags) })?;
    // SAFETY: the kernel has just opened this descriptor, which nothing else owns.
    let theirs = unsafe { OwnedFd::from_raw_fd(theirs) };
    let mut modes = rustix::termios::tcgetattr(&theirs)?;
    modes.local_modes.remove(LocalModes::ECHO);
    rustix::termios::tcsetattr(&theirs, OptionalActions::Now, &modes)?;
    rustix::termios::tcsetwinsize(&ours, SIZE)?;
    Ok((ours, theirs))
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
