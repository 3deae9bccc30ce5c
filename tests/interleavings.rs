//! Every interleaving of the client's threads where they meet. loom runs the code itself, with its
//! own locks in place of the standard library's, and reports a wait without end as a deadlock.
//!
//! There are few such places. One thread owns the whole server; other threads set a flag that stops
//! it, and the check of the history shares nothing. The client's threads share one session behind
//! one lock, and at a terminal the state of the prompt, where lines wait for the editor.
#![allow(clippy::unwrap_used)]

/// Replaces `src/sync.rs`. Time does not pass in loom: a wait with a timeout needs a notification
/// too.
mod sync {
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    use std::sync::LockResult;
    use std::time::Duration;

    #[derive(Debug)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(loom::sync::Condvar::new())
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        pub(crate) fn wait<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
        ) -> LockResult<MutexGuard<'a, T>> {
            self.0.wait(guard)
        }

        pub(crate) fn wait_while<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            mut condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<MutexGuard<'a, T>> {
            while condition(&mut guard) {
                guard = self.0.wait(guard)?;
            }
            Ok(guard)
        }

        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: Duration,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            Ok((self.0.wait(guard).unwrap(), ()))
        }

        pub(crate) fn wait_timeout_while<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            _: Duration,
            condition: impl FnMut(&mut T) -> bool,
        ) -> LockResult<(MutexGuard<'a, T>, ())> {
            Ok((self.wait_while(guard, condition).unwrap(), ()))
        }
    }
}

#[path = "../src/client/app/monitor.rs"]
mod monitor;
#[path = "../src/client/app/terminal/prompt_state.rs"]
#[allow(dead_code)]
mod prompt_state;
#[path = "../src/client/app/terminal/status.rs"]
mod status;
#[path = "../src/client/app/style.rs"]
#[allow(dead_code)]
mod style;
#[path = "../src/client/app/terminal/unconfirmed.rs"]
#[allow(dead_code)]
mod unconfirmed;

/// The other parts of the crate that these files use. None of them has to do with threads.
mod client {
    pub(crate) mod app {
        pub(crate) use crate::style;
        pub(crate) mod output {
            use unicode_width::UnicodeWidthStr;

            pub(crate) fn cut(text: &str, columns: usize) -> (&str, usize) {
                let fits = |end: &usize| text.get(..*end).is_some_and(|it| it.width() <= columns);
                let end = (0..=text.len()).rev().find(fits).unwrap_or(0);
                (&text[..end], text[..end].width())
            }

            pub(crate) fn unconfirmed(_: crate::time::WallTime, name: &str, text: &str) -> String {
                format!("HH:MM:SS {name}> {text}")
            }
        }
    }
    pub(crate) use chatagram::client::session;
}
mod termios_guard {
    pub(crate) fn take_back() {}
}
use chatagram::{link, protocol, time, words};

fn columns() -> usize {
    80
}

fn size() -> (usize, usize) {
    (80, 24)
}

loom::lazy_static! {
    /// The output of the terminal.
    static ref SHOWN: loom::sync::Mutex<String> = loom::sync::Mutex::new(String::new());
}

fn write(text: &str) -> std::io::Result<()> {
    SHOWN.lock().unwrap().push_str(text);
    Ok(())
}

use loom::sync::Arc;
use loom::thread;
use monitor::Monitor;
use prompt_state::PromptState;

/// The parts of a session that threads wait for: free places in the send window, and the end.
#[derive(Debug, Default)]
struct Session {
    room: usize,
    taken: usize,
    over: bool,
}

#[test]
fn a_thread_that_waits_for_room_gets_it_or_sees_the_end() {
    loom::model(|| {
        let session = Arc::new(Monitor::new(Session::default()));
        let receiver = thread::spawn({
            let session = session.clone();
            move || {
                session.turn(|session| session.room = 1);
                session.turn(|session| session.over = true);
            }
        });
        let said = session.wait_until(None, |session| {
            if session.room > session.taken {
                session.taken += 1;
                return Some(true);
            }
            session.over.then_some(false)
        });
        assert!(said.is_some());
        receiver.join().unwrap();
        assert_eq!(session.lock().taken, usize::from(said == Some(true)));
    });
}

