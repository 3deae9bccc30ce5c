//! Parses the text of a [`Spec`]. Every error names the item and the remedy.

use super::error::names;
use super::{Burst, Loss, PRESETS, Profile, Share, Spec, SpecError, SpecProblem};
use crate::impair::Direction;
use crate::impair::queue::MAX_HELD;
use crate::quantity;
use std::num::NonZeroU64;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

/// Each item's name and its syntax.
pub(super) const ITEMS: [(&str, &str); 11] = [
    ("loss", "loss 5% or loss 5% burst 3"),
    ("gilbert", "gilbert 1% 25%, with the loss of the bad and the good state if you like"),
    ("drop", "drop 5,17-19"),
    ("every", "every 10"),
    ("blackhole", "blackhole 2s-5s"),
    ("delay", "delay 25ms"),
    ("jitter", "jitter 5ms"),
    ("duplicate", "duplicate 1%"),
    ("corrupt", "corrupt 1%"),
    ("rate", "rate 2mbit"),
    ("limit", "limit 100"),
];
/// The preset that impairs nothing.
pub(super) const NONE: &str = "none";

/// # Errors
/// An unknown item, a value out of range, or items that contradict each other, with the right
/// syntax.
impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let text = text.to_ascii_lowercase();
        let mut spec = Self::default();
        let mut named: Vec<Direction> = Vec::new();
        for section in text.split(';').map(str::trim) {
            let Some((label, items)) = section.split_once(':') else {
                if !named.is_empty() {
                    return Err(SpecError::new(section, SpecProblem::BothAfterOne));
                }
                read(section, Direction::Up, &mut spec.up)?;
                read(section, Direction::Down, &mut spec.down)?;
                continue;
            };
            let direction = direction(label.trim())?;
            if named.contains(&direction) {
                return Err(SpecError::new(label, SpecProblem::DirectionTwice));
            }
            named.push(direction);
            let profile = match direction {
                Direction::Up => &mut spec.up,
                Direction::Down => &mut spec.down,
            };
            read(items, direction, profile)?;
        }
        Ok(spec)
    }
}

fn direction(label: &str) -> Result<Direction, SpecError> {
    match label {
        "up" => Ok(Direction::Up),
        "down" => Ok(Direction::Down),
        _ => Err(SpecError::new(label, SpecProblem::UnknownDirection)),
    }
}

/// Parses items separated by commas on top of `profile`.
fn read(text: &str, direction: Direction, profile: &mut Profile) -> Result<(), SpecError> {
    let mut seen: Vec<&str> = Vec::new();
    for (place, item) in items(text)?.iter().enumerate() {
        let fail = |problem| SpecError::new(item, problem);
        let words = words(item);
        let mut words = words.iter().map(String::as_str);
        let name = words.next().unwrap_or_default();
        if let Some(preset) = preset(name) {
            if place > 0 || words.next().is_some() {
                return Err(fail(SpecProblem::PresetNotFirst));
            }
            let Spec { up, down } = preset?;
            *profile = if direction == Direction::Up { up } else { down };
            continue;
        }
        let Some(&(known, usage)) = ITEMS.iter().find(|(known, _)| *known == name) else {
            return Err(SpecError::new(name, unknown(name)));
        };
        // Both set the random loss.
        let what = if known == "gilbert" { "loss" } else { known };
        if seen.contains(&what) {
            return Err(fail(SpecProblem::SetTwice(what)));
        }
        seen.push(what);
        let words: Vec<&str> = words.collect();
        set(profile, name, &words, usage).map_err(fail)?;
    }
    match (profile.limit, profile.rate) {
        (Some(limit), None) => {
            Err(SpecError::new(&format!("limit {limit}"), SpecProblem::LimitWithoutRate))
        }
        _ => Ok(()),
    }
}

/// Splits a section into items. A piece that begins with a digit continues the list before it.
fn items(text: &str) -> Result<Vec<String>, SpecError> {
    let mut items: Vec<String> = Vec::new();
    for piece in text.split(',').map(str::trim) {
        if piece.is_empty() {
            let text = if text.is_empty() { "\"\"" } else { text };
            return Err(SpecError::new(text, SpecProblem::MissingItem));
        }
        let list = |item: &&mut String| item.starts_with("drop ") || item.starts_with("blackhole ");
        if !piece.starts_with(|c: char| c.is_ascii_digit() || c == '…') {
            items.push(piece.to_owned());
        } else if let Some(item) = items.last_mut().filter(list) {
            item.push(',');
            item.push_str(piece);
        } else {
            return Err(SpecError::new(piece, SpecProblem::NumberWithoutName));
        }
    }
    Ok(items)
}

