//! Reads files, and runs programs with a timeout.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// Timeout of a program. All together end within three seconds.
const COMMAND_TIMEOUT: Duration = Duration::from_millis(400);
/// Largest number of bytes read from a file or a program.
const MOST: u64 = 4 << 20;
/// Directories of administrators' tools, which a user's PATH may lack.
const SYSTEM: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The path of a program.
pub(super) fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let system = SYSTEM.iter().filter(|_| cfg!(unix)).map(PathBuf::from);
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    env::split_paths(&path).chain(system).map(|dir| dir.join(&file)).find(|path| path.is_file())
}

/// The contents of a file; `None` if missing or unreadable.
pub(super) fn read(path: impl AsRef<Path>) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MOST).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The output of a program; `None` if it is missing, fails or times out.
pub(super) fn run(name: &str, args: &[&str]) -> Option<String> {
    run_within(COMMAND_TIMEOUT, name, args)
}

fn run_within(timeout: Duration, name: &str, args: &[&str]) -> Option<String> {
    let deadline = Instant::now() + timeout;
    let mut command = Command::new(find(name)?);
    command.args(args).env("LC_ALL", "C");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    // A process group of its own, so that its children are killed too.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn().ok()?;
    let (sender, printed) = mpsc::channel();
    let stdout = child.stdout.take()?;
    // If another process keeps the pipe open, this thread is abandoned.
    let reader = thread::Builder::new().name("reader".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        let _ = stdout.take(MOST).read_to_end(&mut bytes);
        let _ = sender.send(bytes);
    });
    let left = deadline.saturating_duration_since(Instant::now());
    let bytes = reader.ok().and_then(|_| printed.recv_timeout(left).ok());
    loop {
        match child.try_wait() {
            Ok(Some(status)) => {
                return bytes
                    .filter(|_| status.success())
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            }
            Ok(None) if bytes.is_some() && Instant::now() < deadline => {
                thread::sleep(Duration::from_millis(1));
            }
            _ => {
                // Even after the kill the wait is bounded.
                kill(&mut child);
                let _ = thread::Builder::new().spawn(move || child.wait());
                return None;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn kill(child: &mut Child) {
    use rustix::process::{Pid, Signal, kill_process_group};
    // It was not reaped yet, so the process id is still its own.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
}

#[cfg(not(target_os = "linux"))]
fn kill(child: &mut Child) {
    let _ = child.kill();
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn output_is_returned_only_on_success_in_time() {
        let long = Duration::from_secs(20);
        assert_eq!(run_within(long, "/bin/sh", &["-c", "echo yes"]).as_deref(), Some("yes\n"));
        assert_eq!(run_within(long, "/bin/sh", &["-c", "echo yes; exit 3"]), None);
        assert_eq!(run_within(long, "no such program", &[]), None);
        let begun = Instant::now();
        let short = Duration::from_millis(50);
        assert_eq!(run_within(short, "/bin/sh", &["-c", "echo begun; /bin/sleep 60"]), None);
        assert_eq!(run_within(short, "/bin/sh", &["-c", "exec >&-; /bin/sleep 60"]), None);
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_file_has_no_contents() {
        assert_eq!(read("/nowhere/at all"), None);
        assert_eq!(find("no such program"), None);
    }
}
