//! The help of each command on one screen, and its end: examples, exit codes, and a page to read.
//!
//! `-h` has the usual options; `--help` has all of them, and exit codes. Only the manual page has
//! the paragraphs about an option.

use clap::builder::Resettable;
use clap::{Arg, Command};

/// The end of a command's help.
pub(super) struct Tail {
    examples: &'static str,
    exit_codes: &'static str,
    /// A page under `src/docs`, without its extension.
    page: &'static str,
}

impl Tail {
    pub(super) fn short(&self) -> String {
        format!("Examples:\n{}", self.examples)
    }

    pub(super) fn long(&self) -> String {
        format!(
            "{}\n\nExit codes:\n{}\n\n\
             Each option is an environment variable too: --log-file is CHATAGRAM_LOG_FILE.\n\
             More: src/docs/{}.md in the source, and the pages that `chatagram man DIR` writes.",
            self.short(),
            self.exit_codes,
            self.page
        )
    }
}

/// Gives each option one line. `-h` leaves out the unusual ones and the exit codes.
pub(super) fn on_one_screen(command: Command, is_short: bool) -> Command {
    let one_line = |arg: Arg| {
        let has_values = arg.get_action().takes_values();
        let arg = arg.hide_env(true);
        let arg = if has_values { arg.hide_possible_values(true) } else { arg };
        if is_short { arg } else { arg.hide_short_help(false).long_help(Resettable::Reset) }
    };
    let command = command.mut_args(one_line);
    let whole_end = command.get_after_long_help().cloned();
    match whole_end.filter(|_| !is_short) {
        Some(end) => command.after_help(end).after_long_help(Resettable::Reset),
        None => command,
    }
}

const CHAT_CODES: &str = "  \
  0  left in order
  1  could not start, print or read: port in use, input not UTF-8, ...
  2  usage
  3  server unreachable, or none found
  4  refused: name taken, room full, name not allowed, no valid ticket
  5  lost, and gave up
130  interrupted";

const OTHER_CODES: &str = "  \
  0  done
  1  could not start, read or write
  2  usage
130  interrupted";

pub(super) const ALL: Tail = Tail {
    examples: "  \
  chatagram host --nick alice       # opens a room and talks in it
  chatagram client --nick bob       # joins the room found on this network
  chatagram lab                     # measures what loss does to UDP and TCP
  chatagram client -h               # the options of a command",
    exit_codes: CHAT_CODES,
    page: "chat",
};

pub(super) const SERVER: Tail = Tail {
    examples: "  \
  chatagram server
  chatagram server --bind 0.0.0.0:2428 --history room.jsonl --log-file room.log
  chatagram server --metrics --max-peers 1000 --max-peers-per-ip 1000",
    exit_codes: CHAT_CODES,
    page: "operations",
};

pub(super) const CLIENT: Tail = Tail {
    examples: "  \
  chatagram client --nick bob
  chatagram client 192.168.1.5 --delivery unreliable --impair 'loss 20%'
  chatagram client --ticket-file room.ticket     # a private room
  printf 'hello\\n' | chatagram client 192.168.1.5 --nick bot",
    exit_codes: CHAT_CODES,
    page: "chat",
};

pub(super) const HOST: Tail = Tail {
    examples: "  \
  chatagram host --nick alice
  chatagram host --nick alice --room 'room 12' --no-history",
    exit_codes: CHAT_CODES,
    page: "chat",
};

pub(super) const DISCOVER: Tail = Tail {
    examples: "  \
  chatagram discover
  chatagram discover --wait 3s --output json",
    exit_codes: CHAT_CODES,
    page: "chat",
};

pub(super) const WATCH: Tail = Tail {
    examples: "  \
  chatagram watch 192.168.1.5
  chatagram watch 192.168.1.5 --output json --interval 5s",
    exit_codes: CHAT_CODES,
    page: "operations",
};

pub(super) const LOAD: Tail = Tail {
    examples: "  \
  chatagram load 192.168.1.5 --receivers 40 --out run1
  chatagram load 192.168.1.5 --transport tcp --rate 10 --duration 1m --out run2",
    exit_codes: CHAT_CODES,
    page: "lab",
};

pub(super) const LAB: Tail = Tail {
    examples: "  \
  chatagram lab
  chatagram lab --loss 0,5 --burst 1,3 --modes unreliable,tcp --out DIR
  chatagram lab --print-plan > plan.toml
  chatagram lab plan.toml --resume",
    exit_codes: OTHER_CODES,
    page: "lab",
};

pub(super) const REPLAY: Tail = Tail {
    examples: "  \
  chatagram replay chatagram-lab/runs/NAME --transport tcp",
    exit_codes: OTHER_CODES,
    page: "lab",
};

pub(super) const REPORT: Tail = Tail {
    examples: "  \
  chatagram report chatagram-lab",
    exit_codes: OTHER_CODES,
    page: "lab",
};

pub(super) const DECODE: Tail = Tail {
    examples: "  \
  chatagram decode 43470102 d618a994 01234567 89abcdef
  xxd -p datagram.bin | chatagram decode -",
    exit_codes: "  \
  0  accepted
  1  rejected
  2  usage, or no bytes to read",
    page: "lab",
};

pub(super) const GRADE: Tail = Tail {
    examples: "  \
  chatagram grade -- python3 my_client.py
  chatagram grade --only part1 --brief -- ./my_client
  chatagram grade --list",
    exit_codes: "  \
  0  all criteria passed
  1  a criterion failed
  2  usage
  3  the client could not be started",
    page: "grading",
};

pub(super) const KIT: Tail = Tail {
    examples: "  \
  chatagram kit python my-client
  cd my-client && make grade",
    exit_codes: "  \
  0  written
  1  could not write
  2  usage, or the directory is not empty",
    page: "grading",
};

pub(super) const DOCTOR: Tail = Tail {
    examples: "  \
  chatagram doctor
  chatagram doctor --output json",
    exit_codes: "  \
  0  reported, whatever was found
  1  could not print
  2  usage",
    page: "operations",
};

pub(super) const COMPLETIONS: Tail = Tail {
    examples: "  \
  eval \"$(chatagram completions bash)\"   # in ~/.bashrc
  eval \"$(chatagram completions zsh)\"    # in ~/.zshrc, after compinit
  chatagram completions fish | source    # in ~/.config/fish/config.fish",
    exit_codes: PRINTING_CODES,
    page: "operations",
};

pub(super) const MAN: Tail = Tail {
    examples: "  \
  chatagram man | man -l -
  chatagram man ~/.local/share/man/man1",
    exit_codes: PRINTING_CODES,
    page: "operations",
};

const PRINTING_CODES: &str = "  \
  0  printed or written
  1  could not print or write
  2  usage";
