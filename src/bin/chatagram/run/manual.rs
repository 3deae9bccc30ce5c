//! `completions` and `man`, generated from the command line's definition.

use super::{COULD_NOT_START, fail, print, tell};
use crate::cli::{Cli, CompletionsArgs, ManArgs, Shell};
use clap::{Command, CommandFactory};
use clap_complete::Shell as Script;
use clap_mangen::Man;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The first line of each page, which marks a file as generated.
const MARK: &str = ".\\\" Made by: chatagram man\n";

/// Why the pages could not be written.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// Another program or person made the file.
    #[error("{} is there and was not made by `chatagram man`: move it away", .0.display())]
    NotOurs(PathBuf),
    /// The file could not be read, or a page or the directory not be written.
    #[error("cannot {what} {path}: {cause}", path = .path.display())]
    Io {
        /// The failed operation: a verb.
        what: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        cause: io::Error,
    },
}

impl Error {
    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Io { what, path: path.to_owned(), cause }
    }
}

/// Prints a shell's completions.
pub(crate) fn completions(args: &CompletionsArgs) -> ExitCode {
    let shell = match args.shell {
        Shell::Bash => Script::Bash,
        Shell::Zsh => Script::Zsh,
        Shell::Fish => Script::Fish,
    };
    let mut command = Cli::command();
    let mut script = Vec::new();
    // Into memory, because it panics on write errors.
    clap_complete::generate(shell, &mut command, "chatagram", &mut script);
    print(&String::from_utf8_lossy(&script))
}

/// Prints the main page, or writes all of them.
pub(crate) fn man(args: &ManArgs) -> ExitCode {
    let command = command();
    let Some(dir) = &args.dir else {
        return match page(&command) {
            Ok(page) => print(&page),
            Err(error) => fail(COULD_NOT_START, error),
        };
    };
    match write_all(dir, &command) {
        Ok(number) => {
            tell(&format!("{number} pages in {}", dir.display()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(COULD_NOT_START, error),
    }
}

/// The complete command line without `help`, which needs no page.
fn command() -> Command {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    command
}

/// Writes all pages and returns their number.
fn write_all(dir: &Path, command: &Command) -> Result<usize, Error> {
    let mut pages: Vec<(PathBuf, String)> = Vec::new();
    for command in std::iter::once(command).chain(command.get_subcommands()) {
        let path = dir.join(format!("{}.1", full_name(command)));
        let page = page(command).map_err(Error::io("write", &path))?;
        pages.push((path, page));
    }
    // All are checked before one is written.
    for (path, _) in &pages {
        match fs::read(path) {
            Ok(old) if !old.starts_with(MARK.as_bytes()) => {
                return Err(Error::NotOurs(path.clone()));
            }
            Err(error) if !matches!(error.kind(), ErrorKind::NotFound) => {
                return Err(Error::io("read", path)(error));
            }
            _ => {}
        }
    }
    fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
    for (path, page) in &pages {
        fs::write(path, page).map_err(Error::io("write", path))?;
    }
    Ok(pages.len())
}

fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// One page. The text after the options keeps its lines, which clap_mangen would join.
fn page(command: &Command) -> io::Result<String> {
    let source = concat!("chatagram ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone());
    // clap_mangen omits an empty date, which would shift the next argument.
    let title = format!(".TH {} 1 \"\" \"{source}\" \"Chatagram\"\n", full_name(command));
    let mut page = [MARK, &title].concat().into_bytes();
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(end) = command.get_after_long_help().or(command.get_after_help()) {
        page.push_str(&lines(&end.to_string()));
    }
    Ok(page)
}

/// Preformatted lines. An empty line ends a paragraph; a first line with a colon at its end is a
/// section heading.
fn lines(text: &str) -> String {
    let mut page = String::new();
    for paragraph in text.split("\n\n") {
        for (number, line) in paragraph.lines().enumerate() {
            let line = line.replace('\\', "\\e").replace('-', "\\-");
            // A line that begins with a dot or an apostrophe would be a roff request.
            page += &match (number, line.strip_suffix(':')) {
                (0, Some(heading)) => format!(".SH \"{heading}\"\n.nf\n"),
                (0, None) => format!(".PP\n.nf\n\\&{line}\n"),
                _ => format!("\\&{line}\n"),
            };
        }
        page += ".fi\n";
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_text_becomes_a_roff_request() {
        let section = lines("Exit codes:\n.so /etc/passwd\n  1  a\\b\n");
        assert_eq!(section, ".SH \"Exit codes\"\n.nf\n\\&.so /etc/passwd\n\\&  1  a\\eb\n.fi\n");
    }

    #[test]
    fn each_paragraph_keeps_its_lines() {
        let section = lines("Examples:\n  a\n\nExit codes:\n  0  b\n\nMore.\n");
        let codes = ".SH \"Exit codes\"\n.nf\n\\&  0  b\n.fi\n";
        assert_eq!(
            section,
            format!(".SH \"Examples\"\n.nf\n\\&  a\n.fi\n{codes}.PP\n.nf\n\\&More.\n.fi\n")
        );
    }

    #[test]
    fn every_command_has_a_page_that_names_it() {
        let command = command();
        let subs: Vec<_> = command.get_subcommands().collect();
        assert!(subs.len() >= 11 && subs.iter().all(|sub| sub.get_name() != "help"));
        for sub in subs {
            let page = page(sub).unwrap();
            let title = format!(".TH {} 1", full_name(sub));
            assert!(page.starts_with(MARK) && page.contains(&title), "{page}");
            assert!(page.contains("Exit codes"), "{title}");
        }
    }
}
