//! The commands that repeat the runs, for a shell.

use super::Lab;
use crate::lab::record::{Emulation, Mode, RunInfo};
use crate::link::Copies;
use std::borrow::Cow;

/// Number of `load` commands on the page; a lab has one command for all its runs.
const MAX_LOADS: usize = 16;

/// The commands that repeat the runs: one for a lab or a replay, or one `load` for each group.
pub(super) fn command(lab: &Lab) -> String {
    if lab.runs.is_empty() {
        return "chatagram lab --out DIRECTORY".into();
    }
    if lab.plan.is_some() {
        return "chatagram lab plan.toml --out ANOTHER-DIRECTORY".into();
    }
    let mut replayed =
        lab.runs.iter().filter_map(|it| Some((&it.info, it.info.replayed.as_ref()?)));
    if let Some((info, of)) = replayed.next() {
        let (of, mode) = (format!("runs/{of}"), options(info.mode));
        return format!("chatagram replay {} {mode} --out ANOTHER-DIRECTORY", quoted(&of));
    }
    let first = lab.groups.iter().filter_map(|group| group.runs.first());
    let mut loads: Vec<_> = first.map(|&at| load(&lab.runs[at].info)).collect();
    if let Some(more) = loads.len().checked_sub(MAX_LOADS).filter(|more| *more > 0) {
        loads.truncate(MAX_LOADS);
        loads.push(format!("# and {more} more: run.json of each run has its settings"));
    }
    loads.join("\n")
}

fn load(info: &RunInfo) -> String {
    let RunInfo { senders, receivers, rate, size, duration_s, seed, .. } = info;
    let mut command = format!(
        "chatagram load SERVER {} --senders {senders} --receivers {receivers} --rate {rate} \
         --size {size} --duration {duration_s}s --seed {seed}",
        options(info.mode)
    );
    // Other networks were outside of `load`, which only records their condition.
    let in_process = info.emulation == Some(Emulation::InProcess);
    if let Some(spec) = info.impair.as_ref().filter(|_| in_process) {
        command += &format!(" --impair {}", quoted(spec));
    }
    if let Some(condition) = info.condition {
        command += &format!(" --condition {condition}");
    }
    if info.repetition != 1 {
        command += &format!(" --repetition {}", info.repetition);
    }
    if info.redundancy != Copies::Auto {
        command += &format!(" --redundancy {}", info.redundancy);
    }
    if info.no_delay == Some(false) {
        command += " --no-delay off";
    }
    command + " --out DIRECTORY"
}

/// A mode as options of `load` and `replay`.
fn options(mode: Mode) -> String {
    match mode {
        Mode::Tcp => "--transport tcp".to_owned(),
        Mode::Program(name) => format!("--program {}", name.as_str()),
        mode => format!("--transport {} --delivery {}", mode.transport(), mode.column()),
    }
}

/// One word of a POSIX shell.
fn quoted(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', "'\\''")).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_the_shell_is_quoted_where_it_has_to_be() {
        assert_eq!(quoted("runs/loss5-tcp-1"), "runs/loss5-tcp-1");
        assert_eq!(quoted("up: loss 5%; down: delay 1ms"), "'up: loss 5%; down: delay 1ms'");
        assert_eq!((quoted(""), quoted("it's $HOME")), ("''".into(), "'it'\\''s $HOME'".into()));
    }
}
