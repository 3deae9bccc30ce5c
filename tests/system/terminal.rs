//! The client in a real terminal (tmux): the tests press keys and read the screen.

mod endings;
mod languages;
mod lines;
mod moderator;
mod questions;
mod tmux;

use crate::program::{Program, Server};
use std::process::Command;
use std::time::{Duration, Instant};
use tmux::{Tmux, assert_restored, normalised, observed};

/// A server, and alice's client in a terminal of this size.
fn alice(columns: u16, rows: u16, before: &str, args: &str) -> (Server, Tmux) {
    let server = Server::start(&["--no-history"]);
    let program = env!("CARGO_BIN_EXE_chatagram");
    let address = server.address;
    let client = format!("{before}{program} client {address} --nick alice --no-cache {args}");
    let tmux = Tmux::start(columns, rows, &observed(&client));
    tmux.see("* welcome to the room, alice");
    (server, tmux)
}

/// The text of the next line that bob receives from alice.
fn heard(bob: &mut Program) -> String {
    bob.next("message")["text"].as_str().unwrap().to_owned()
}

fn a_conversation_is_shown_as_documented() {
    let (server, tmux) = alice(80, 24, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    tmux.say("hello, 小明 and 🦀");
    assert_eq!(heard(&mut bob), "hello, 小明 and 🦀");
    bob.type_line("hi alice");
    tmux.see("bob: hi alice");
    tmux.say("/me waves");
    assert_eq!(heard(&mut bob), "*waves*");
    bob.type_line("* carl joined, 3 here");
    tmux.see("carl");
    tmux.say("@bob, psst");
    assert_eq!(bob.next_where("message", |e| e["private"] == true)["text"], "psst");
    tmux.see("(to bob alone)");
    tmux.say("/msg bob again");
    assert_eq!(heard(&mut bob), "again");
    tmux.see("alone): again");
    tmux.say("/hwo");
    tmux.see("did you mean");
    tmux.say("//slashed");
    assert_eq!(heard(&mut bob), "/slashed");
    tmux.write("draft");
    tmux.see("rtt ");
    let screen = tmux.draft("draft");
    let address = server.address.to_string();
    assert_eq!(
        normalised(&screen).replace(&address, "ADDRESS"),
        "\
$ chatagram
* welcome to the room, alice: 1 here
* bob joined, 2 here
HH:MM:SS alice> hello, 小明 and 🦀
HH:MM:SS bob: hi alice
HH:MM:SS alice> *waves*
HH:MM:SS bob: * carl joined, 3 here
> @bob, psst
HH:MM:SS alice (to bob alone): psst
> /msg bob again
HH:MM:SS alice (to bob alone): again
> /hwo
! not sent: no command /hwo; did you mean /who? (// says a line that begins
  with / or @)
HH:MM:SS alice> /slashed
-- ADDRESS | ordered | rtt N ms | loss 0 % up, 0 % down | 2 here
> draft"
    );
    let coloured = tmux.coloured();
    assert!(coloured.contains("\u{1b}[2m* welcome"), "{coloured:?}");
    assert!(coloured.contains("\u{1b}[1malice>"), "{coloured:?}");
}

fn incoming_lines_leave_the_draft_unchanged() {
    let (server, tmux) = alice(60, 20, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    // People: a line every 400 ms, and a key in between.
    let draft = "dräft 小明 🦀 ".repeat(3);
    let mut typed = String::new();
    for (count, key) in draft.chars().enumerate() {
        if count % 8 == 0 {
            bob.type_line(&format!("slow {count}"));
            std::thread::sleep(Duration::from_millis(400));
        }
        tmux.write(&key.to_string());
        typed.push(key);
        tmux.wait("draft", |screen| screen.ends_with(&format!("> {}", typed.trim_end())));
    }
    // Programs: 200 lines, 5 ms apart, some long and wide, while the user types on.
    let talker = std::thread::spawn(move || {
        for count in 0..200 {
            let long = if count % 10 == 0 { "長い".repeat(30) } else { String::new() };
            bob.type_line(&format!("fast {count:03}{long}"));
            std::thread::sleep(Duration::from_millis(5));
        }
        bob
    });
    tmux.see("fast ");
    let wide = "x".repeat(150);
    let begun = Instant::now();
    for piece in wide.as_bytes().chunks(15) {
        tmux.write(std::str::from_utf8(piece).unwrap());
    }
    let rejoined = |screen: &str| {
        let at = screen.rfind("\n> ").map_or(0, |at| at + 3);
        screen[at..].replace('\n', "")
    };
    let all = format!("{draft}{wide}");
    tmux.wait("whole draft", |screen| rejoined(screen) == all);
    assert!(begun.elapsed() < Duration::from_secs(10), "typing took {:?}", begun.elapsed());
    let mut bob = talker.join().unwrap();
    tmux.see("fast 199");
    let screen = tmux.wait("whole draft", |screen| rejoined(screen) == all);
    assert_eq!(screen.matches("\n-- ").count(), 1, "one status line:\n{screen}");
    tmux.press(&["Enter"]);
    assert_eq!(heard(&mut bob), all);
    tmux.draft("");
    // No line was lost, doubled or mixed on its way into the scrollback.
    let history = tmux.scrollback();
    let mut said: Vec<String> = Vec::new();
    for row in history.lines() {
        match row.strip_prefix("         ") {
            Some(more) => said.last_mut().unwrap().push_str(more.trim_end()),
            None => said.push(row.trim_end().to_owned()),
        }
    }
    let fast: Vec<_> = said.iter().filter(|line| line.contains("fast ")).collect();
    assert_eq!(fast.len(), 200, "{history}");
    for (count, line) in fast.iter().enumerate() {
        let long = if count % 10 == 0 { "長い".repeat(30) } else { String::new() };
        assert_eq!(&line[8..], format!(" bob: fast {count:03}{long}"));
    }
    assert_eq!(history.matches("dräft").count(), 3, "{history}");
}

fn a_pasted_page_is_sent_completely_and_in_order() {
    let (server, tmux) = alice(80, 24, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    let page: Vec<_> = (0..200).map(|line| format!("line {line:03}\tof 小 a page")).collect();
    tmux.paste(&page.join("\n"));
    tmux.see("line 199");
    // While the page is a draft, incoming lines do not scroll it out again and again.
    bob.type_line("meanwhile");
    tmux.press(&["Enter"]);
    for line in &page {
        // The client sends a tab, a control character, as a space.
        assert_eq!(heard(&mut bob), line.replace('\t', " "));
    }
    tmux.draft("");
    tmux.see("alice> line 199");
    assert_eq!(tmux.scrollback().matches("alice> line ").count(), 200);
    assert_eq!(tmux.scrollback().matches("bob: meanwhile").count(), 1);
    let drawn = tmux.scrollback().matches("line 100").count();
    assert!(drawn <= 3, "a page was drawn {drawn} times");
    // Without the marks of a paste too, as from a terminal that has none.
    tmux.write("one\rtwo\rthree\r");
    assert_eq!([heard(&mut bob), heard(&mut bob), heard(&mut bob)], ["one", "two", "three"]);
}

fn forty_columns_are_enough() {
    let (server, tmux) = alice(40, 16, "", "");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    tmux.say("a line that is longer than forty columns are");
    heard(&mut bob);
    tmux.say("/who");
    tmux.see("* bob ");
    tmux.write("draft");
    let screen = tmux.wait("figures", |screen| {
        screen.ends_with("> draft") && screen.contains("rtt") && screen.contains("* bob ")
    });
    let who = screen.lines().filter(|line| line.starts_with("* ") && line.ends_with(" ms"));
    assert_eq!(who.count(), 2, "{screen}");
    let status = normalised(screen.lines().rev().nth(1).unwrap());
    assert_eq!(status, "-- rtt N ms | 2 here");
    assert!(
        screen.contains("alice> a line that is longer\n         than forty columns are\n"),
        "{screen}"
    );
}

fn a_resized_terminal_keeps_the_room_and_the_draft() {
    const WIDE: &str = "\n-- 127.0.0.1:";
    const NARROW: &str = "\n-- rtt N ms | loss 0 % up, 0 % down | 2 here\n";
    const SLIM: &str = "\n-- rtt N ms | 2 here\n";
    let (server, tmux) = alice(100, 20, "", "");
    let process = tmux.file("pid").trim().parse().unwrap();
    let mut bob = server.join("bob");
    tmux.see("2 here");
    let draft = "0123456789".repeat(9);
    tmux.write(&draft);
    tmux.press(&["Left"]);
    let prompt = format!("> {draft}");
    let wrapped = |columns: usize| {
        let rows = prompt.as_bytes().chunks(columns).map(|row| std::str::from_utf8(row).unwrap());
        rows.collect::<Vec<_>>().join("\n")
    };
    let mut expected =
        vec!["$ chatagram".to_owned(), "* welcome to the room, alice: 1 here".to_owned()];
    expected.push("* bob joined, 2 here".to_owned());
    // On a half-empty screen, tmux drops rows that no scrollback reaches.
    for count in 0..30 {
        bob.type_line(&format!("fill {count}"));
        expected.push(format!("HH:MM:SS bob: fill {count}"));
    }
    tmux.see("fill 29");
    let sizes = [(100, WIDE), (50, NARROW), (30, SLIM), (120, WIDE), (50, NARROW), (92, WIDE)];
    tmux.see("rtt ");
    let mut end = wrapped(100);
    for (count, (columns, status)) in sizes.into_iter().enumerate() {
        let complete = |screen: &str| screen.ends_with(&end);
        // At once the program learns that the terminal has another size and that a line is there.
        tmux.resize((columns, 20), process, complete, || bob.type_line(&format!("line {count}")));
        expected.push(format!("HH:MM:SS bob: line {count}"));
        end = wrapped(columns.into());
        tmux.wait("the line, and the draft, drawn for this size", |screen| {
            let line = screen.contains(&format!("bob: line {count}\n-- "));
            let prompt = screen.ends_with(&end) && screen.matches('>').count() == 1;
            line && prompt && normalised(screen).contains(status)
        });
        // A narrower terminal scrolls rows off the screen: they count as well.
        let all = normalised(&tmux.scrollback());
        let room = all.lines().map(str::trim_end).take_while(|line| !line.starts_with("-- "));
        assert_eq!(room.collect::<Vec<_>>(), expected, "{columns} columns:\n{all}");
    }
    tmux.press(&["Enter"]);
    assert_eq!(heard(&mut bob), draft);
}

fn no_color_is_respected_and_a_dumb_terminal_gets_plain_lines() {
    let (server, tmux) = alice(80, 24, "env NO_COLOR=1 ", "");
    let mut bob = server.join("bob");
    tmux.see("bob joined");
    tmux.say("hello");
    heard(&mut bob);
    tmux.draft("");
    assert!(!tmux.coloured().contains('\u{1b}'), "{:?}", tmux.coloured());
    drop(tmux);
    let (server, tmux) = alice(80, 24, "env TERM=dumb ", "");
    let mut bob = server.join("bob");
    tmux.see("bob joined");
    tmux.say("hello");
    assert_eq!(heard(&mut bob), "hello");
    bob.type_line("hi");
    let screen = tmux.see("bob: hi");
    assert!(!screen.contains("> ") && !screen.contains("-- "), "{screen}");
    assert!(!tmux.coloured().contains('\u{1b}'), "{:?}", tmux.coloured());
}

fn tab_completes_names_and_commands_and_up_recalls_lines() {
    let (server, tmux) = alice(80, 24, "", "");
    let _here = ["alfred", "alberta"].map(|name| server.join(name));
    let mut bob = server.join("bob");
    tmux.see("4 here");
    tmux.write("@b");
    tmux.press(&["Tab"]);
    tmux.write("hello");
    tmux.draft("@bob hello");
    tmux.press(&["Enter"]);
    assert_eq!(heard(&mut bob), "hello");
    tmux.write("@a");
    tmux.press(&["Tab"]);
    tmux.draft("@al");
    tmux.press(&["Tab"]);
    tmux.see("* @alberta  @alfred");
    // The list does not wait for a key: lines still arrive.
    bob.type_line("still here");
    tmux.see("bob: still here");
    tmux.press(&["C-c"]);
    tmux.draft("");
    tmux.write("/st");
    tmux.press(&["Tab"]);
    tmux.draft("/stats");
    tmux.press(&["C-c"]);
    tmux.draft("");
    tmux.press(&["Up"]);
    tmux.draft("@bob hello");
}

fn ctrl_z_and_fg_keep_the_terminal_and_the_draft() {
    let server = Server::start(&["--no-history"]);
    let program = env!("CARGO_BIN_EXE_chatagram");
    let shell = "PS1='$ ' exec bash --norc --noprofile -i\n";
    let tmux = Tmux::start(80, 24, shell);
    tmux.see("$");
    let address = server.address;
    tmux.say(&format!("stty -a > before; {program} client {address} --nick alice --no-cache"));
    tmux.see("* welcome");
    let mut bob = server.join("bob");
    tmux.see("2 here");
    tmux.write("draft");
    tmux.draft("draft");
    tmux.press(&["C-z"]);
    tmux.see("Stopped");
    tmux.say("stty -a > stopped");
    assert_eq!(tmux.file("before"), tmux.file("stopped"));
    bob.type_line("meanwhile");
    tmux.say("fg");
    tmux.see("bob: meanwhile");
    tmux.draft("draft");
    tmux.press(&["Enter"]);
    // At once, because the key may arrive between two lines of the editor.
    tmux.press(&["C-d"]);
    assert_eq!(heard(&mut bob), "draft");
    let screen = tmux.see("* you left");
    let end: Vec<_> = screen.lines().skip_while(|line| !line.contains("meanwhile")).collect();
    assert!(end[1].ends_with(" alice> draft") && end[2] == "* you left", "{screen}");
    tmux.say("stty -a > after");
    assert_eq!(tmux.file("before"), tmux.file("after"));
}

/// Not a test: the program that the next test runs in a terminal.
fn panics(_: &[&str]) {
    chatagram::client::end_on_panic(|| ());
    chatagram::client::keep_terminal();
    assert!(Command::new("stty").args(["raw", "-echo"]).status().unwrap().success());
    print!("\u{1b}[?2004h\u{1b}[?25l");
    std::io::Write::flush(&mut std::io::stdout()).unwrap();
    panic!("on purpose");
}

fn a_panic_restores_the_terminal() {
    let this = std::env::current_exe().unwrap();
    let command = format!("{} --role panics", this.display());
    let tmux = Tmux::start(80, 24, &observed(&command));
    tmux.see("on purpose");
    assert_restored(&tmux, "code 101");
}

fn log_messages_stay_out_of_the_draft() {
    let (server, tmux) = alice(80, 24, "", "-vvv --transport tcp");
    // Before the editor begins, messages go to standard error as they are.
    let plain = |text: &str| {
        text.lines().filter(|line| line.contains("[TRACE]") && !line.starts_with("* [")).count()
    };
    tmux.write("draft");
    tmux.draft("draft");
    let before = plain(&tmux.scrollback());
    let mut bob = server.join("bob");
    server.program.signal("KILL");
    tmux.see("* [TRACE]");
    tmux.draft("draft");
    let all = tmux.scrollback();
    assert_eq!(plain(&all), before, "{all}");
    let all = all.split_once("* welcome").unwrap().1;
    assert!(!all.contains("rustyline") && all.matches("draft").count() == 1, "{all}");
    bob.end_input();
}

fn without_a_terminal_as_input_there_is_no_editor() {
    for input in ["</dev/null", "< <(echo from a pipe)"] {
        let server = Server::start(&["--no-history"]);
        let mut bob = server.join("bob");
        let program = env!("CARGO_BIN_EXE_chatagram");
        let client = format!("{program} client {} --nick alice --no-cache {input}", server.address);
        let script =
            format!("stty -a > before; {client}; echo code $?; stty -a > after; exec cat -v");
        let tmux = Tmux::start(80, 24, &script);
        bob.next("joined");
        bob.next("left");
        assert_restored(&tmux, "code 0");
        let screen = tmux.screen();
        assert!(!screen.contains("-- ") && !screen.contains("> "), "{screen}");
        assert_eq!(bob.events("message").len(), usize::from(input.contains("pipe")));
    }
}

fn lines_wrap_between_words_and_pasted_whispers_stay_private() {
    let (server, tmux) = alice(40, 24, "", "");
    let [mut bob, mut eve] = ["bob", "eve"].map(|name| server.join(name));
    tmux.see("3 here");
    bob.type_line("the quick brown fox jumps over the lazy dog and runs");
    tmux.see("bob: the quick brown fox jumps\n         over the lazy dog and runs\n");
    tmux.paste(
        "\u{feff}@bob secret\n\u{200b}＠bob secret\n @ bob secret\n@bob:secret\n//@bob hello",
    );
    tmux.press(&["Enter"]);
    assert_eq!(heard(&mut eve), "the quick brown fox jumps over the lazy dog and runs");
    assert_eq!(heard(&mut eve), "@bob hello");
    assert_eq!([heard(&mut bob), heard(&mut bob)], ["secret", "secret"]);
    tmux.draft("");
    tmux.wait("two errors", |screen| screen.matches("! not sent: ").count() == 2);
}

fn json_output_has_no_editor() {
    let server = Server::start(&["--no-history"]);
    let program = env!("CARGO_BIN_EXE_chatagram");
    let client =
        format!("{program} client {} --nick alice --no-cache --output json", server.address);
    let tmux = Tmux::start(80, 24, &observed(&client));
    tmux.see("\"event\":\"welcome\"");
    tmux.write("/quit");
    let screen = tmux.see("\n/quit");
    assert!(!screen.contains("\n-- "), "{screen}");
    tmux.press(&["Enter"]);
    assert_restored(&tmux, "code 0");
}

tests! {
    a_conversation_is_shown_as_documented,
    incoming_lines_leave_the_draft_unchanged,
    a_pasted_page_is_sent_completely_and_in_order,
    forty_columns_are_enough,
    a_resized_terminal_keeps_the_room_and_the_draft,
    no_color_is_respected_and_a_dumb_terminal_gets_plain_lines,
    tab_completes_names_and_commands_and_up_recalls_lines,
    ctrl_z_and_fg_keep_the_terminal_and_the_draft,
    endings::every_exit_restores_the_terminal,
    endings::a_refusal_and_a_second_signal_restore_the_terminal,
    a_panic_restores_the_terminal,
    log_messages_stay_out_of_the_draft,
    without_a_terminal_as_input_there_is_no_editor,
    questions::host_has_the_editor_too,
    questions::the_client_asks_for_a_name_and_asks_again_after_a_refusal,
    questions::host_asks_before_it_closes_a_room_with_members,
    lines_wrap_between_words_and_pasted_whispers_stay_private,
    json_output_has_no_editor,
    lines::a_line_is_dimmed_until_the_server_confirms_it_and_a_failed_one_is_marked,
    lines::a_line_with_the_users_name_stands_out_and_rings_the_bell,
    lines::a_new_nickname_is_used_at_once_and_told_to_all,
    moderator::the_host_moderates_in_its_editor,
    moderator::the_operator_types_orders_at_the_server,
    lines::an_ignored_peer_is_hidden_until_it_is_unignored,
    languages::a_conversation_reads_in_each_language,
    languages::programs_read_the_same_in_each_language,
    languages::the_locale_chooses_the_language_and_the_option_overrides_it,
    @role panics,
}
