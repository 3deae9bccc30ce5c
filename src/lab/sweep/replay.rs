//! Replays a run's packet losses over another transport.

use super::{Config, Error, Job, Place};
use crate::impair::{Counts, Loss, Profile, Spec, SpecError, TRUNCATED};
use crate::lab::plan::{Plan, Repetitions, Trial};
use crate::lab::record::{self, Mode, RUN, Run, RunInfo, read_run};
use crate::lab::variant::Variant;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Why a run cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPattern {
    /// The directory is that of a lab.
    #[error("it is a lab: name one of its runs, such as runs/NAME in it")]
    Lab,
    /// The run was killed or failed.
    #[error("it did not finish: it has no {RUN}")]
    Unfinished,
    /// The run had no emulated network.
    #[error("it has no list of lost packets; runs of `lab` and of `load --impair` have one")]
    NoList,
    /// Another program emulated the network.
    #[error("its network was not emulated by chatagram (\"{text}\": {cause})")]
    OtherNetwork {
        /// The network, as the run describes it.
        text: String,
        /// Why that is not an impairment.
        cause: SpecError,
    },
    /// The list of lost packets is incomplete.
    #[error("it lost more packets than its {RUN} lists")]
    Truncated,
    /// The list of lost packets cannot be parsed.
    #[error("its list of drops is damaged: {0}")]
    Damaged(SpecError),
}

/// Repeats the recorded run over `mode`: the same load, with the packets lost that were lost there,
/// by their index in each direction. Everything else about the network (delay, jitter, duplicates,
/// damage, rate) comes from the recorded seed.
///
/// Both runs end up in `out`, side by side, for a report on both.
///
/// # Errors
/// [`Error::NoPattern`] for a run without recorded losses, and those of [`super::run`].
pub fn replay(
    recorded: &Path,
    mode: Mode,
    out: PathBuf,
    program: PathBuf,
    place: Place,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let no_pattern = |why| Error::NoPattern { path: recorded.to_owned(), why };
    if recorded.join("runs").is_dir() {
        return Err(no_pattern(NoPattern::Lab));
    }
    let Run { name: of, info, .. } = read_run(recorded)?;
    let info = info.ok_or_else(|| no_pattern(NoPattern::Unfinished))?;
    let (plan, trial) = plan_and_trial(&info, mode).map_err(no_pattern)?;
    let variant = Variant::new(mode, info.redundancy, Variant::of(&info).control);
    let config = Config::begin(plan, out, program, place).map_err(|error| match error {
        Error::NotEmpty(path) => Error::Taken(path),
        other => other,
    })?;
    let runs = config.out.join("runs");
    // The directory's name: the one in `run.json` may be a path, such as `../..`.
    copy(recorded, &runs.join(&of))?;
    let name = format!("{of}-replayed-{mode}");
    let job = Job::new(&config, &trial, variant, name.clone());
    job.run(1, stop)?;
    // Keep the original condition and impairment, so that the report groups both runs.
    let dir = runs.join(name);
    let Some(did) = read_run(&dir)?.info else { return Err(Error::Stopped) };
    let RunInfo { condition, impair, .. } = info;
    Ok(RunInfo { condition, impair, replayed: Some(of), ..did }.write(&dir)?)
}

/// The plan of one run, and its network with the recorded losses in place of random ones.
fn plan_and_trial(info: &RunInfo, mode: Mode) -> Result<(Plan, Trial), NoPattern> {
    let network = info.network.as_ref().ok_or(NoPattern::NoList)?;
    let text = info.impair.as_deref().unwrap_or_default();
    let other = |cause| NoPattern::OtherNetwork { text: text.to_owned(), cause };
    let asked: Spec = text.parse().map_err(other)?;
    let spec = Spec {
        up: with_recorded_losses(asked.up, &network.up)?,
        down: with_recorded_losses(asked.down, &network.down)?,
    };
    let plan = Plan {
        modes: vec![mode],
        redundancy: vec![info.redundancy],
        repetitions: Repetitions::Fixed(1),
        senders: info.senders,
        receivers: info.receivers,
        rate: vec![info.rate],
        size: vec![info.size],
        duration_s: info.duration_s,
        seed: info.seed,
        ..Plan::default()
    };
    let trial = Trial {
        name: info.run.clone(),
        rate: info.rate,
        size: info.size,
        condition: info.condition.unwrap_or_default(),
        spec,
        repetition: info.repetition + u32::from(mode == info.mode),
        seed: info.seed,
    };
    Ok((plan, trial))
}

fn with_recorded_losses(asked: Profile, did: &Counts) -> Result<Profile, NoPattern> {
    if did.drops.ends_with(TRUNCATED) {
        return Err(NoPattern::Truncated);
    }
    let drop = did.drops.parse().map_err(NoPattern::Damaged)?;
    Ok(Profile { loss: Loss::default(), every: None, blackholes: Vec::new(), drop, ..asked })
}

/// Copies a run's files and its directory of Parquet parts.
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
