//! Runs that are left out of all numbers: their files are damaged, or they are not of this lab.

use super::Finished;
use crate::lab::plan::{Plan, Trial};
use crate::lab::record::Error;
use crate::protocol::clean_lines;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::path::Path;

/// A run that is left out, and the reason.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// The run's name: that of its directory.
    pub name: String,
    /// The reason.
    #[serde(serialize_with = "as_text")]
    pub why: Why,
}

/// The reason to leave a run out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// The run was killed.
    #[error("it did not finish")]
    Unfinished,
    /// The run failed.
    #[error("it failed: {0}")]
    Failed(String),
    /// A file is missing or damaged.
    #[error("{0}")]
    Files(#[from] Error),
    /// The seed is not that of the plan, as in a run copied from another lab.
    #[error("its seed is {found} where the plan has {planned}")]
    OtherSeed {
        /// The run's seed.
        found: u64,
        /// The plan's.
        planned: u64,
    },
    /// Another version measured most runs of the lab.
    #[error("chatagram {found} measured it, and {most} most runs")]
    OtherVersion {
        /// The run's version.
        found: String,
        /// The version of most runs.
        most: String,
    },
}

impl Why {
    /// The contents of a failed run's file.
    pub(super) fn failed(text: &str) -> Self {
        Self::Failed(clean_lines(text.trim_end()))
    }
}

fn as_text<S: Serializer>(why: &Why, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(why)
}

/// The name of a run's directory, when its files cannot be read.
pub(super) fn name(dir: &Path) -> String {
    dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Moves the runs that do not belong to this plan.
pub(super) fn separate(plan: &str, runs: &mut Vec<Finished>, left_out: &mut Vec<LeftOut>) {
    let seeds = seeds(plan);
    let most = version_of_most(runs);
    let stranger = |run: &Finished| {
        let (found, version) = (run.info.seed, &run.info.version);
        match seeds.get(&run.name) {
            Some(&planned) if planned != found => Some(Why::OtherSeed { found, planned }),
            _ if *version != most => {
                Some(Why::OtherVersion { found: version.clone(), most: most.clone() })
            }
            _ => None,
        }
    };
    runs.retain(|run| match stranger(run) {
        None => true,
        Some(why) => {
            left_out.push(LeftOut { name: run.name.clone(), why });
            false
        }
    });
}

/// The seed of each run of the plan, by name.
fn seeds(plan: &str) -> BTreeMap<String, u64> {
    let Ok(mut plan) = Plan::parse(plan) else { return BTreeMap::new() };
    let _ = plan.remove_repeats();
    let (variants, trials) = (plan.variants(), plan.trials().unwrap_or_default());
    let names = |trial: Trial| variants.iter().map(move |it| (trial.run(it), trial.seed));
    trials.into_iter().flat_map(names).collect()
}

/// The version of most runs; of the last one started where two are as frequent.
fn version_of_most(runs: &[Finished]) -> String {
    let mut versions = BTreeMap::<_, (usize, &str)>::new();
    for run in runs {
        let (count, last) = versions.entry(&run.info.version).or_default();
        *count += 1;
        *last = (*last).max(run.info.started.as_str());
    }
    let most = versions.into_iter().max_by_key(|it| it.1);
    most.map(|(version, _)| version.clone()).unwrap_or_default()
}
