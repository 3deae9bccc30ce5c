//! Questions that the client and `host` ask in the terminal.

use super::heard;
use super::tmux::{Tmux, assert_restored, observed};
use crate::program::{Program, Server};

pub(super) fn host_has_the_editor_too() {
    let program = env!("CARGO_BIN_EXE_chatagram");
    let host = format!("{program} host --bind 127.0.0.1:0 --nick alice --no-cache --no-history");
    let tmux = Tmux::start(80, 24, &observed(&host));
    tmux.see("* welcome to the room, alice: 1 here");
    tmux.say("/help");
    tmux.see("/ping NAME");
    tmux.say("/clear");
    tmux.wait("an empty screen", |screen| {
        screen.lines().filter(|line| !line.is_empty()).count() == 2
    });
    tmux.press(&["C-d"]);
    assert_restored(&tmux, "code 0");
}

pub(super) fn the_client_asks_for_a_name_and_asks_again_after_a_refusal() {
    let server = Server::start(&["--no-history"]);
    let mut bob = server.join("bob");
    let program = env!("CARGO_BIN_EXE_chatagram");
    let client = format!("env USER=bob {program} client {} --no-cache", server.address);
    let tmux = Tmux::start(80, 24, &observed(&client));
    tmux.see("Your name [bob]:");
    tmux.say("a b");
    tmux.see("! a space cannot be in a name");
    tmux.press(&["Enter"]);
    let screen = tmux.wait("the reason, and the question", |screen| {
        screen.contains("in use") && screen.ends_with("Your name:")
    });
    assert!(!screen.contains("did not let you in"), "{screen}");
    tmux.say("carl");
    tmux.see("* welcome to the room, carl: 2 here");
    tmux.say("hello");
    assert_eq!(heard(&mut bob), "hello");
    bob.type_line("hi carl");
    tmux.see("bob: hi carl");
    tmux.press(&["C-d"]);
    assert_restored(&tmux, "code 0");
    // Ctrl-C at the question ends the program.
    let tmux = Tmux::start(80, 24, &observed(&client));
    tmux.see("Your name [bob]:");
    tmux.press(&["Enter"]);
    tmux.see("in use");
    tmux.press(&["C-c"]);
    assert_restored(&tmux, "code 130");
}

pub(super) fn host_asks_before_it_closes_a_room_with_members() {
    let program = env!("CARGO_BIN_EXE_chatagram");
    let host = format!("{program} host --bind 127.0.0.1:0 --nick alice --no-cache --no-history");
    for last in ["exit", "C-d"] {
        let tmux = Tmux::start(80, 24, &observed(&host));
        let screen = tmux.see("* welcome to the room, alice: 1 here");
        assert!(screen.contains("messages of the server go to "), "{screen}");
        let log = tmux.dir.path().join(".local/state/chatagram/host.log");
        assert!(log.exists(), "{screen}");
        let address = screen.lines().find_map(|line| line.strip_prefix("listening on ")).unwrap();
        let args = [
            "client",
            address,
            "--nick",
            "bob",
            "--no-cache",
            "--output",
            "json",
            "--stay",
            "forever",
        ];
        let mut bob = Program::start(tmux.dir.path(), &args);
        tmux.see("2 here");
        tmux.say("Exit");
        tmux.see("! 1 other is here: type exit again to close the room");
        tmux.say("not yet");
        assert_eq!(heard(&mut bob), "not yet");
        // A page that contains the word is not sent after the question.
        tmux.paste("выход\nnot to be said");
        tmux.press(&["Enter"]);
        tmux.wait("two questions", |screen| screen.matches("1 other is here").count() == 2);
        match last {
            "exit" => tmux.say("exit"),
            key => tmux.press(&[key]),
        }
        assert_restored(&tmux, "code 0");
        assert_eq!(bob.next("closed")["reason"], "shutdown");
        assert_eq!(bob.events("message").len(), 1);
    }
}