#[test]
fn two_waiting_threads_do_not_wake_each_other_endlessly_and_both_see_the_end() {
    loom::model(|| {
        let session = Arc::new(Monitor::new(Session::default()));
        let waiting = [(); 2].map(|()| {
            let session = session.clone();
            thread::spawn(move || session.wait_until(None, |it| it.over.then_some(())))
        });
        session.turn(|session| session.over = true);
        for thread in waiting {
            assert_eq!(thread.join().unwrap(), Some(()));
        }
    });
}

#[test]
fn a_change_by_a_woken_thread_wakes_the_next_waiting_thread() {
    loom::model(|| {
        let session = Arc::new(Monitor::new(Session::default()));
        let first = thread::spawn({
            let session = session.clone();
            move || {
                session.wait_until(None, |session| (session.room > 0).then(|| session.taken = 1))
            }
        });
        let second = thread::spawn({
            let session = session.clone();
            move || session.wait_until(None, |session| (session.taken > 0).then_some(()))
        });
        session.turn(|session| session.room = 1);
        assert_eq!((first.join().unwrap(), second.join().unwrap()), (Some(()), Some(())));
    });
}

/// The receiver sleeps until the deadline that it read from the session. A thread that moves the
/// deadline rings a bell, which wakes a receiver that falls asleep later as well (like mio's
/// waker).
#[test]
fn the_receiver_never_sleeps_past_a_moved_deadline() {
    loom::model(|| {
        let session = Arc::new(Monitor::new(Session::default()));
        let bell = Arc::new(Bell::default());
        let receiver = thread::spawn({
            let (session, bell) = (session.clone(), bell.clone());
            move || {
                while !session.lock().over {
                    bell.sleep();
                }
            }
        });
        session.turn(|session| session.over = true);
        bell.ring();
        receiver.join().unwrap();
    });
}

/// The editor's thread, for one line.
fn edit(prompt: &PromptState) {
    if prompt.begin() {
        write(&prompt.draw(false)).unwrap();
        prompt.pause(0, "");
    }
    prompt.end();
}

#[test]
fn every_line_is_shown_once_and_in_order_beside_the_editor() {
    loom::model(|| {
        let prompt = Arc::new(PromptState::new(String::new(), "alice", style::Style::default()));
        let editor = thread::spawn({
            let prompt = prompt.clone();
            move || edit(&prompt)
        });
        for line in ["one", "two"] {
            prompt.print(line).unwrap();
        }
        editor.join().unwrap();
        assert_eq!(*SHOWN.lock().unwrap(), "one\ntwo\n");
    });
}

#[test]
fn the_editor_and_its_nudger_end_at_any_moment() {
    // Three threads have too many interleavings: explores those with at most two preemptions.
    let mut some = loom::model::Builder::new();
    some.preemption_bound = Some(2);
    some.check(|| {
        let prompt = Arc::new(PromptState::new(String::new(), "alice", style::Style::default()));
        let editor = thread::spawn({
            let prompt = prompt.clone();
            move || edit(&prompt)
        });
        let nudger = thread::spawn({
            let prompt = prompt.clone();
            move || while prompt.wait_for_nudge() {}
        });
        prompt.close();
        assert!(prompt.wait_for_end());
        editor.join().unwrap();
        nudger.join().unwrap();
    });
}

/// Models mio's waker.
#[derive(Default)]
struct Bell {
    rung: loom::sync::Mutex<bool>,
    heard: loom::sync::Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap() = true;
        self.heard.notify_one();
    }

    fn sleep(&self) {
        let mut rung = self.rung.lock().unwrap();
        while !std::mem::take(&mut *rung) {
            rung = self.heard.wait(rung).unwrap();
        }
    }
}
