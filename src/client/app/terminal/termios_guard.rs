//! Saves the terminal's modes (termios(3)) and restores them from anywhere: at an end that the
//! editor does not notice, at a second signal, in a panic.

/// Saves the modes for `restore`.
pub(super) fn keep() {
    saved::keep();
}

/// Turns echo and line mode off. The editor restores these modes between two lines, so that a key
/// pressed at that moment is neither echoed nor held back.
pub(super) fn hold() {
    saved::hold();
}

/// Sets the editor's modes again after a stop, during which the shell changed them. The editor does
/// so too, but possibly a moment before the program stops.
pub(super) fn take_back() {
    saved::take_back();
}

/// The editor at the time of [`restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Editor {
    /// It left nothing on the screen.
    Ended,
    /// Its prompt may be on the screen.
    Running,
}

/// Restores the modes saved by `keep`. False when nothing was saved.
pub(super) fn restore(editor: Editor) -> bool {
    saved::restore(editor)
}

/// Drops the saved modes: `restore` does nothing from now on.
pub(super) fn release() {
    saved::release();
}

#[cfg(unix)]
mod saved {
    use super::Editor;
    use rustix::termios::{
        InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
    };
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::sync::{Mutex, TryLockError};

    /// Bracketed paste and synchronized update off, cursor visible, no colour.
    const UNDO: &[u8] = b"\x1b[?2004l\x1b[?2026l\x1b[?25h\x1b[0m";
    /// Bracketed paste on: a shell turns it off before it continues a program.
    const MARK_PASTES: &[u8] = b"\x1b[?2004h";
    /// Starts a new row and clears below: the cursor was in the draft.
    const FRESH: &[u8] = b"\r\n\x1b[J";

    struct Saved {
        terminal: OwnedFd,
        modes: Termios,
    }

    static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

    pub(super) fn keep() {
        // A descriptor of its own, since standard input is replaced to wake the editor.
        let saved = io::stdin().as_fd().try_clone_to_owned().ok().and_then(|terminal| {
            let modes = tcgetattr(&terminal).ok()?;
            Some(Saved { terminal, modes })
        });
        if let Ok(mut slot) = SAVED.lock() {
            *slot = saved;
        }
    }

    /// Signals stay on, so that Ctrl-C works while no thread reads.
    pub(super) fn hold() {
        let Ok(slot) = SAVED.lock() else { return };
        let Some(Saved { terminal, modes }) = slot.as_ref() else { return };
        let mut held = modes.clone();
        held.local_modes -= LocalModes::ECHO | LocalModes::ICANON;
        held.input_modes -= InputModes::ICRNL;
        held.special_codes[SpecialCodeIndex::VMIN] = 1;
        held.special_codes[SpecialCodeIndex::VTIME] = 0;
        if let Err(error) = tcsetattr(terminal, OptionalActions::Now, &held) {
            log::debug!("cannot hold the terminal: {error}");
        }
    }

    /// Whether the modes are the editor's.
    pub(super) fn take_back() {
        let Ok(slot) = SAVED.lock() else { return };
        let Some(Saved { terminal, .. }) = slot.as_ref() else { return };
        let Ok(mut modes) = tcgetattr(terminal) else { return };
        if !modes.local_modes.contains(LocalModes::ICANON) {
            return;
        }
        modes.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
        modes.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::INPCK
            | InputModes::ISTRIP
            | InputModes::IXON;
        modes.special_codes[SpecialCodeIndex::VMIN] = 1;
        modes.special_codes[SpecialCodeIndex::VTIME] = 0;
        if let Err(error) = tcsetattr(terminal, OptionalActions::Now, &modes) {
            log::debug!("cannot take the terminal back: {error}");
        }
        let _ = rustix::io::write(rustix::stdio::stdout(), MARK_PASTES);
    }

    pub(super) fn restore(editor: Editor) -> bool {
        // A thread that holds the lock is restoring already: a panic must not wait.
        let slot = match SAVED.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return true,
        };
        let Some(Saved { terminal, modes }) = slot.as_ref() else { return false };
        let raw = tcgetattr(terminal).is_ok_and(|now| now.local_modes != modes.local_modes);
        if raw {
            let _ = tcsetattr(terminal, OptionalActions::Now, modes);
            // Not through `stdout`: the thread that panicked may hold its lock.
            let out = rustix::stdio::stdout();
            let _ = rustix::io::write(out, UNDO);
            if editor == Editor::Running {
                let _ = rustix::io::write(out, FRESH);
            }
        }
        true
    }

    pub(super) fn release() {
        if let Ok(mut slot) = SAVED.lock() {
            *slot = None;
        }
    }
}

/// On other systems only the editor restores the terminal.
#[cfg(not(unix))]
mod saved {
    use super::Editor;
    use std::sync::atomic::{AtomicBool, Ordering};

    static KEPT: AtomicBool = AtomicBool::new(false);

    pub(super) fn keep() {
        KEPT.store(true, Ordering::Relaxed);
    }

    pub(super) fn hold() {}

    pub(super) fn take_back() {}

    pub(super) fn restore(_: Editor) -> bool {
        KEPT.load(Ordering::Relaxed)
    }

    pub(super) fn release() {
        KEPT.store(false, Ordering::Relaxed);
    }
}
