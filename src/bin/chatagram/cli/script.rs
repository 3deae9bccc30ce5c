//! The file of `--impair-script`.

use super::Error;
use chatagram::impair::Script;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest file: several times the longest script.
const MAX_BYTES: u64 = 4 << 20;

/// Reads a script.
///
/// # Errors
/// The file and the line, and what to write there.
pub(super) fn read(file: &Path) -> Result<Script, Error> {
    let mut text = String::new();
    let read = File::open(file).and_then(|it| it.take(MAX_BYTES).read_to_string(&mut text));
    read.map_err(|error| Error::Script(file.display().to_string(), error.to_string()))?;
    text.parse().map_err(|error: chatagram::impair::ScriptError| {
        Error::Script(file.display().to_string(), error.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file_and_the_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("storm.txt");
        let missing = read(&file).unwrap_err().to_string();
        assert!(missing.contains("storm.txt"), "{missing}");
        std::fs::write(&file, "seed 1\nup 0 * lose 5%\n").unwrap();
        let wrong = read(&file).unwrap_err().to_string();
        assert!(wrong.contains("storm.txt") && wrong.contains("line 2: lose"), "{wrong}");
        std::fs::write(&file, "seed 1\nup 0 * loss 5%\n").unwrap();
        assert_eq!(read(&file).unwrap().changes.len(), 1);
    }
}
