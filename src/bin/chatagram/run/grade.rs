//! `grade`.

use super::{COULD_NOT_START, REJECTED, UNREACHABLE, USAGE, fail, print};
use crate::cli::GradeArgs;
use chatagram::grade::{self, Config, Error, Graded, Plan, Verdict, render, seed_of};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::{fs, io};

/// Seed without an option.
const SEED: u64 = 1;

/// Grades a client, or a class.
pub(crate) fn grade(args: &GradeArgs) -> ExitCode {
    let plan = match args.plan.as_deref().map(Plan::read).transpose() {
        Ok(plan) => plan.unwrap_or_default(),
        Err(error) => return fail(USAGE, error),
    };
    if args.list {
        return list(args, plan);
    }
    if args.command.is_empty() && args.class.is_none() {
        return fail(USAGE, "name the client to grade: chatagram grade -- python3 my_client.py");
    }
    let key = match args.course_key.as_deref().map(read_key).transpose() {
        Ok(key) => key,
        Err(error) => return fail(USAGE, error),
    };
    let seed = |student: Option<&str>| match (&key, student) {
        (Some(key), Some(student)) => seed_of(key, student),
        _ => args.seed.unwrap_or(SEED),
    };
    // Before the first thread: a process with threads cannot enter a user namespace.
    let note = match grade::confine_network() {
        Ok(()) => None,
        Err(error) => Some(format!("the client could use the machine's network: {error}")),
    };
    let config = Config {
        command: args.command.clone(),
        seed: seed(args.student.as_deref()),
        only: args.only.clone(),
        plan,
    };
    let code = match &args.class {
        Some(dir) => class(args, dir, &config, |name| seed(Some(name)), note),
        None => one(args, &config, note),
    };
    grade::end_survivors();
    code
}

fn one(args: &GradeArgs, config: &Config, note: Option<String>) -> ExitCode {
    let mut report = match grade::grade(config) {
        Ok(report) => report,
        Err(error @ Error::Unknown(_)) => return fail(USAGE, error),
        Err(error) => return fail(UNREACHABLE, error),
    };
    report.notes.extend(note);
    let code = print(&format!("{}\n", render(&report, args.format.into(), args.brief)));
    let is_good = report.verdicts.iter().all(|(_, verdict)| *verdict == Verdict::Passed);
    if code == ExitCode::SUCCESS && !is_good { ExitCode::from(REJECTED) } else { code }
}

/// Grades a folder. What the submissions earn is no failure of this command.
fn class(
    args: &GradeArgs,
    dir: &Path,
    config: &Config,
    seed: impl Fn(&str) -> u64 + Sync,
    note: Option<String>,
) -> ExitCode {
    let class = match grade::grade_class(dir, config, seed) {
        Ok(class) => class,
        Err(Error::System(error)) => {
            return fail(USAGE, format!("cannot read {}: {error}", dir.display()));
        }
        Err(error) => return fail(USAGE, error),
    };
    if let Some(out) = &args.out
        && let Err(error) = write(out, &class, args)
    {
        return fail(COULD_NOT_START, format!("cannot write {}: {error}", out.display()));
    }
    let note = note.map(|it| format!("{it}\n")).unwrap_or_default();
    print(&(grade::class_text(&class) + &note))
}

fn write(out: &Path, class: &[Graded], args: &GradeArgs) -> io::Result<()> {
    fs::create_dir_all(out)?;
    fs::write(out.join("summary.csv"), grade::class_csv(class))?;
    fs::write(out.join("summary.html"), grade::class_html(class))?;
    for it in class {
        if let Ok(report) = &it.outcome {
            let text = render(report, args.format.into(), args.brief);
            fs::write(out.join(format!("{}.report", it.name)), text + "\n")?;
        }
    }
    Ok(())
}

fn read_key(file: &Path) -> Result<Vec<u8>, String> {
    match fs::read(file) {
        Ok(key) if key.is_empty() => Err(format!("{} has no key in it", file.display())),
        Ok(key) => Ok(key),
        Err(error) => Err(format!("cannot read {}: {error}", file.display())),
    }
}

/// Prints the criteria, for people.
fn list(args: &GradeArgs, plan: Plan) -> ExitCode {
    let config = Config { command: Vec::new(), seed: SEED, only: args.only.clone(), plan };
    let criteria = match grade::wanted(&config) {
        Ok(criteria) => criteria,
        Err(error) => return fail(USAGE, error),
    };
    print(&criteria.iter().fold(String::new(), |mut out, it| {
        let _ = writeln!(out, "{:2}  {:13} {} ({})", it.points, it.id, it.name, it.section);
        out
    }))
}
