//! A terminal of the exercises: a shell that runs one block at a time, and the lines that it
//! printed.

use super::text::find;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Limit of each step. Only a failing test takes this long.
const DEADLINE: Duration = Duration::from_secs(180);

pub(crate) struct Terminal {
    child: Child,
    lines: Receiver<String>,
    pub(crate) printed: Vec<String>,
    /// Index behind the last line found.
    from: usize,
}

impl Terminal {
    pub(crate) fn run(script: &str, dir: &Path, path: &str) -> Self {
        let mut command = Command::new("bash");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHATAGRAM_")) {
            command.env_remove(name);
        }
        command.env("HOME", dir).env_remove("XDG_CACHE_HOME").env_remove("XDG_STATE_HOME");
        command.env("PATH", path).env("PYTHONUTF8", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.current_dir(dir).args(["-c", &format!("exec 2>&1\n{script}")]);
        // A process group of its own, as in a shell: Ctrl-C is for all programs of the terminal.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Self { child, lines, printed: Vec::new(), from: 0 }
    }

    /// Waits for these adjacent lines.
    pub(crate) fn see(&mut self, group: &[String]) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(at) = find(group, &self.printed, self.from) {
                self.from = at + group.len();
                return Ok(());
            }
            self.read(deadline).map_err(|why| format!("{why} before it printed {group:#?}"))?;
        }
    }

    /// Waits until the block has ended.
    pub(crate) fn end(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + DEADLINE;
        while self.read(deadline).is_ok() {}
        if Instant::now() < deadline {
            self.child.wait().map(|_| ()).map_err(|error| error.to_string())
        } else {
            Err("does not end".to_owned())
        }
    }

    pub(crate) fn ctrl_c(&mut self) -> Result<(), String> {
        self.signal("INT");
        self.end()
    }

    fn read(&mut self, deadline: Instant) -> Result<(), &'static str> {
        match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => self.printed.push(line),
            Err(RecvTimeoutError::Disconnected) => return Err("ended"),
            Err(RecvTimeoutError::Timeout) => return Err("was waited for too long"),
        }
        Ok(())
    }

    fn signal(&self, name: &str) {
        let group = format!("-{}", self.child.id());
        let _ =
            Command::new("kill").args(["-s", name, "--", &group]).stderr(Stdio::null()).status();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal("KILL");
            let _ = self.child.wait();
        }
    }
}
