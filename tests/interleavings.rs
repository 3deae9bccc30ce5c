//! The places where threads of the client meet, in every order in which these can run: the code itself,
//! compiled with loom's locks in place of the standard library's. What could wait for ever is reported
//! as a deadlock.
//!
//! There are not many such places. The server has one thread that owns all of it, a flag that others set
//! to stop it, and a check of the history that shares nothing. The client's threads share one session,
//! behind one lock; and at a terminal a prompt, where lines wait for the editor.
#![allow(clippy::unwrap_used)]

/// In place of `src/sync.rs`. In loom no time passes: who waits with a limit has to be woken too.
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

#[path = "../src/client/monitor.rs"]
mod monitor;
#[path = "../src/client/terminal/prompt_state.rs"]
#[allow(dead_code)]
mod prompt_state;
#[path = "../src/client/terminal/status.rs"]
mod status;
#[path = "../src/client/style.rs"]
#[allow(dead_code)]
mod style;

/// Where those files look for the rest of the crate, which has nothing to do with threads.
mod client {
    pub(crate) use crate::style;
    pub(crate) use chatagram::client::session;
}
mod termios_guard {
    pub(crate) fn take_back() {}
}
use chatagram::{link, protocol};

fn columns() -> usize {
    80
}

loom::lazy_static! {
    /// What the terminal shows.
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

/// What a session is to those who wait for it: how many lines it has room for, and whether it is over.
#[derive(Debug, Default)]
struct Session {
    room: usize,
    taken: usize,
    over: bool,
}

#[test]
fn who_waits_for_room_gets_it_or_hears_of_the_end() {
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
fn two_who_wait_do_not_wake_each_other_for_ever_and_both_hear_of_the_end() {
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
fn the_result_of_who_waited_is_a_turn_for_the_next_who_waits() {
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

/// The receiver sleeps on the network until its deadline, which it has read from the session; who moves
/// the deadline rings a bell that is heard also by who was not asleep yet (as mio's waker is).
#[test]
fn the_receiver_never_sleeps_past_a_deadline_that_was_moved() {
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

/// An editor that takes one line, as its thread does it.
fn edit(prompt: &PromptState) {
    if prompt.begin() {
        let (waiting, _) = prompt.draw();
        write(&waiting).unwrap();
        prompt.pause("", "");
    }
    prompt.end();
}

#[test]
fn whatever_the_editor_does_every_line_is_shown_once_and_in_order() {
    loom::model(|| {
        let prompt = Arc::new(PromptState::new(String::new(), "alice", false));
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
fn the_editor_can_be_ended_at_any_moment_and_who_nudges_it_ends_too() {
    // Three threads are too many for all orders: all in which one is taken the processor from twice.
    let mut some = loom::model::Builder::new();
    some.preemption_bound = Some(2);
    some.check(|| {
        let prompt = Arc::new(PromptState::new(String::new(), "alice", false));
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

/// What mio's waker does.
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
