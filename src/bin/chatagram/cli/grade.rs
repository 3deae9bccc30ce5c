//! The options of `grade`.

use chatagram::grade::Format;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;

/// Options of `grade`.
#[derive(Debug, Args)]
pub(crate) struct GradeArgs {
    /// The client to grade: a command, run with HOST:PORT and a name behind it
    ///
    /// The client says each line of its standard input, prints what it receives, one line each,
    /// and leaves at the line 'exit' or at the end of its input. It runs without privileges, with
    /// limits, and where the system has namespaces, without any network but loopback.
    #[arg(value_name = "COMMAND", env = "CHATAGRAM_COMMAND", trailing_var_arg = true)]
    pub(crate) command: Vec<OsString>,
    /// Format of the report: text, json, junit, gradescope, csv
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t, env = "CHATAGRAM_FORMAT")]
    pub(crate) format: FormatArg,
    /// Seed of the names, the texts and the losses [default: 1]
    ///
    /// A report names its seed. The same seed has the same cases again.
    #[arg(long, value_name = "SEED", env = "CHATAGRAM_SEED")]
    pub(crate) seed: Option<u64>,
    /// Take the seed from this student's id and the course's key
    #[arg(
        long,
        value_name = "ID",
        env = "CHATAGRAM_STUDENT",
        requires = "course_key",
        conflicts_with = "seed"
    )]
    pub(crate) student: Option<String>,
    /// File with the course's key: any bytes that students do not know
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_COURSE_KEY")]
    pub(crate) course_key: Option<PathBuf>,
    /// Judge only these criteria, and those that they need: part1,slow
    ///
    /// 'part1' and 'part2' are all criteria of a part of proto.md, 'part3' the optional ones.
    #[arg(long, value_name = "ID,...", env = "CHATAGRAM_ONLY", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// A teacher's plan: criteria, points, cases and scenarios, as TOML
    ///
    /// src/docs/grading.md describes the file. --only takes the place of its criteria.
    #[arg(long, value_name = "FILE", env = "CHATAGRAM_PLAN")]
    pub(crate) plan: Option<PathBuf>,
    /// Leave out the datagrams in question
    #[arg(long, env = "CHATAGRAM_BRIEF", value_parser = FalseyValueParser::new())]
    pub(crate) brief: bool,
    /// Grade each file and directory in DIR, and print a table
    ///
    /// In COMMAND, '{}' stands for the submission: chatagram grade --class handed-in --out grades
    /// -- python3 {}/client.py. Without COMMAND a file is run itself, and of a directory its
    /// program 'run'. With --course-key, the name of the submission is the student's id.
    #[arg(long, value_name = "DIR", env = "CHATAGRAM_CLASS", conflicts_with = "student")]
    pub(crate) class: Option<PathBuf>,
    /// Write summary.csv, summary.html and the reports to this directory
    #[arg(long, value_name = "DIR", env = "CHATAGRAM_OUT", requires = "class")]
    pub(crate) out: Option<PathBuf>,
    /// Print the criteria and their points
    #[arg(long, env = "CHATAGRAM_LIST", value_parser = FalseyValueParser::new())]
    pub(crate) list: bool,
}

/// A format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatArg {
    /// For people
    #[default]
    Text,
    /// One object
    Json,
    /// XML, for viewers of test results
    Junit,
    /// Gradescope's results.json
    Gradescope,
    /// A row for each criterion
    Csv,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Text => Self::Text,
            FormatArg::Json => Self::Json,
            FormatArg::Junit => Self::Junit,
            FormatArg::Gradescope => Self::Gradescope,
            FormatArg::Csv => Self::Csv,
        }
    }
}
