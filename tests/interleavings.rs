//! The places where threads of the client meet, in every order in which these can run: the code itself,
//! compiled with loom's locks in place of the standard library's. What could wait for ever is reported
//! as a deadlock.
//!
//! There are not many such places. The server has one thread that owns all of it, a flag that others set
//! to stop it, and a check of the history that shares nothing. The client's threads share one session,
//! behind one lock.
#![allow(clippy::unwrap_used)]

/// In place of `src/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "../src/client/turnstile.rs"]
mod turnstile;

use loom::sync::Arc;
use loom::thread;
use turnstile::Turnstile;

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
        let session = Arc::new(Turnstile::new(Session::default()));
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
        let session = Arc::new(Turnstile::new(Session::default()));
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
        let session = Arc::new(Turnstile::new(Session::default()));
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
        let session = Arc::new(Turnstile::new(Session::default()));
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
