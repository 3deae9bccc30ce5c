use super::*;

fn token() -> Token {
    Token::new(12_345, 32)
}

fn message(sender: usize, id: u64) -> Seen {
    Seen::Message { sender, id }
}

/// All that these pieces of output show, with the numbers of fused and cut messages.
fn scan(pieces: &[&str]) -> (Vec<Seen>, u64, u64) {
    let mut scanner = Scanner::new(&token());
    let seen = pieces.iter().flat_map(|it| scanner.push(it.as_bytes())).collect();
    scanner.finish();
    (seen, scanner.fused, scanner.cut)
}

#[test]
fn a_message_has_its_size_and_its_number() {
    for (size, id, wanted) in [(16, 7, 16), (1_000, 123_456, 1_000), (16, 1_234_567, 17)] {
        let text = Token::new(12_345, size).text(0, id);
        assert_eq!(text.len(), wanted, "{text}");
        assert!(text.contains(&format!(".s1.{id}~")) && text.ends_with('!'), "{text}");
    }
}

#[test]
fn whatever_stands_around_a_message_it_is_found_once() {
    let a = token().text(0, 17);
    for output in [
        format!("{a}\n"),
        format!("\n[12345]: {a}"),
        format!("> > alice: {a}\r\n> "),
        format!("[12:03] <s1> {a} \x1b[0m\n"),
        format!("b'{a}'\n"),
        format!("~{a}~\n"),
    ] {
        assert_eq!(scan(&[&output]), (vec![message(0, 17)], 0, 0), "{output:?}");
        let bytes: Vec<_> = output.split("").collect();
        assert_eq!(scan(&bytes), (vec![message(0, 17)], 0, 0), "{output:?}, byte by byte");
    }
    let other = Token::new(1, 32).text(0, 17);
    assert_eq!(scan(&[&other]), (vec![], 0, 0), "a message of another run");
}

#[test]
fn messages_on_one_line_are_fused() {
    let [a, b, c] = [1, 2, 3].map(|id| token().text(1, id));
    let all = vec![message(1, 1), message(1, 2), message(1, 3)];
    assert_eq!(scan(&[&format!("{a}{b}\n{c}\n")]), (all.clone(), 1, 0));
    assert_eq!(scan(&[&format!("x: {a}"), &format!(" x: {b}"), &c]), (all.clone(), 2, 0));
    assert_eq!(scan(&[&format!("\n{a}\n{b}\n{c}")]), (all, 0, 0));
    let probe = token().probe(0, 3);
    assert_eq!(
        scan(&[&format!("{probe}{a}")]),
        (vec![Seen::Probe { sender: 0 }, message(1, 1)], 1, 0)
    );
}

/// ECMA-48: CUP, and a carriage return after which the line is overwritten.
#[test]
fn a_line_ends_where_the_cursor_leaves_it() {
    let [a, b] = [1, 2].map(|id| token().text(1, id));
    for (output, lines) in [
        (format!("\x1b[2;1H\x1b[K<s> {a}\x1b[3;1H<s> {b}\x1b[24;1H> "), 3),
        (format!("> \r\x1b[K{a}\r\n> \r{b}\r\n"), 4),
        (format!("{a}\r\r\n{b}\r"), 2),
    ] {
        let pieces: Vec<_> = output.split("").collect();
        for pieces in [&[output.as_str()][..], &pieces] {
            let mut scanner = Scanner::new(&token());
            let seen: Vec<_> = pieces.iter().flat_map(|it| scanner.push(it.as_bytes())).collect();
            scanner.finish();
            assert_eq!(seen, [message(1, 1), message(1, 2)], "{output:?}");
            assert_eq!((scanner.fused, scanner.cut), (0, 0), "{output:?}");
            assert_eq!(scanner.take_lines().len(), lines, "{output:?}");
        }
    }
    assert_eq!(scan(&[&format!("{a}\x1b[1m{b}\n")]).1, 1, "bold text is on the same line");
}

#[test]
fn a_message_without_its_end_is_cut() {
    let (a, b) = (token().text(0, 1), token().text(0, 2));
    for at in token().probe(0, 1).len()..a.len() {
        let (head, tail) = a.split_at(at);
        assert_eq!(scan(&[&format!("{head}\n{tail}{b}\n")]), (vec![message(0, 2)], 0, 1), "{at}");
        assert_eq!(scan(&[&format!("{head}{b}\n")]), (vec![message(0, 2)], 0, 1), "{at}");
        assert_eq!(scan(&[head]), (vec![], 0, 1), "{at}");
    }
    let longer = a.replace("x!", "xx!");
    assert_eq!(scan(&[&longer]), (vec![], 0, 1), "another text than was said");
    let probe = token().probe(0, 1);
    assert_eq!(scan(&[&probe[..probe.len() - 1]]), (vec![], 0, 0), "a probe is no message");
}

#[test]
fn output_without_line_breaks_is_bounded() {
    let mut scanner = Scanner::new(&token());
    let mut seen = 0;
    for id in 0..2_000 {
        seen += scanner.push(token().text(0, id).as_bytes()).len();
        assert!(scanner.line.len() <= MAX_LINE + 32);
    }
    assert_eq!((seen, scanner.fused, scanner.cut), (2_000, 1_999, 0));
    let (noise, lines) = (vec![b'-'; 100_000], scanner.take_lines());
    scanner.push(&noise);
    assert!(scanner.line.len() <= MAX_LINE && lines.iter().all(|it| !it.ended));
    scanner.finish();
    let rest: usize = scanner.take_lines().iter().map(|it| it.text.len()).sum();
    let before: usize = lines.iter().map(|it| it.text.len()).sum();
    assert_eq!(before + rest, 2_000 * 32 + 100_000);
}

#[test]
fn an_example_shows_the_fault_and_has_no_control_characters() {
    let mut scanner = Scanner::new(&token());
    let texts: String = (0..20).map(|id| token().text(0, id)).collect();
    scanner.push(format!("\x1b[31m{texts}~xi9.s1.20~xx\n").as_bytes());
    let [fused, cut] = [&scanner.fused_sample, &scanner.cut_sample].map(|it| it.clone().unwrap());
    assert!(fused.starts_with("\u{fffd}[31m") && fused.contains(".s1.0~xxx…!~"), "{fused}");
    assert!(cut.starts_with('…') && cut.ends_with(".s1.20~xx"), "{cut}");
    assert!(fused.chars().count() <= BEFORE + AFTER + 2, "{fused}");
}
