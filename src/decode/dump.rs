//! Reads hex dumps: rows with an offset, bytes, and often the same bytes as characters, as written
//! by xxd, hexdump -C, tcpdump -x and Wireshark.

/// Minimum digits of an offset.
const SHORTEST_OFFSET: usize = 4;
/// Limit on the offset, which bounds what repeated rows (`*`) expand to.
const LONGEST: usize = 64 * 1024;

/// The kind of a dump.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Dump {
    /// A dump of these bytes.
    Bytes(Vec<u8>),
    /// A dump of 16-bit words in the byte order of the machine, as written by `hexdump` and `od
    /// -x`.
    Words,
}

/// Parses a dump. Returns `None` for other text: the offsets must match the bytes.
pub(super) fn read(text: &str) -> Option<Dump> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let (first, rest) = offset(lines.first()?)?;
    // A single row needs a typical beginning: plain hex may start with zeros too.
    let stands_apart = rest.starts_with("  ") || lines[0].contains(':');
    if lines.len() < 2 && !(first == 0 && stands_apart) {
        return None;
    }
    let mut bytes: Vec<u8> = Vec::new();
    let mut last_row: Vec<u8> = Vec::new();
    let mut repeated = false;
    for (index, line) in lines.iter().enumerate() {
        if *line == "*" {
            repeated = true;
            continue;
        }
        let (at, rest) = offset(line)?;
        let at = at.checked_sub(first).filter(|at| *at <= LONGEST)?;
        while repeated && bytes.len() < at && !last_row.is_empty() {
            bytes.extend_from_slice(&last_row);
        }
        repeated = false;
        if bytes.len() != at {
            return None;
        }
        // The last row's size is unknown without a final offset.
        let next = lines.get(index + 1).and_then(|next| offset(next)).map(|(next, _)| next);
        let size = next.and_then(|next| next.checked_sub(first)?.checked_sub(at));
        last_row = row(rest, size)?;
        bytes.extend_from_slice(&last_row);
    }
    if bytes.is_empty() {
        return None;
    }
    Some(if lines.iter().any(|line| has_words(line)) { Dump::Words } else { Dump::Bytes(bytes) })
}

/// A line's offset and the rest.
fn offset(line: &str) -> Option<(usize, &str)> {
    let line = line.strip_prefix("0x").unwrap_or(line);
    let digits = line.find(|ch: char| !ch.is_ascii_hexdigit()).unwrap_or(line.len());
    if digits < SHORTEST_OFFSET {
        return None;
    }
    let rest = &line[digits..];
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    if !(rest.is_empty() || rest.starts_with(char::is_whitespace)) {
        return None;
    }
    Some((usize::from_str_radix(&line[..digits], 16).ok()?, rest))
}

/// The bytes of a row; `size` is their number, where known.
fn row(rest: &str, size: Option<usize>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut left = rest.trim_start();
    while !left.is_empty() {
        let end = left.find(char::is_whitespace).unwrap_or(left.len());
        let group = &left[..end];
        if !group.len().is_multiple_of(2) || !group.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            break;
        }
        bytes.extend(
            (0..group.len())
                .step_by(2)
                .filter_map(|at| u8::from_str_radix(group.get(at..at + 2)?, 16).ok()),
        );
        let after = left[end..].trim_start();
        let gap = left.len() - end - after.len();
        left = after;
        // Two spaces separate the character column.
        let apart = gap >= 2 && !left.is_empty();
        if apart && size.map_or_else(|| shows(left, &bytes), |size| size == bytes.len()) {
            return Some(bytes);
        }
    }
    (left.is_empty() && size.is_none_or(|size| size == bytes.len())).then_some(bytes)
}

/// Returns true if `characters` is the character column of `bytes`. hexdump -C encloses it in bars;
/// trailing spaces may be missing.
fn shows(characters: &str, bytes: &[u8]) -> bool {
    let fence = |text| str::strip_suffix(str::strip_prefix(text, '|')?, '|');
    let count = |text: &str| text.chars().count() == bytes.len();
    count(characters)
        || fence(characters).is_some_and(count)
        || characters.trim() == printable(bytes).trim()
}

/// The character column of a dump.
fn printable(bytes: &[u8]) -> String {
    let shown = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
    bytes.iter().map(shown).collect()
}

/// Returns true for a 7-digit offset and 4-digit groups, as written by `hexdump` and `od -x`.
fn has_words(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_hex = |word: &str| word.bytes().all(|digit| digit.is_ascii_hexdigit());
    let offset = words.next().is_some_and(|word| word.len() == 7 && is_hex(word));
    let mut words = words.peekable();
    offset && words.peek().is_some() && words.all(|word| word.len() == 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Vec<u8> {
        match read(text) {
            Some(Dump::Bytes(bytes)) => bytes,
            other => panic!("{text}: {other:?}"),
        }
    }

    fn datagram() -> Vec<u8> {
        b"CG\x01\x02 |0 12 ab".iter().copied().chain(0x2e..0x40).collect()
    }

    fn pairs(bytes: &[u8], between: &str) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(between)
    }

    fn groups(row: &[u8]) -> String {
        row.chunks(2).map(|pair| pairs(pair, "")).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn dumps_of_common_tools_are_read() {
        type Write = fn(usize, &[u8]) -> String;
        let tools: [(&str, Write); 7] = [
            ("xxd", |at, row| format!("{at:08x}: {:<39}  {}", groups(row), printable(row))),
            ("xxd -g1", |at, row| format!("{at:08x}: {:<47}  {}", pairs(row, " "), printable(row))),
            ("hexdump -C", |at, row| {
                let halves: Vec<_> = row.chunks(8).map(|half| pairs(half, " ")).collect();
                format!("{at:08x}  {:<48}  |{}|", halves.join("  "), printable(row))
            }),
            ("wireshark", |at, row| {
                format!("{at:04x}   {:<47}   {}", pairs(row, " "), printable(row))
            }),
            ("tshark -x", |at, row| {
                format!("{at:04x}  {:<47}   {}", pairs(row, " "), printable(row))
            }),
            ("tcpdump -x", |at, row| format!("\t0x{at:04x}:  {}", groups(row))),
            ("od -A x -t x1", |at, row| format!("{at:06x} {}", pairs(row, " "))),
        ];
        let datagram = datagram();
        for length in 1..=datagram.len() {
            let wanted = &datagram[..length];
            for (tool, write) in tools {
                let rows = wanted.chunks(16).enumerate();
                let text: Vec<_> = rows.map(|(index, row)| write(index * 16, row)).collect();
                // A single row of od is ambiguous.
                if text.len() > 1 || !tool.starts_with("od") {
                    assert_eq!(bytes(&text.join("\n")), wanted, "{tool}:\n{}", text.join("\n"));
                }
                let ended = format!("{}\n{length:08x}\n", text.join("\r\n"));
                assert_eq!(bytes(&ended), wanted, "{tool}");
            }
        }
    }

    #[test]
    fn repeated_rows_and_partial_dumps_are_read() {
        let text = "\
            00000000  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|\n*\n\
            00000030  43 47                                             |CG|\n\
            00000032\n";
        assert_eq!(bytes(text), [&[0; 48][..], b"CG"].concat());
        assert_eq!(bytes("0010: 4347\n0012: 01"), b"CG\x01");
    }

    #[test]
    fn other_text_is_not_read_as_a_dump() {
        for text in [
            "43470102 d618a994 01234567",
            "4347 0102\n4347 0102",
            "4347:0102",
            "0000 43 47\n0003 01",
            "0000 4g",
            "",
            "*",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read("0000000 4743 0201\n0000004"), Some(Dump::Words));
    }
}
