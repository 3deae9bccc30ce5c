//! The moderator: the host in its editor, and the operator at the terminal of a server.

use super::tmux::{Tmux, observed};
use crate::program::Program;

/// A client in the room that a program in this terminal has opened.
fn join(tmux: &Tmux, nick: &str) -> Program {
    let screen = tmux.see("listening on ");
    let (_, rest) = screen.split_once("listening on ").unwrap();
    let address = rest.split_whitespace().next().unwrap();
    let args = ["client", address, "--nick", nick, "--output", "json", "--no-cache"];
    let mut client = Program::start(tmux.dir.path(), &[&args[..], &["--stay", "forever"]].concat());
    client.next("welcome");
    client
}

pub(super) fn the_host_moderates_in_its_editor() {
    let program = env!("CARGO_BIN_EXE_chatagram");
    let host = format!("{program} host --bind 127.0.0.1:0 --nick alice --no-cache --no-history");
    let tmux = Tmux::start(100, 40, &observed(&host));
    tmux.see("* welcome to the room, alice: 1 here");
    let [mut bob, mut eve] = ["bob", "eve"].map(|nick| join(&tmux, nick));
    tmux.see("3 here");
    tmux.say("/help");
    tmux.see("/kick NAME TEXT");
    tmux.say("/topic what a lost datagram costs");
    tmux.see("* topic: what a lost datagram costs");
    assert_eq!(bob.next("topic")["text"], "what a lost datagram costs");
    tmux.say("/mute bob 300s");
    tmux.see("* bob is muted for 300 s");
    bob.type_line("can you hear me?");
    let error = bob.next("error")["message"].as_str().unwrap().to_owned();
    assert!(error.starts_with("this line was not passed on (the moderator muted you"), "{error}");
    tmux.say("/kick bob too loud");
    tmux.see("* bob left (removed by the moderator), 2 here");
    assert_eq!(bob.next("closed")["reason"], "kicked");
    assert_eq!(bob.wait(), Some(4));
    assert_eq!(eve.next_where("left", |event| event["nickname"] == "bob")["reason"], "kicked");
    eve.type_line("/kick alice");
    eve.status("not done: only the host and the operator of the server moderate");
    tmux.say("/lock");
    eve.status("the room is locked: nobody new is let in");
    assert!(!tmux.screen().contains("can you hear me?"), "{}", tmux.screen());
}

pub(super) fn the_operator_types_orders_at_the_server() {
    let program = env!("CARGO_BIN_EXE_chatagram");
    let tmux = Tmux::start(
        100,
        30,
        &observed(&format!("{program} server --bind 127.0.0.1:0 --no-history --no-discovery")),
    );
    let mut bob = join(&tmux, "bob");
    tmux.say("dance");
    tmux.see("chatagram: not done: the orders are: kick NAME [REASON]");
    tmux.say("topic hello");
    tmux.see("the moderator: the topic is now: hello");
    assert_eq!(bob.next("topic")["text"], "hello");
    tmux.say("kick bob");
    assert_eq!(bob.next("closed")["reason"], "kicked");
    assert_eq!(bob.wait(), Some(4));
    tmux.see("the moderator: bob is removed; name and address stay out");
    tmux.press(&["C-c"]);
    tmux.see("code 0");
}
