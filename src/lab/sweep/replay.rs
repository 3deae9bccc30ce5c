//! The same packets lost again, under another transport.

use super::{Config, Error, Job, Place};
use crate::impair::{CUT, Counts, Loss, Profile, Spec};
use crate::lab::plan::{Meeting, Plan};
use crate::lab::record::{self, Mode, RUN, RunInfo, read_run};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Runs what the run in `recorded` did over `mode`: the same load, and of the packets those lost
/// that were lost there, by their index in each direction. Everything else about the network, delay
/// and jitter, duplicates, damage and rate, comes from the recorded seed.
///
/// Both runs end up in `out`, side by side, for a report on both.
///
/// # Errors
/// [`Error::NoPattern`] for a run that recorded no losses, and those of [`super::run`].
pub fn replay(
    recorded: &Path,
    mode: Mode,
    out: PathBuf,
    program: PathBuf,
    place: Place,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let no_pattern = |why: String| Error::NoPattern { path: recorded.to_owned(), why };
    if recorded.join("runs").is_dir() {
        return Err(no_pattern(
            "it is a lab: name one of its runs, such as runs/NAME in it".into(),
        ));
    }
    let unfinished = || no_pattern(format!("it has no {RUN}, so it did not finish"));
    let info = read_run(recorded)?.info.ok_or_else(unfinished)?;
    let (plan, meeting) = again(&info, mode).map_err(no_pattern)?;
    let config = Config { plan, out, resume: false, program, place };
    config.claim().map_err(|error| match error {
        Error::NotEmpty(path) => Error::Taken(path),
        other => other,
    })?;
    let runs = config.out.join("runs");
    copy(recorded, &runs.join(&info.run))?;
    let name = format!("{}-replayed-{mode}", info.run);
    let job = Job::new(&config, &meeting, mode, name.clone());
    job.run(stop)?;
    // Said as it was meant, so that the report shows both as one condition.
    let dir = runs.join(name);
    let Some(did) = read_run(&dir)?.info else { return Err(Error::Stopped) };
    let RunInfo { condition, impair, run, .. } = info;
    Ok(RunInfo { condition, impair, replayed: Some(run), ..did }.write(&dir)?)
}

/// The plan of one run, and the network with the losses in place of their causes.
fn again(info: &RunInfo, mode: Mode) -> Result<(Plan, Meeting), String> {
    let network = info.network.as_ref().ok_or(
        "it does not say which packets its network lost; runs of `lab`, and of `load --impair`, do",
    )?;
    let text = info.impair.as_deref().unwrap_or_default();
    let asked: Spec = text
        .parse()
        .map_err(|error| format!("its network was not this program's own (\"{text}\": {error})"))?;
    let spec =
        Spec { up: losing(asked.up, &network.up)?, down: losing(asked.down, &network.down)? };
    let plan = Plan {
        modes: vec![mode],
        repetitions: 1,
        senders: info.senders,
        receivers: info.receivers,
        rate: info.rate,
        size: info.size,
        duration_s: info.duration_s,
        seed: info.seed,
        ..Plan::default()
    };
    let meeting = Meeting {
        condition: info.condition.unwrap_or_default(),
        spec,
        repetition: info.repetition + u32::from(mode == info.mode),
        seed: info.seed,
    };
    Ok((plan, meeting))
}

fn losing(asked: Profile, did: &Counts) -> Result<Profile, String> {
    if did.drops.ends_with(CUT) {
        return Err("it lost more packets than its run.json lists".to_owned());
    }
    let drop =
        did.drops.parse().map_err(|error| format!("its list of drops is damaged: {error}"))?;
    Ok(Profile { loss: Loss::default(), every: None, blackholes: Vec::new(), drop, ..asked })
}

/// A run's files: no directory in it but one of parts of rows.
fn copy(from: &Path, to: &Path) -> Result<(), record::Error> {
    fs::create_dir_all(to).map_err(record::Error::io("make", to))?;
    for entry in fs::read_dir(from).map_err(record::Error::io("read", from))? {
        let path = entry.map_err(record::Error::io("read", from))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name)).map_err(record::Error::io("copy", &path))?;
        }
    }
    Ok(())
}
