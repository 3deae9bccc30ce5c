//! Signals: which of them the program acts on, and on which thread.
//!
//! A signal that the parent process ignores stays ignored: `nohup` and a shell's background jobs
//! rely on it (POSIX.1, signal(7)).
#![cfg_attr(unix, allow(unsafe_code))]

use super::INTERRUPTED;
use chatagram::client;

/// A signal that the program handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(unix), allow(dead_code))]
pub(super) enum Signal {
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM: from a service manager.
    Terminate,
    /// SIGHUP: the terminal was closed, or files should be reopened.
    HangUp,
}

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The program continues.
    GoOn,
    /// The program is about to end; the next signal ends it at once.
    End,
}

/// Calls `act` for each signal, in a thread of its own. A second signal while the program ends
/// exits with code 130.
pub(super) fn on_signal(mut act: impl FnMut(Signal) -> Then + Send + 'static) {
    let mut ending = false;
    let handle = move |signal| {
        if ending {
            client::restore_terminal();
            std::process::exit(INTERRUPTED.into());
        }
        ending = act(signal) == Then::End;
    };
    if let Err(error) = system::listen(handle) {
        log::warn!("Ctrl-C will end the program before it leaves the room: {error}");
    }
}

/// Makes the file size limit (RLIMIT_FSIZE) an error of the write instead of a fatal SIGXFSZ.
pub(crate) fn survive_file_size_limit() {
    if let Err(error) = system::catch_file_size_limit() {
        crate::logging::complain(format!("a file at its size limit will end the program: {error}"));
    }
}

/// Makes a read from the terminal in the background an error, which would stop the process.
pub(super) fn ignore_background_reads() {
    system::ignore_background_reads();
}

#[cfg(unix)]
mod system {
    use super::Signal;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
    use signal_hook::{flag, low_level::pipe};
    use std::io::{self, Read};
    use std::mem::zeroed;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    /// The handler sets a flag and writes to a pipe, which wakes the thread.
    pub(super) fn listen(mut handle: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        let (mut wakes, wake) = io::pipe()?;
        let mut raised = Vec::new();
        for (number, signal) in
            [(SIGINT, Signal::Interrupt), (SIGTERM, Signal::Terminate), (SIGHUP, Signal::HangUp)]
        {
            if !is_ignored(number) {
                let flag = Arc::new(AtomicBool::new(false));
                flag::register(number, flag.clone())?;
                pipe::register(number, wake.try_clone()?)?;
                raised.push((flag, signal));
            }
        }
        let each = move || {
            while wakes.read_exact(&mut [0]).is_ok() {
                for (flag, signal) in &raised {
                    if flag.swap(false, Ordering::AcqRel) {
                        handle(*signal);
                    }
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(each).map(drop)
    }

    /// A handler, because child processes would inherit SIG_IGN.
    pub(super) fn catch_file_size_limit() -> io::Result<()> {
        flag::register(SIGXFSZ, Arc::default()).map(drop)
    }

    pub(super) fn ignore_background_reads() {
        // SAFETY: the call only sets the disposition of this signal.
        unsafe { libc::signal(libc::SIGTTIN, libc::SIG_IGN) };
    }

    fn is_ignored(signal: i32) -> bool {
        // SAFETY: sigaction has no invalid bit patterns, and the call only writes to `now`.
        let mut now: libc::sigaction = unsafe { zeroed() };
        let asked = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut now) };
        asked == 0 && now.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
mod system {
    use super::Signal;
    use std::io;

    pub(super) fn listen(mut handle: impl FnMut(Signal) + Send + 'static) -> io::Result<()> {
        ctrlc::set_handler(move || handle(Signal::Interrupt)).map_err(io::Error::other)
    }

    pub(super) fn ignore_background_reads() {}

    pub(super) fn catch_file_size_limit() -> io::Result<()> {
        Ok(())
    }
}