/// Splits an item into words. A unit after a number and a space joins the number.
fn words(item: &str) -> Vec<String> {
    let units = quantity::TIMES.iter().chain(&quantity::SHARES).chain(&quantity::RATES);
    let units: Vec<&str> = units.map(|(name, _)| *name).collect();
    let mut words: Vec<String> = Vec::new();
    for word in item.split_whitespace() {
        let unit = word.split(['-', ',']).next().unwrap_or_default();
        match words.last_mut() {
            Some(last) if units.contains(&unit) && last.ends_with(|c: char| c.is_ascii_digit()) => {
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// The values of a preset; `None` if `name` is none.
fn preset(name: &str) -> Option<Result<Spec, SpecError>> {
    if name == NONE {
        return Some(Ok(Spec::default()));
    }
    PRESETS.iter().find(|(preset, _)| *preset == name).map(|(_, text)| text.parse())
}

/// Sets one item. `usage` is its right form.
fn set(
    profile: &mut Profile,
    name: &str,
    words: &[&str],
    usage: &'static str,
) -> Result<(), SpecProblem> {
    match (name, words) {
        ("loss", [loss]) => profile.loss = Loss::Independent(share(loss)?),
        ("loss", [loss, "burst", mean]) => profile.loss = burst(share(loss)?, mean)?,
        ("gilbert", [p, r, rest @ ..]) if rest.len() <= 2 => {
            let or =
                |place: usize, default| rest.get(place).map_or(Ok(default), |text| share(text));
            let (bad, good) = (or(0, Share::ALL)?, or(1, Share::NONE)?);
            profile.loss = Loss::Gilbert { p: share(p)?, r: share(r)?, bad, good };
        }
        ("drop", [list]) => {
            profile.drop = list.parse().map_err(SpecProblem::Drop)?;
        }
        ("every", [n]) => {
            let n: Option<NonZeroU64> = n.parse().ok();
            profile.every = Some(n.ok_or(SpecProblem::Every)?);
        }
        ("blackhole", [windows]) => {
            profile.blackholes = windows.split(',').map(window).collect::<Result<_, _>>()?;
        }
        ("delay", [delay]) => profile.delay = time(delay)?,
        ("jitter", [jitter]) => profile.jitter = time(jitter)?,
        ("duplicate", [part]) => profile.duplicate = share(part)?,
        ("corrupt", [part]) => profile.corrupt = share(part)?,
        ("rate", [rate]) => profile.rate = Some(quantity::bit_rate(rate)?),
        ("limit", [limit]) => {
            let limit: Option<usize> = limit.parse().ok();
            let limit = limit.filter(|limit| (1..=MAX_HELD).contains(limit));
            profile.limit = Some(limit.ok_or(SpecProblem::Limit)?);
        }
        _ => return Err(SpecProblem::Form(usage)),
    }
    Ok(())
}

fn share(text: &str) -> Result<Share, quantity::Error> {
    quantity::share(text).map(Share::from_billionths)
}

fn burst(loss: Share, mean: &str) -> Result<Loss, SpecProblem> {
    let mean = Burst::from_thousandths(quantity::burst(mean)?);
    if mean.fits(loss) { Ok(Loss::Burst { loss, mean }) } else { Err(SpecProblem::BurstTooShort) }
}

fn time(text: &str) -> Result<Duration, quantity::Error> {
    quantity::duration(text, &quantity::DELAY)
}

fn window(text: &str) -> Result<Range<Duration>, SpecProblem> {
    let times = text.split_once('-').ok_or_else(|| SpecProblem::NoEnd(text.to_owned()))?;
    let (start, end) = (time(times.0)?, time(times.1)?);
    if start < end { Ok(start..end) } else { Err(SpecProblem::EndsBeforeStart(text.to_owned())) }
}

/// The error for an unknown name.
fn unknown(name: &str) -> SpecProblem {
    match names().map(|known| (distance(name, known), known)).min() {
        Some((distance, known)) if distance <= 2 && distance < known.len() / 2 + 1 => {
            SpecProblem::Misspelt(known)
        }
        _ => SpecProblem::UnknownItem,
    }
}

/// The Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.chars().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests;
