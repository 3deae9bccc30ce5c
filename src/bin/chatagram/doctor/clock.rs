//! The clock: whether times of two machines are comparable.

use super::remedy::{Fix, Remedy};
use super::{Check, State, ask};

/// `synchronised`: what the kernel says of its clock; `None` if it does not tell.
pub(super) fn judge(synchronised: Option<bool>, remedy: &Remedy) -> Check {
    let check = |state, means| Check::new("clock", state, means);
    match synchronised {
        Some(true) => check(
            State::Ok,
            "synchronised: `transit_ms` of lines from other machines means something",
        ),
        Some(false) => check(
            State::Limited,
            "not synchronised, says the kernel: `transit_ms` of lines from other machines may be \
             off",
        )
        .with(synchronise(remedy)),
        None => check(
            State::Unknown,
            "the system does not tell whether it is synchronised: `transit_ms` of lines from other \
             machines may be off",
        ),
    }
}

/// The command that lets the system set its clock.
pub(super) fn synchronise(remedy: &Remedy) -> Fix {
    if ask::find("timedatectl").is_some() {
        remedy.as_root("timedatectl set-ntp true")
    } else {
        remedy.install("chrony", &[])
    }
}

#[cfg(target_os = "linux")]
pub(super) fn is_synchronised() -> Option<bool> {
    // Some containers forbid the call.
    super::sys::synchronised().ok().or_else(|| {
        let args = ["show", "--property", "NTPSynchronized", "--value"];
        match ask::run("timedatectl", &args)?.trim() {
            "yes" => Some(true),
            "no" => Some(false),
            _ => None,
        }
    })
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_synchronised() -> Option<bool> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsynchronised_clock_comes_with_a_command() {
        let of = |synchronised| judge(synchronised, &Remedy::default());
        let limited = of(Some(false));
        assert!(limited.state == State::Limited && limited.fix.is_some());
        assert_eq!((of(Some(true)).state, of(None).state), (State::Ok, State::Unknown));
    }
}
