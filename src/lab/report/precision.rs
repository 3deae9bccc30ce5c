//! Whether `--repetitions auto` reached its aim.

use super::Lab;
use super::text::{count, label, list};
use crate::lab::metrics::{Estimate, Group};
use crate::lab::plan::{Plan, Repetitions};

/// A sentence about the repetitions of one condition; `None` with a fixed number of them.
pub(super) fn sentence(lab: &Lab, groups: &[Group]) -> Option<String> {
    let percent = aim(lab)?;
    let most = groups.iter().map(|it| it.runs.len()).max().unwrap_or(0);
    let repetitions = count(most, "repetition");
    let wide = too_wide(groups, percent);
    Some(if wide.is_empty() {
        format!(
            "{repetitions}: the interval of each figure is at most {percent} % of its median wide."
        )
    } else {
        format!(
            "{repetitions}: not enough for intervals of at most {percent} % of the median. Wider \
             are those of {}.",
            list(&wide)
        )
    })
}

/// A sentence for each condition that did not reach the aim.
pub(super) fn missed(lab: &Lab) -> Vec<String> {
    let Some(percent) = aim(lab) else { return Vec::new() };
    let conditions = lab.groups.chunk_by(|a, b| a.setting == b.setting);
    let wide = conditions.filter(|it| !too_wide(it, percent).is_empty());
    wide.filter_map(|it| Some(format!("{}: {}", it[0].title, sentence(lab, it)?))).collect()
}

/// The largest width of an interval, in percent of its median.
fn aim(lab: &Lab) -> Option<f64> {
    let Ok(Plan { repetitions, .. }) = Plan::parse(lab.plan.as_ref()?) else { return None };
    Repetitions::percent(repetitions)
}

/// The figures whose interval is too wide or too uncertain.
fn too_wide(groups: &[Group], percent: f64) -> Vec<String> {
    let figures = groups.iter().flat_map(|it| it.figures().map(|(name, of)| (it, name, of)));
    let wide = figures.filter_map(|(group, name, estimate)| {
        let estimate = estimate.filter(|it| !it.is_within(percent))?;
        let width = match Estimate::width(estimate) {
            Some(width) => format!("{:.0} %", width * 100.0),
            None => "too few values".to_owned(),
        };
        Some(format!("the {name} over {} ({width})", label(&group.variant)))
    });
    wide.collect()
}
