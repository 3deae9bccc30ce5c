//! `server.csv`: how long each line waited at the server for an earlier one of its author.

use super::files::read_if_there;
use super::{Error, FileSum, LineError, Record};
use crate::protocol::unwrap16;
use std::collections::HashMap;
use std::path::Path;

/// The file in a run's directory; `server --record-waits` writes it.
pub(crate) const WAITS: &str = "server.csv";

/// The sum of the file; `None` without one.
pub(in crate::lab) fn sum(dir: &Path) -> Result<Option<FileSum>, Error> {
    Ok(read_if_there(&dir.join(WAITS))?.map(|bytes| sum_of(&bytes)))
}

fn sum_of(bytes: &[u8]) -> FileSum {
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    FileSum::of(WAITS.to_owned(), lines.saturating_sub(1), bytes)
}

/// Adds the waits to the rows of their messages. Returns the sum of the file; `None` without one.
pub(super) fn read(dir: &Path, records: &mut [Record]) -> Result<Option<FileSum>, Error> {
    let path = dir.join(WAITS);
    let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
    // A killed server may have written half of its last row.
    let whole = bytes.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
    let waits =
        parse(&bytes[..whole]).map_err(|(line, problem)| Error::Line { path, line, problem })?;
    for record in records {
        let of_sender = waits.get(&*record.sender);
        record.server_held_us = of_sender.and_then(|it| it.get(&record.id).copied());
    }
    Ok(Some(sum_of(&bytes)))
}

/// By sender, the known waits of its messages.
type Waits = HashMap<String, HashMap<u64, u64>>;

/// A sender's message has the number of its line, counted from 0: it says nothing else.
fn parse(bytes: &[u8]) -> Result<Waits, (u64, LineError)> {
    let mut reader = csv::Reader::from_reader(bytes);
    let mut waits = Waits::new();
    let mut next: HashMap<String, u64> = HashMap::new();
    for (line, row) in (2..).zip(reader.records()) {
        let row = row.map_err(|error| (line, LineError::Csv(error)))?;
        let row: (String, u16, Option<u64>) =
            row.deserialize(None).map_err(|error| (line, LineError::Csv(error)))?;
        let (sender, wire, held) = row;
        let next = next.entry(sender.clone()).or_default();
        let id = unwrap16(wire, *next);
        *next = (*next).max(id.saturating_add(1));
        waits.entry(sender).or_default().extend(held.map(|held| (id, held)));
    }
    Ok(waits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_count_from_zero_and_go_on_beyond_their_16_bits() {
        let mut text = "sender,number,held_us\n".to_owned();
        for id in (0..70_000_u64).filter(|id| *id != 65_536) {
            text += &format!("\"s1\",{},{}\n", id % 65_536, if id == 0 { "" } else { "7" });
        }
        text += "\"a \"\"b\"\"\",1,5\n\"a \"\"b\"\"\",0,3\n";
        let waits = parse(text.as_bytes()).unwrap();
        let of = |sender, id| waits[sender].get(&id);
        assert_eq!((of("s1", 0), of("s1", 65_536), of("s1", 69_999)), (None, None, Some(&7)));
        assert_eq!((of("a \"b\"", 0), of("a \"b\"", 1)), (Some(&3), Some(&5)));
    }

    #[test]
    fn damage_is_found_with_its_line() {
        for row in ["s1", "s1,70000,1", "s1,-1,1", "s1,1,x", "s1,1,-1", "s1,1,1,1"] {
            let text = format!("sender,number,held_us\ns1,0,0\n{row}\n");
            assert_eq!(parse(text.as_bytes()).unwrap_err().0, 3, "{row}");
        }
    }
}
