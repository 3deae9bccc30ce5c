//! A build without QUIC.

use crate::program::Program;

const QUIC: &[&str] = &["--transport", "quic"];

fn a_build_without_quic_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    for command in [&["client", "127.0.0.1"][..], &["watch", "127.0.0.1"], &["load", "127.0.0.1"]] {
        let out = dir.path().join("out");
        let out = ["--out", out.to_str().unwrap()];
        let more: &[&str] = if command[0] == "load" { &out } else { &["--nick", "a"] };
        let mut program = Program::start(dir.path(), &[command, QUIC, more].concat());
        assert_eq!(program.wait(), Some(2), "{}", program.output());
        let said = program.output();
        assert!(said.contains("this build has no QUIC: cargo install --features quic"), "{said}");
    }
}

fn a_server_without_quic_refuses_its_options() {
    let dir = tempfile::tempdir().unwrap();
    for option in [["--quic", "127.0.0.1:0"], ["--congestion", "bbr"]] {
        let mut program = Program::start(dir.path(), &[&["server"][..], &option].concat());
        assert_eq!(program.wait(), Some(2), "{}", program.output());
        let said = program.output();
        assert!(said.contains("cargo install --features quic"), "{said}");
    }
}

/// A ticket's text, which no build without QUIC can use.
const TICKET: &str = "chatagram://127.0.0.1:2428/AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\
                      CQkJCQkJCQkJCQkJCQkJCQkJCQnpzqi-";

fn a_private_room_needs_quic() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["server", "--private"][..], &["client", TICKET], &["watch", TICKET]] {
        let nick = if args[0] == "server" { &[][..] } else { &["--nick", "a"] };
        let mut program = Program::start(dir.path(), &[args, nick].concat());
        assert_eq!(program.wait(), Some(2), "{}", program.output());
        assert!(program.output().contains("cargo install --features quic"), "{}", program.output());
    }
}

tests! {
    a_private_room_needs_quic,
    a_build_without_quic_says_how_to_get_it,
    a_server_without_quic_refuses_its_options,
}
