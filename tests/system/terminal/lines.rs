//! Lines of the user until the server confirms them, and lines that address the user.

use super::tmux::normalised;
use super::{alice, heard};

pub(super) fn a_line_is_dimmed_until_the_server_confirms_it_and_a_failed_one_is_marked() {
    let (server, tmux) = alice(80, 24, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    server.program.signal("STOP");
    let say = |count: u32| tmux.say(&format!("line {count}"));
    (1..=4).for_each(say);
    // They stand above the status, dimmed.
    let waiting = "HH:MM:SS alice> line 1\n\
                   HH:MM:SS alice> line 2\n\
                   HH:MM:SS alice> line 3\n\
                   HH:MM:SS alice> line 4\n-- ";
    tmux.wait("lines that wait", |it| normalised(it).contains(waiting));
    let coloured = tmux.coloured();
    assert!(!coloured.contains("\u{1b}[1malice>"), "only confirmed lines are bright: {coloured:?}");
    // More are counted.
    (5..=6).for_each(say);
    tmux.write("draft");
    let counted = "\n* 6 lines wait for the server\n-- ";
    let screen = tmux.wait("a draft", |it| it.ends_with("> draft") && it.contains(counted));
    assert!(!screen.contains("alice> line"), "{screen}");
    server.program.signal("CONT");
    for count in 1..=6 {
        assert_eq!(heard(&mut bob), format!("line {count}"));
    }
    tmux.wait("all lines", |it| it.contains("alice> line 6") && !it.contains("lines wait"));
    let coloured = tmux.coloured();
    assert_eq!(coloured.matches("\u{1b}[1malice>").count(), 6, "{coloured:?}");
    server.program.signal("KILL");
    tmux.press(&["C-c"]);
    tmux.draft("");
    tmux.say("too late");
    tmux.see("alice> too late\n-- ");
    tmux.press(&["C-c"]);
    let screen = tmux.see("code ");
    assert!(!screen.contains("alice> too late"), "{screen}");
    let failed = screen.lines().filter(|line| line.starts_with("! this line was"));
    assert!(failed.clone().all(|line| line.ends_with(": too late")), "{screen}");
    assert_eq!(failed.count(), 1, "{screen}");
}

pub(super) fn a_line_with_the_users_name_stands_out_and_rings_the_bell() {
    let (server, tmux) = alice(80, 24, "", "");
    let raw = tmux.record();
    let mut bob = server.join("bob");
    tmux.see("2 here");
    bob.type_line("hello all, malice");
    tmux.see("malice");
    let rings = || std::fs::read(&raw).unwrap().iter().filter(|byte| **byte == 7).count();
    assert_eq!(rings(), 0);
    bob.type_line("what do you think, ALICE?");
    tmux.see("think, ALICE?");
    tmux.wait("the bell", |_| rings() == 1);
    bob.type_line("@alice between us");
    tmux.see("bob (to you alone): between us");
    tmux.say("/r yes, between us");
    bob.next_where("message", |event| event["text"] == "yes, between us");
    tmux.see("alice (to bob alone): yes, between us");
    let coloured = tmux.coloured();
    assert!(coloured.contains("\u{1b}[1;7mbob"), "{coloured:?}");
    let (before, _) = coloured.split_once(" (to you alone): between us").unwrap();
    assert!(before.rsplit('\n').next().unwrap().contains("\u{1b}[35m"), "{coloured:?}");
    let (server, tmux) = alice(80, 24, "", "--bell off");
    let raw = tmux.record();
    let mut bob = server.join("bob");
    tmux.see("2 here");
    bob.type_line("alice!");
    tmux.see("bob: alice!");
    tmux.wait("the record", |_| {
        std::fs::read(&raw).unwrap().ends_with(b"draft") || {
            tmux.write("draft");
            false
        }
    });
    assert!(!std::fs::read(&raw).unwrap().contains(&7));
}

pub(super) fn an_ignored_peer_is_hidden_until_it_is_unignored() {
    let (server, tmux) = alice(80, 24, "", "");
    let [mut bob, mut eve] = ["bob", "eve"].map(|name| server.join(name));
    tmux.see("3 here");
    tmux.say("/ignore EVE");
    tmux.see("* lines and whispers of EVE are hidden here until /unignore EVE");
    eve.type_line("spam");
    eve.type_line("@alice spam");
    eve.next_where("message", |event| event["to"] == "alice");
    bob.type_line("all well?");
    let screen = tmux.see("bob: all well?");
    assert!(!screen.contains("spam"), "{screen}");
    tmux.say("/r hello");
    tmux.see("! not sent: nobody has whispered to you yet");
    tmux.say("/unignore bob");
    tmux.see("! bob is not ignored; ignored: EVE");
    tmux.say("/unignore eve");
    tmux.see("* EVE is not ignored any more");
    eve.type_line("sorry");
    tmux.see("eve: sorry");
}

pub(super) fn a_new_nickname_is_used_at_once_and_told_to_all() {
    let (server, tmux) = alice(80, 24, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    tmux.say("/nick BOB");
    tmux.see("! your name stays as it is: the nickname BOB, or one that looks like it, is in");
    tmux.say("/nick alicia");
    tmux.see("* you are now known as alicia");
    let renamed = bob.next("renamed");
    assert_eq!((&renamed["from"], &renamed["to"]), (&"alice".into(), &"alicia".into()));
    assert_eq!(renamed["own"], false);
    tmux.say("hello");
    tmux.see("alicia> hello\n-- ");
    assert_eq!(bob.next("message")["from"], "alicia");
    bob.type_line("hi Alicia");
    tmux.see("bob: hi Alicia");
    assert!(tmux.coloured().contains("\u{1b}[1;7mbob"), "{:?}", tmux.coloured());
    bob.type_line("/nick rob");
    tmux.see("* bob is now known as rob");
    tmux.write("@r");
    tmux.press(&["Tab"]);
    tmux.draft("@rob");
}
