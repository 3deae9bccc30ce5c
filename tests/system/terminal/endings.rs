//! Every end of the client restores the terminal.

use super::alice;
use super::tmux::{self, Tmux, assert_restored, observed};
use crate::needs::needs;
use crate::program::{self, Server};
use std::process::{Command, Stdio};

/// Sends the client SIGTERM.
fn terminate(tmux: &Tmux) {
    program::signal(tmux.file("pid").trim().parse().unwrap(), "TERM");
}

pub(super) fn every_exit_restores_the_terminal() {
    // In this thread: the terminals are opened by other threads, which cannot skip the test.
    needs(&tmux::NEEDED);
    type Exit = fn(&Tmux, &mut Server);
    let ways: [(&str, &str, Exit); 6] = [
        ("/quit", "code 0", |tmux, _| tmux.say("/quit")),
        ("Ctrl-D", "code 0", |tmux, _| tmux.press(&["C-d"])),
        ("Ctrl-C, the first of which clears the line", "code 0", |tmux, _| {
            tmux.write("draft");
            tmux.draft("draft");
            tmux.press(&["C-c"]);
            tmux.draft("");
            tmux.press(&["C-c"]);
        }),
        ("the server closes", "code 0", |tmux, server| {
            tmux.write("draft");
            tmux.draft("draft");
            server.program.signal("INT");
        }),
        ("the server is lost", "code 5", |tmux, server| {
            tmux.write("draft");
            tmux.draft("draft");
            server.program.signal("KILL");
        }),
        ("SIGTERM", "code 0", |tmux, _| {
            tmux.write("draft");
            tmux.draft("draft");
            // A key that the client has not read yet would reach the next program.
            let end = tmux.figure("cursor_x");
            tmux.press(&["Left"]);
            tmux.wait("cursor inside the draft", |_| tmux.figure("cursor_x") != end);
            terminate(tmux);
        }),
    ];
    let ways = ways.map(|(name, code, leave)| {
        std::thread::spawn(move || {
            let (mut server, tmux) = alice(80, 24, "", "--give-up 1s");
            leave(&tmux, &mut server);
            assert_restored(&tmux, code);
            let screen = tmux.screen();
            let end = screen.lines().skip_while(|line| !line.starts_with(code));
            let rest: Vec<_> = end.skip(1).collect();
            assert_eq!(rest, ["plain paste"], "{name}:\n{screen}");
            assert!(!screen.contains("\n-- "), "{name}:\n{screen}");
        })
    });
    for way in ways {
        way.join().unwrap();
    }
}

pub(super) fn a_refusal_and_a_second_signal_restore_the_terminal() {
    let (server, tmux) = alice(80, 24, "", "");
    let program = env!("CARGO_BIN_EXE_chatagram");
    let again = format!("{program} client {} --nick alice --no-cache", server.address);
    let refused = Tmux::start(80, 24, &observed(&again));
    refused.see("in use");
    refused.see("\nYour name:");
    refused.press(&["C-d"]);
    assert_restored(&refused, "code 4");
    // A stopped server delays the goodbye: time for a second signal.
    server.program.signal("STOP");
    let pid = tmux.file("pid");
    tmux.wait("end", |screen| {
        let _ = Command::new("kill").args(["-TERM", pid.trim()]).stderr(Stdio::null()).status();
        screen.contains("code ")
    });
    assert_restored(&tmux, "code 130");
    server.program.signal("CONT");
}
